"""quickXorHash against published values and against the algorithm said bit by bit."""

import base64
import itertools
import random

import pytest

from m365_simulator.files import content, quickxor

PUBLISHED = {
    "": "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "Sg==": "SgAAAAAAAAAAAAAAAQAAAAAAAAA=",
    "tbQ=": "taAFAAAAAAAAAAAAAgAAAAAAAAA=",
    "0pZP": "0rDEEwAAAAAAAAAAAwAAAAAAAAA=",
    "jRRDVA==": "jaDAEKgAAAAAAAAABAAAAAAAAAA=",
    "eAV52qE=": "eChAHrQRCgAAAAAABQAAAAAAAAA=",
    "luBZlaT6": "lgBHFipBCn0AAAAABgAAAAAAAAA=",
    "qaApEj66lw==": "qQBFCiTgA11cAgAABwAAAAAAAAA=",
    "/aNzzCFPS/A=": "/RjFHJgRgicsAR4ACAAAAAAAAAA=",
}


def bit_by_bit(data: bytes) -> str:
    bits = [0] * 160
    for number, byte in enumerate(data):
        for place in range(8):
            bits[(number * 11 + place) % 160] ^= byte >> place & 1
    for place in range(64):
        bits[96 + place] ^= len(data) >> place & 1
    whole = sum(bit << place for place, bit in enumerate(bits))
    return base64.b64encode(whole.to_bytes(20, "little")).decode()


def hashed(data: bytes) -> str:
    found = quickxor.QuickXor()
    found.update(data)
    return found.digest()


@pytest.mark.behaviour(51)
@pytest.mark.parametrize(("data", "wanted"), PUBLISHED.items())
def test_published_values_come_out(data: str, wanted: str) -> None:
    assert hashed(base64.b64decode(data)) == wanted


@pytest.mark.parametrize("size", [19, 20, 159, 160, 161, 319, 320, 321, 1000, 4097, 50_001])
def test_any_size_agrees_with_the_algorithm_said_bit_by_bit(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert hashed(data) == bit_by_bit(data)


def test_pieces_may_come_in_any_order_and_size() -> None:
    data, draw = random.Random(1).randbytes(10_000), random.Random(2)
    cuts = sorted({0, len(data), *(draw.randrange(len(data)) for _ in range(20))})
    pieces = list(itertools.pairwise(cuts))
    draw.shuffle(pieces)
    bits = 0
    for first, end in pieces:
        bits ^= quickxor.contribution(data[first:end], first)
    assert quickxor.digest(bits, len(data)) == hashed(data)


@pytest.mark.parametrize("size", [0, 1, 40_160, 80_320, 80_321, 300_000])
def test_the_hash_of_generated_content_is_known_without_making_it(size: int) -> None:
    whole = b"".join(content.generated(0, size - 1))
    assert len(whole) == size
    assert content.generated_hash(size) == hashed(whole)
