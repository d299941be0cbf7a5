"""Steps that tests of switches and of ends have in common."""

import asyncio
from typing import Any

KIB = 320 * 1024
SIZE = 12 * KIB + 1  # four ranges of storage's 3 * KIB here, and one byte
TOPICS = ("artefact.detected", "recording.imported", "transcript.imported")


async def counts(house: Any) -> list[int]:
    return [len(await house.published(topic)) for topic in TOPICS]


async def do_all(house: Any) -> None:
    """What is due, and what would be due later."""
    for _ in range(2):
        await house.settle()
        await house.hurry()
    await house.settle()


async def booked(house: Any, **more: Any) -> dict[str, Any]:
    await house.connect()
    meeting: dict[str, Any] = await house.book(**more)
    await house.hear(house.scheduled(meeting))
    return meeting


def during(wire: Any, path: str, number: int, meanwhile: Any, method: str = "GET") -> None:
    """``meanwhile`` happens while the ``number``-th such request is on its way, which is then answered as ever."""
    seen = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await meanwhile()
        await wire.app(scope, receive, send)

    def instead(used: str, asked: str) -> Any:
        nonlocal seen
        hit = used == method and path in asked
        seen += hit
        return app if hit and seen == number else None

    wire.instead = instead


async def waits_for_a_lock(house: Any, task: "asyncio.Task[None]") -> bool:
    """Whether it comes to wait for somebody's lock in the database; False when it ends instead."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not task.done():
        if await house.sql(waiting):
            return True
        await asyncio.sleep(0.01)
    return False
