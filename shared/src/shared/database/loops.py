"""Helpers of the engines' endless loops."""

import asyncio
import contextlib


def stop_if_cancelled() -> None:
    """Raise ``CancelledError`` when the task was cancelled but an error on the way out has taken its place.

    A loop that waits out every outage calls this after each: else an outage at the stop would keep it running.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event; False when it is not set in this time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
