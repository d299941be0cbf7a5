"""Teams' transcripts, as they really are: WebVTT with unpadded times, with or without speakers, or plain text.

The text of a cue may be a JSON object (``metadataContent``), which names the speaker and the words.

Ordinary WebVTT parsers refuse ``0:0:1.5``. This one takes any text and loses no spoken word: what it does not
understand it keeps as something said. Its time grows with the text's length, and it ends when it is given no more.
"""

import asyncio
import html
import json
import re
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import chain, islice

_NAME_LENGTH = 100
_TIME = r"-?(?:-?[0-9]{1,9}:){1,2}-?[0-9]{1,9}(?:[.,][0-9]{1,9})?"
_TIMING = re.compile(rf"\s*(?P<start>{_TIME})\s*-->\s*(?P<end>{_TIME})(?:\s.*)?")
_HEADER = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:[ \t].*)?", re.DOTALL)
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?(?:\s([^<>]*))?>|</v\s*>")
_MARKUP = re.compile(r"</?(?:c|i|b|u|ruby|rt|lang)(?:[.\s][^<>]*)?>|<(?:[0-9]+:)+[0-9.]+>")
_NO_CHARACTER = r"\x00-\x08\x0e-\x1f\x7f\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{_NO_CHARACTER}]")
_BETWEEN_BLOCKS = re.compile(rf"\n[ \t{_NO_CHARACTER}]*(?:\n[ \t{_NO_CHARACTER}]*)+")
AT_ONCE = 5_000
"""Lines that are in memory at the same time."""


class TakesTooLong(Exception):
    """The text was not read within the time given, or has more lines than people could have spoken."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something said. Times are milliseconds from the start of the recording; negative ones happen."""

    speaker: str | None
    start_ms: int
    end_ms: int
    text: str


class Reading:
    """A transcript on its way in. ``count`` and ``speakers`` are of the lines that came so far."""

    def __init__(self, text: str, within_s: float = float("inf"), most_lines: int = sys.maxsize) -> None:
        self.count = 0
        self._speakers: dict[str, None] = {}
        self._lines = _bounded(text, within_s, most_lines)

    @property
    def speakers(self) -> list[str]:
        """The speakers in the order they first spoke."""
        return list(self._speakers)

    async def batches(self) -> AsyncGenerator[list[Line], None]:
        """The lines, parsed beside the event loop, which goes on meanwhile. Raises ``TakesTooLong``."""
        while batch := await asyncio.to_thread(list, islice(self._lines, AT_ONCE)):
            self.count += len(batch)
            self._speakers |= dict.fromkeys(line.speaker for line in batch if line.speaker)
            yield batch


def parse(text: str, within_s: float = float("inf"), most_lines: int = sys.maxsize) -> list[Line]:
    """Whatever Graph answers as a transcript's content. Raises ``TakesTooLong``."""
    return list(_bounded(text, within_s, most_lines))


def _bounded(text: str, within_s: float, most_lines: int) -> Iterator[Line]:
    """The time is that of the processor, so that a busy machine refuses nothing that another takes."""
    left_s, count, since = within_s, 0, time.thread_time()
    for line in _lines(text):
        if time.thread_time() - since > left_s or (line is not None and count == most_lines):
            raise TakesTooLong
        if line is not None:
            count += 1
            left_s -= time.thread_time() - since
            yield line
            since = time.thread_time()  # the next may be asked for in another thread


def _lines(text: str) -> Iterator[Line | None]:
    """None for a piece in which nothing is said, so that whoever reads can stop there too."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    start_ms = end_ms = 0
    for number, block in enumerate(_blocks(text)):
        yield None
        timed = next((place for place, line in enumerate(block) if _TIMING.fullmatch(line)), None)
        if timed is None:
            if not _is_comment(number, block):
                yield from _said("\n".join(block), start_ms, end_ms)
            continue
        if timed > 1 and not _is_comment(number, block):  # more than a cue's own name stands before the times
            yield from _said("\n".join(block[:timed]), start_ms, end_ms)
        for start_ms, end_ms, words in _cues(block[timed:]):
            yield from _said(words, start_ms, end_ms)


def _blocks(text: str) -> Iterator[list[str]]:
    """One after the other: the blocks of a long text together would take several times its memory."""
    begin = 0
    for end, then in chain((gap.span() for gap in _BETWEEN_BLOCKS.finditer(text)), [(len(text), len(text))]):
        block = _UNPRINTABLE.sub(" ", text[begin:end])
        begin = then
        lines = [line for line in block.split("\n") if line.strip()]
        if lines:
            yield lines


def _is_comment(number: int, block: list[str]) -> bool:
    """The header is the first block only; notes may stand anywhere, styles only before what is said."""
    first = block[0].strip()
    if not _HEADER.fullmatch(first):
        return False
    return first.startswith("NOTE") or number == 0 or first in {"STYLE", "REGION"}


def _cues(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Cues of one block; some writers leave out the empty line between them."""
    words: list[str] = []
    start_ms = end_ms = 0
    for line in lines:
        timing = _TIMING.fullmatch(line)
        if timing is None:
            words.append(line)
            continue
        if words:
            yield start_ms, end_ms, "\n".join(words)
        words = []
        start_ms, end_ms = _milliseconds(timing["start"]), _milliseconds(timing["end"])
    yield start_ms, end_ms, "\n".join(words)


def _said(words: str, start_ms: int, end_ms: int) -> Iterator[Line | None]:
    """One line for each voice of a cue; None where a voice says nothing."""
    described = _described(words)
    if described is not None:
        yield Line(described[0], start_ms, end_ms, described[1]) if described[1] else None
        return
    speaker, place = None, 0
    for tag in chain(_VOICE.finditer(words), [None]):
        spoken = _plain(words[place : tag.start() if tag else len(words)])
        yield Line(speaker, start_ms, end_ms, spoken) if spoken else None
        if tag is not None:
            speaker = _plain(tag[1] or "")[:_NAME_LENGTH] or None
            place = tag.end()


def _described(words: str) -> tuple[str | None, str] | None:
    """Speaker and words of a cue that is a JSON object; None when it is not one of Teams'."""
    if not words.lstrip().startswith("{"):
        return None
    try:
        cue = json.loads(words)
    except (ValueError, RecursionError):
        return None
    if not isinstance(cue, dict) or not isinstance(cue.get("spokenText"), str):
        return None
    speaker = _printable(str(cue.get("speakerName") or ""))[:_NAME_LENGTH]
    return speaker or None, _printable(cue["spokenText"])


def _printable(words: str) -> str:
    return " ".join(_UNPRINTABLE.sub(" ", words).split())


def _plain(words: str) -> str:
    words = _MARKUP.sub("", words)
    try:
        return _printable(html.unescape(words))
    except ValueError:  # a number of more digits than Python reads
        return _printable(words)


def _milliseconds(time: str) -> int:
    """Hours or none, unpadded; a minus anywhere means before the recording began."""
    parts = time.replace("-", "").replace(",", ".").split(":")
    seconds = 0
    for part in parts[:-1]:
        seconds = (seconds + int(part)) * 60
    whole, _, fraction = parts[-1].partition(".")
    value = (seconds + int(whole)) * 1000 + int(f"{fraction:0<3}"[:3])
    return -value if "-" in time else value
