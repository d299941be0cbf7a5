"""Reading ahead: the next range comes from Graph while storage takes, and confirms, the present one."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

AHEAD = 16 * 1024 * 1024
"""More is not kept in memory, however large storage's ranges are."""


async def read_ahead(pieces: AsyncIterator[bytes], most: int) -> AsyncGenerator[bytes, None]:
    """The same pieces, and at their end the same error; about ``most`` bytes, at most ``AHEAD``, are read before they
    are asked for. Closing it stops the reading.
    """
    kept: deque[bytes] = deque()
    waiting, taken, there = 0, asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal waiting
        try:
            async for piece in pieces:
                kept.append(piece)
                waiting += len(piece)
                there.set()
                while waiting >= min(most, AHEAD):
                    taken.clear()
                    await taken.wait()
        finally:
            there.set()

    reading = asyncio.create_task(read(), name="read ahead")
    try:
        while True:
            there.clear()
            while kept:
                piece = kept.popleft()
                waiting -= len(piece)
                taken.set()
                yield piece
            if reading.done():
                break
            await there.wait()
        await reading  # raises what the pieces ended with
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
