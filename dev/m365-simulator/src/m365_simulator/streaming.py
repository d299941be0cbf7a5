"""Bodies that are made while they are sent."""

from collections.abc import AsyncIterator, Iterable

from fastapi.responses import StreamingResponse

LEAST = 64 * 1024


def streamed(
    pieces: Iterable[str | bytes], status: int = 200, headers: dict[str, str] | None = None, *, kind: str
) -> StreamingResponse:
    return StreamingResponse(_joined(pieces), status, headers, kind)


async def _joined(pieces: Iterable[str | bytes]) -> AsyncIterator[bytes]:
    """Small pieces together. They are made in the event loop: Starlette takes a thread for each one otherwise."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece.encode() if isinstance(piece, str) else piece
        if len(waiting) >= LEAST:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
