"""Pods of user-auth in processes of their own: each asks itself for one person's token, as often as told, at once.

This process imports everything once and forks a pod for each connection to its socket. A pod first says its process id.
Told what to do by the first line, it says "ready" and asks when the second line comes; its last line is what it was
answered. At ``hang_at`` it says so and does nothing more, so that it can be killed right there.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import httpx

from shared.entra.kept import Newest
from shared.secrets import digest
from shared.telemetry import set_up_logs
from shared.testing.memory_bus import MemoryBus
from shared.web.identity import ServiceTokens
from user_auth import refreshing
from user_auth.main import create_service
from user_auth.settings import Settings


class Parent:
    """The test at the other end of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._lines = connection.makefile("rw")

    def say(self, line: object) -> None:
        self._lines.write(f"{line}\n")
        self._lines.flush()

    def hear(self) -> str:
        return self._lines.readline()

    def hang(self, *_args: Any, **_more: Any) -> None:
        self.say("hangs")
        while True:
            signal.pause()


CRASH_POINTS: dict[str, Callable[[Parent], None]] = {
    "before the commit": lambda parent: setattr(refreshing, "seal", parent.hang),
    "after the commit": lambda parent: setattr(Newest, "keep", parent.hang),
}


async def ask(said: dict[str, Any], parent: Parent) -> list[Any]:
    settings = Settings(**said["settings"])
    service = create_service(settings, bus=MemoryBus())
    await service.start(api=False, worker=False)
    caller = ServiceTokens(Settings(**said["settings"] | {"service_key_path": said["caller_key"]}), "meetings")
    headers = {"Authorization": f"Bearer {caller.issue('user-auth')}"}
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod", headers=headers) as http:
        parent.say("ready")
        await asyncio.to_thread(parent.hear)
        body = {"org_id": "acme", "user_id": "anna"}
        answers = await asyncio.gather(*(http.post("/internal/tokens", json=body) for _ in range(said["tasks"])))
    await service.stop()
    return [[answer.status_code, digest(answer.json().get("access_token", ""))] for answer in answers]


def run_pod(connection: socket.socket) -> None:
    parent = Parent(connection)
    parent.say(os.getpid())
    said: dict[str, Any] = json.loads(parent.hear())
    if "hang_at" in said:
        CRASH_POINTS[said["hang_at"]](parent)
    parent.say(json.dumps(asyncio.run(ask(said, parent))))


def main() -> None:
    set_up_logs("ERROR", sys.stderr)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a pod's exit status
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(sys.argv[1])
        server.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                server.close()
                run_pod(connection)
                os._exit(0)
            connection.close()


main()
