"""A pod of user-auth in a process of its own: asks itself for one person's token, as often as it is told, all at once.

Told what by the first line on standard input, it says "ready" and asks when the second line comes; its last line is
what it was answered. At ``hang_at`` it says so and does nothing more, so that it can be killed right there.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import httpx

from shared.bus import MemoryBus
from shared.identity import ServiceTokens
from shared.telemetry import set_up_logs
from shared.tokens import token_digest
from user_auth import refreshing
from user_auth.main import create_service
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what the parent reads


def hang(*_args: Any, **_more: Any) -> None:
    say("hangs")
    while True:
        signal.pause()


CRASH_POINTS: dict[str, Callable[[], None]] = {
    "before the commit": lambda: setattr(refreshing, "seal", hang),
    "after the commit": lambda: setattr(AccessTokens, "_keep", hang),
}


async def ask(said: dict[str, Any]) -> list[Any]:
    settings = Settings(**said["settings"])
    service = create_service(settings, bus=MemoryBus())
    await service.start(api=False, worker=False)
    caller = ServiceTokens(Settings(**said["settings"] | {"service_key_path": said["caller_key"]}), "meetings")
    headers = {"Authorization": f"Bearer {caller.issue('user-auth')}"}
    transport = httpx.ASGITransport(service.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod", headers=headers) as http:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        body = {"org_id": "acme", "user_id": "anna"}
        answers = await asyncio.gather(*(http.post("/internal/tokens", json=body) for _ in range(said["tasks"])))
    await service.stop()
    return [[answer.status_code, token_digest(answer.json().get("access_token", ""))] for answer in answers]


def main() -> None:
    said: dict[str, Any] = json.loads(sys.stdin.readline())
    set_up_logs("ERROR", sys.stderr)
    if "hang_at" in said:
        CRASH_POINTS[said["hang_at"]]()
    say(json.dumps(asyncio.run(ask(said))))


main()
