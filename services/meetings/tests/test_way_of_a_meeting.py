"""The way of a booked meeting through the files of this service is short, and the architecture page draws it."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import meetings

HERE = f"{Path(meetings.__file__).parent}/"
PAGE = Path(__file__).resolve().parents[3] / "docs/architecture.md"
OF_GRAPH = {"agenda.py", "repeating.py"}
"""Each writes and reads one part of an event for ``graph.py``, whose line of the drawing names them."""


class Stay:
    """Calls into one file, made in a row by one stay in another file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.within: list[Stay] = []

    def enter(self, file: str) -> "Stay":
        if file == self.file:
            return self
        if not self.within or self.within[-1].file != file:
            self.within.append(Stay(file))
        return self.within[-1]

    def listed(self, depth: int = 0) -> Iterator[tuple[int, str]]:
        """Every stay within this one, in order, with how deep it is in calls."""
        for stay in self.within:
            yield depth, stay.file
            yield from stay.listed(depth + 1)


@contextmanager
def walked(function: str) -> Iterator[Stay]:
    """The stays of what ``function`` of a job calls meanwhile."""
    start, stays, before = Stay(""), dict[FrameType, Stay](), sys.gettrace()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or frame in stays or not code.co_filename.startswith(HERE):
            return
        caller = frame.f_back
        while caller is not None and caller not in stays:
            caller = caller.f_back
        if caller is not None or code.co_name == function:
            stay = start if caller is None else stays[caller]
            stays[frame] = stay.enter(code.co_filename.removeprefix(HERE))

    sys.settrace(note)
    try:
        yield start
    finally:
        sys.settrace(before)
        stays.clear()  # frames hold what they used


async def test_the_way_of_a_booked_meeting_enters_no_file_more_than_twice(house: Any) -> None:
    await house.connect()
    await house.work()
    await house.post()
    with walked("schedule") as start:
        await house.work()
    went = [(depth, file) for depth, file in start.listed() if file not in OF_GRAPH]
    assert [file for file, count in Counter(file for _, file in went).items() if count > 2] == []
    drawing = PAGE.read_text().partition("## The way of a booked meeting")[2].partition("\n## ")[0]
    drawn = re.findall(r"^( *)meetings/(\w+\.py)", drawing, re.MULTILINE)
    assert [(len(indent) // 2 - 1, file) for indent, file in drawn] == went
