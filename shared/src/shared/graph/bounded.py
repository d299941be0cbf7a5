"""An answer of Microsoft read into memory, as far as any of its answers may be long."""

import httpx

from shared.graph.errors import GraphGiveUp

ANSWER_MAX_BYTES = 16 * 1024 * 1024
"""Unpacked: what is small on the way may be large in memory. The largest page of a list is a few of these."""
TOO_LARGE = "answer_too_large"
"""Code of the refusal to read on."""


async def read(answer: httpx.Response) -> None:
    """Read the body as ``aread`` does. Raises ``GraphGiveUp`` beyond ``ANSWER_MAX_BYTES``."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.aiter_bytes():
        size += len(chunk)
        if size > ANSWER_MAX_BYTES:
            message = f"Microsoft answered with more than {ANSWER_MAX_BYTES} bytes."
            raise GraphGiveUp(message, answer.status_code, TOO_LARGE)
        chunks.append(chunk)
    answer._content = b"".join(chunks)  # noqa: SLF001 - where aread puts it
