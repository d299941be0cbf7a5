"""Steps that tests of switches and of ends have in common."""

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
