"""The main job on the embedded platform, as a newcomer runs it, and killed on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def four_free_ports() -> int:
    """The first of four neighbouring free loopback ports."""
    for first in range(18365 + os.getpid() % 2000, 30000, 4):
        try:
            for port in range(first, first + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no four neighbouring ports are free")


class Embedded:
    """``python -m dev.run`` and ``python -m dev.demo`` on a state folder of their own."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = four_free_ports()
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        (self.state / "platform.json").unlink(missing_ok=True)
        process = self._python("dev.run")
        deadline = time.monotonic() + PATIENCE_S
        while not (self.state / "platform.json").exists():
            assert process.poll() is None, "the platform ended instead of starting"
            assert time.monotonic() < deadline, "the platform did not get ready"
            time.sleep(0.05)
        return process

    def demo(self) -> subprocess.Popen[str]:
        return self._python("dev.demo")

    def _python(self, module: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, "--state-dir", str(self.state), "--port", str(self.port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.communicate(timeout=60)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    platform = Embedded(tmp_path / "state")
    platform.state.mkdir()
    yield platform
    platform.stop()


def test_the_demo_shows_every_step_and_ends_well(embedded: Embedded) -> None:
    output, _ = embedded.demo().communicate(timeout=240)
    assert "The main job is done, every step of it." in output, output
    for topic in (
        "tenant.connected",
        "user.connected",
        "meeting.scheduled",
        "recording.imported",
        "transcript.imported",
    ):
        assert f"event  {topic}" in output, output


@pytest.mark.parametrize("step", ["● The Org Admin turns", "● Anna schedules", "● The recording and"])
def test_killing_the_platform_mid_way_finishes_the_job_once_after_a_restart(embedded: Embedded, step: str) -> None:
    platform = embedded.start()
    demo = embedded.demo()
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith(step):
            break
    platform.send_signal(signal.SIGKILL)
    platform.wait(timeout=10)
    demo.communicate(timeout=240)

    embedded.start()
    output, _ = embedded.demo().communicate(timeout=240)

    assert "The main job is done, every step of it." in output, output
    assert not (embedded.state / "demo.json").exists()
    assert json.loads((embedded.state / "platform.json").read_text())["pid"]
