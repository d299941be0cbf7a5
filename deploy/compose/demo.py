# ruff: noqa: INP001 - a program of the development image, not a package
"""The demo inside the composed network: the same as `make demo`, told where this platform is."""

import json
import os
import sys
from pathlib import Path

from dev.demo import main

STATE = Path("/state/demo")  # in a volume: an interrupted demo is finished by the next
PLATFORM = {
    "pid": os.getpid(),
    "url": os.environ.get("DEMO_URL", "http://gateway.localhost:8365"),
    "kafka_bootstrap_servers": os.environ.get("DEMO_KAFKA", "kafka:9092"),
    "simulator_url": os.environ.get("DEMO_SIMULATOR", "http://microsoft.localhost:8367"),
}

if __name__ == "__main__":
    STATE.mkdir(exist_ok=True)
    (STATE / "platform.json").write_text(json.dumps(PLATFORM))
    sys.argv[1:] = ["--state-dir", str(STATE)]
    main()
