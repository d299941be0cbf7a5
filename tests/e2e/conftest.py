"""The embedded platform as a process of its own, on free ports and a state folder of the test."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
READY_S = 60


def four_free_ports() -> int:
    """The first of four neighbouring loopback ports that are free now."""
    for first in range(20000 + os.getpid() % 3000 * 4, 60000, 4):
        try:
            for port in range(first, first + 4):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise OSError("There are no four free ports.")


class RunningPlatform:
    """``make run`` as a child process; ``kill`` is SIGKILL, ``stop`` is Ctrl-C."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = four_free_ports()
        where = ["--state-dir", str(self.state), "--port", str(self.port)]
        self.command = [sys.executable, "-m", "dev.run", *where]
        self.demo_command = [sys.executable, "-u", "-m", "dev.demo", *where]
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        """Start and wait until it says that it is ready. Returns its description (url, kafka, simulator)."""
        described = self.state / "platform.json"
        described.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **self.environment}
        )
        deadline = time.monotonic() + READY_S
        while not described.exists():
            assert self.process.poll() is None, f"the platform stopped with {self.process.returncode}"
            assert time.monotonic() < deadline, "the platform was not ready in time"
            time.sleep(0.05)
        found: dict[str, Any] = json.loads(described.read_text())
        httpx.get(f"{found['url']}/health/live", timeout=10, trust_env=False).raise_for_status()
        return found

    def demo(self) -> "subprocess.Popen[str]":
        """``make demo`` against it; its lines on ``stdout``."""
        return subprocess.Popen(
            self.demo_command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def stop(self) -> int:
        """Ctrl-C; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def end(self) -> None:
        """Stop it if it runs, and forget its state."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.state, ignore_errors=True)


@pytest.fixture
def platform() -> Iterator[RunningPlatform]:
    # Not below pytest's own folder: each pytest that starts closes that one to other users, and as root the embedded
    # PostgreSQL runs as one.
    folder = Path(tempfile.mkdtemp(prefix="prospo-run-"))
    running = RunningPlatform(folder)
    yield running
    running.end()
