"""The recording: a small H.264 film of three uncoded frames in an MP4 box, made here."""

import functools
import struct
from collections.abc import Iterator

WIDTH_BLOCKS, HEIGHT_BLOCKS, FRAMES = 8, 6, 3
CHUNK = 64 * 1024


class Bits:
    """A bit string with the H.264 codes needed for one kind of frame."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, value: int, width: int) -> "Bits":
        self.text += format(value, f"0{width}b")
        return self

    def golomb(self, *values: int) -> "Bits":
        for value in values:
            code = format(value + 1, "b")
            self.text += "0" * (len(code) - 1) + code
        return self

    def align(self) -> "Bits":
        self.text += "0" * (-len(self.text) % 8)
        return self

    def done(self) -> bytes:
        self.fixed(1, 1).align()
        return int(self.text, 2).to_bytes(len(self.text) // 8)


def sequence_parameters() -> bytes:
    bits = Bits().golomb(0, 0, 2, 1).fixed(0, 1).golomb(WIDTH_BLOCKS - 1, HEIGHT_BLOCKS - 1)
    return b"\x67\x42\xc0\x0a" + bits.fixed(0b1100, 4).done()


def picture_parameters() -> bytes:
    bits = Bits().golomb(0, 0).fixed(0, 2).golomb(0, 0, 0).fixed(0, 3)
    return b"\x68" + bits.golomb(0, 0, 0).fixed(0, 3).done()


def frame(number: int) -> bytes:
    """One IDR picture whose blocks are all raw samples; a grey that changes from frame to frame."""
    bits = Bits().golomb(0, 7, 0).fixed(0, 4).golomb(number % 2).fixed(0, 2).golomb(0)
    luma = 60 + number * 60
    for block in range(WIDTH_BLOCKS * HEIGHT_BLOCKS):
        bits.golomb(25).align()
        samples = bytes([luma + block]) * 256 + b"\x80" * 128
        bits.text += format(int.from_bytes(samples), f"0{len(samples) * 8}b")
    return b"\x65" + bits.done()


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name) + body


def full(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", flags), *parts)


MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def _sample_table(sizes: list[int], offset: int) -> bytes:
    sps, pps = sequence_parameters(), picture_parameters()
    avcc = b"\x01" + sps[1:4] + b"\xff\xe1" + struct.pack(">H", len(sps)) + sps
    avcc += b"\x01" + struct.pack(">H", len(pps)) + pps
    visual = struct.pack(
        ">6xH16xHHIIIH32xHh", 1, WIDTH_BLOCKS * 16, HEIGHT_BLOCKS * 16, 0x480000, 0x480000, 0, 1, 24, -1
    )
    return box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), box(b"avc1", visual, box(b"avcC", avcc))),
        full(b"stts", struct.pack(">III", 1, FRAMES, 1000)),
        full(b"stsc", struct.pack(">IIII", 1, 1, FRAMES, 1)),
        full(b"stsz", struct.pack(">II", 0, FRAMES), struct.pack(f">{FRAMES}I", *sizes)),
        full(b"stco", struct.pack(">II", 1, offset)),
    )


def _movie(sizes: list[int], offset: int) -> bytes:
    length = FRAMES * 1000
    size = struct.pack(">II", WIDTH_BLOCKS * 16 << 16, HEIGHT_BLOCKS * 16 << 16)
    head = struct.pack(">IIIIIH10x", 0, 0, 1000, length, 0x10000, 0x0100) + MATRIX + struct.pack(">24xI", 2)
    track = struct.pack(">IIIIIQhhhH", 0, 0, 1, 0, length, 0, 0, 0, 0, 0) + MATRIX + size
    media = box(
        b"minf",
        full(b"vmhd", bytes(8), flags=1),
        box(b"dinf", full(b"dref", struct.pack(">I", 1), full(b"url ", flags=1))),
        _sample_table(sizes, offset),
    )
    handler = full(b"hdlr", struct.pack(">I4s12x", 0, b"vide") + b"Recording\x00")
    mdia = box(b"mdia", full(b"mdhd", struct.pack(">IIIIHH", 0, 0, 1000, length, 0x55C4, 0)), handler, media)
    return box(b"moov", full(b"mvhd", head), box(b"trak", full(b"tkhd", track, flags=3), mdia))


@functools.cache
def film() -> bytes:
    """The whole file, about 55 KB."""
    samples = [struct.pack(">I", len(data)) + data for data in map(frame, range(FRAMES))]
    sizes = [len(sample) for sample in samples]
    start = box(b"ftyp", b"isom\x00\x00\x02\x00isomavc1mp41")
    offset = len(start) + len(_movie(sizes, 0)) + 8
    return start + _movie(sizes, offset) + box(b"mdat", *samples)


def content(size: int | None, first: int, last: int) -> Iterator[bytes]:
    """Bytes ``first`` to ``last`` inclusive of the film, or of ``size`` deterministic bytes made as they are read."""
    pattern = bytes(range(251)) * (CHUNK // 251 + 2)
    while first <= last:
        count = min(CHUNK, last - first + 1)
        yield film()[first : first + count] if size is None else pattern[first % 251 : first % 251 + count]
        first += count
