"""Reading ahead: what comes next is fetched while the present piece is worked on."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

Piece = TypeVar("Piece")


async def read_ahead(
    pieces: AsyncIterator[Piece], most: int, weigh: Callable[[Piece], int]
) -> AsyncGenerator[Piece, None]:
    """The same pieces, and at their end the same error; about ``most``, by the sum of what they ``weigh``, are read
    before they are asked for. Closing it stops the reading.
    """
    kept: deque[Piece] = deque()
    waiting, taken, there = 0, asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal waiting
        try:
            async for piece in pieces:
                kept.append(piece)
                waiting += weigh(piece)
                there.set()
                while waiting >= most:
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
                waiting -= weigh(piece)
                taken.set()
                yield piece
            if reading.done():
                break
            await there.wait()
        await reading  # raises what the pieces ended with
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def ahead(
    source: Callable[[int], AsyncGenerator[bytes, None]], most: int
) -> Callable[[int], AsyncGenerator[bytes, None]]:
    """The same source of a file's bytes, about ``most`` of them read ahead, with all that is done as they are read."""

    async def pieces(position: int) -> AsyncGenerator[bytes, None]:
        async with (
            aclosing(source(position)) as coming,
            aclosing(read_ahead(coming, most, len)) as read,
        ):
            async for piece in read:
                yield piece

    return pieces
