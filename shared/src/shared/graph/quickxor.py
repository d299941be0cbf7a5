"""quickXorHash, the one hash that SharePoint gives of every file: 160 bits, of which each byte moves on by eleven.

Source: Microsoft's "Code Snippets: QuickXorHash Algorithm". It is linear: what a byte adds depends on its place alone,
so 20 bytes and a position are all there is to remember, and another process goes on from them.
"""

import base64
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from shared.graph.upload import Source

_BITS, _STEP, _BLOCK = 160, 11, 160
_MASK = (1 << _BITS) - 1
_ROW = 128 * _BLOCK
"""XORed first: cutting numbers of hundreds of kilobytes in halves takes three times as long as making them."""


@dataclass(slots=True)
class QuickXor:
    """The hash of the first ``size`` bytes, which are given piece by piece and in order."""

    size: int = 0
    bits: int = 0
    """The hash without the length."""
    _ring: int = 0
    """Bytes not spread yet; the bits repeat after 160 bytes, so bytes that are 160 apart may be XORed first."""

    def update(self, piece: bytes | memoryview) -> None:
        shift, length, folded, view = self.size % _BLOCK, len(piece), 0, memoryview(piece)
        for at in range(0, length, _ROW):
            folded ^= int.from_bytes(view[at : at + _ROW], "little")
        folded, width = folded << 8 * shift, min(length, _ROW) + shift
        while width > _BLOCK:
            half = -(-width // (2 * _BLOCK)) * _BLOCK
            folded = (folded & ((1 << 8 * half) - 1)) ^ (folded >> 8 * half)
            width = half
        self._ring ^= folded
        self.size += length

    def digest(self) -> str:
        """Base64, as ``file.hashes.quickXorHash`` has it."""
        self._spread()
        whole = self.bits ^ (self.size << (_BITS - 64))
        return base64.b64encode((whole & _MASK).to_bytes(_BITS // 8, "little")).decode()

    def state(self) -> list[int | str]:
        """The state that ``of_state`` continues from, as JSON."""
        self._spread()
        return [self.size, base64.b64encode(self.bits.to_bytes(_BITS // 8, "little")).decode()]

    @classmethod
    def of_state(cls, state: list[int | str]) -> "QuickXor":
        return cls(int(state[0]), int.from_bytes(base64.b64decode(str(state[1])), "little"))

    def _spread(self) -> None:
        for place, byte in enumerate(self._ring.to_bytes(_BLOCK, "little")):
            bits = byte << (place * _STEP % _BITS)
            self.bits ^= (bits & _MASK) ^ (bits >> _BITS)
        self._ring = 0


@dataclass(slots=True)
class BothHashes(QuickXor):
    """SHA-256 of the same bytes beside it. Its state cannot be kept, so only who began at byte 0 has it."""

    _sha: Any = field(default_factory=hashlib.sha256)

    def update(self, piece: bytes | memoryview) -> None:
        QuickXor.update(self, piece)
        self._sha.update(piece)

    def sha256(self) -> str:
        """SHA-256 of the first ``size`` bytes, in hexadecimal digits."""
        return str(self._sha.hexdigest())


def hashing(source: Source, hashed: QuickXor) -> Source:
    """The same bytes, each hashed once and in order, wherever sending begins; a gap in the hash is read again."""

    async def pieces(position: int) -> AsyncGenerator[bytes, None]:
        at = min(position, hashed.size)
        async with aclosing(source(at)) as coming:
            async for piece in coming:
                until = at + len(piece)
                if until > hashed.size:
                    hashed.update(piece[hashed.size - at :])
                if until > position:
                    yield piece[max(0, position - at) :]
                at = until

    return pieces


async def hash_rest(source: Source, hashed: QuickXor, size: int) -> None:
    """Hash what is missing of a file of ``size`` bytes, such as what another process sent."""
    if hashed.size < size:
        async with aclosing(source(hashed.size)) as coming:
            async for piece in coming:
                hashed.update(piece[: size - hashed.size])
