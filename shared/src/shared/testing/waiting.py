"""Waiting for what nobody tells of: a row, or a record on a bus."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(look: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    """Raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.02)
