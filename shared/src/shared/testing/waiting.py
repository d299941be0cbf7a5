"""Waiting for what nobody tells of: a row, or a record on a bus."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(look: Callable[[], Awaitable[bool]], within_s: float = 60, every_s: float = 0.02) -> None:
    """Raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(every_s)


async def waits_for_a_lock(house: Any, task: "asyncio.Task[None]") -> bool:
    """Whether it comes to wait for somebody's lock in the database; False when it ends instead."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not task.done():
        if await house.sql(waiting):
            return True
        await asyncio.sleep(0.01)
    return False
