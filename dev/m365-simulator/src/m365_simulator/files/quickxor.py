"""quickXorHash, which OneDrive and SharePoint give for every file: each byte is XORed 11 bits further than the last.

The 160 bits come round after 160 bytes, so bytes that are 160 apart fall on the same bits and can be folded together;
what a piece adds depends on its offset alone, so pieces may come in any order.
"""

import base64
from dataclasses import dataclass

BITS, STEP, BLOCK = 160, 11, 160
_ALL = (1 << BITS) - 1
ROW = 128 * BLOCK
"""Folded first: cutting very large numbers in halves takes longer than making them."""


def contribution(data: bytes, offset: int) -> int:
    """What ``data`` at ``offset`` adds to the 160 bits."""
    shift, folded = offset % BLOCK, 0
    for at in range(0, len(data), ROW):
        folded ^= int.from_bytes(data[at : at + ROW], "little")
    folded, length = folded << (8 * shift), min(len(data), ROW) + shift
    while length > BLOCK:
        half = -(-(length // 2) // BLOCK) * BLOCK or BLOCK
        folded = (folded & ((1 << (8 * half)) - 1)) ^ (folded >> (8 * half))
        length = max(half, length - half)
    found = 0
    for place, byte in enumerate(folded.to_bytes(BLOCK, "little")):
        bits = byte << (place * STEP % BITS)
        found ^= (bits & _ALL) ^ (bits >> BITS)
    return found


def digest(bits: int, size: int) -> str:
    """The hash of ``size`` bytes, base64: the length is XORed into the last eight bytes."""
    return base64.b64encode((bits ^ (size << (BITS - 64))).to_bytes(BITS // 8, "little")).decode()


def bits(digest_: str, size: int) -> int:
    """The bits behind a digest of ``size`` bytes, to go on from."""
    return int.from_bytes(base64.b64decode(digest_), "little") ^ (size << (BITS - 64))


@dataclass(slots=True)
class QuickXor:
    """For content that comes piece by piece, in order."""

    bits: int = 0
    size: int = 0

    def update(self, data: bytes) -> None:
        self.bits ^= contribution(data, self.size)
        self.size += len(data)

    def digest(self) -> str:
        return digest(self.bits, self.size)
