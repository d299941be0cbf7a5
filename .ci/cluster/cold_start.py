# ruff: noqa: INP001 - a program of the cluster stage, not a package
"""How long an API takes from nothing to ready, in seconds; run in a pod of one: python - < cold_start.py."""

import os
import subprocess
import sys
import time
import urllib.request

PORT = "18080"
given = {name: value for name, value in os.environ.items() if name != "PROSPO_METRICS_PORT"}
given["PROSPO_HTTP_PORT"] = PORT
begun = time.monotonic()
made = subprocess.Popen([sys.executable, "/app", "api"], env=given, stdout=subprocess.DEVNULL)
while made.poll() is None:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health/ready", timeout=5)
    except OSError:
        time.sleep(0.02)
    else:
        sys.stdout.write(f"{time.monotonic() - begun:.2f}\n")
        break
made.terminate()
sys.exit(0 if made.wait() == 0 else "It did not become ready.")
