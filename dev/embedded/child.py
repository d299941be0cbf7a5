"""The platform as a process of its own, found or started by its state folder."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

Json = dict[str, Any]


class NotStarted(Exception):
    """It ended before it was ready, or took too long."""


def running(state: Path) -> Json | None:
    """The description of the platform that runs on this state folder, if one does."""
    try:
        described: Json = json.loads((state / "platform.json").read_text())
        os.kill(described["pid"], 0)
        httpx.get(f"{described['url']}/health/live", timeout=5, trust_env=False)
    except (FileNotFoundError, ProcessLookupError, httpx.HTTPError):
        return None
    return described


def start_platform(state: Path, port: int) -> tuple[subprocess.Popen[bytes], Json]:
    (state / "platform.json").unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "dev.run", "--state-dir", state, "--port", str(port)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted("The platform did not start; its last words are above.")
        described = running(state)
        if described:
            return process, described
        time.sleep(0.1)
    process.terminate()
    raise NotStarted("The platform was not ready within 60 s.")
