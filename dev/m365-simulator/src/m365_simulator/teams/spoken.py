"""What was said, as Teams writes it down: WebVTT in the forms that occur, and the cues as JSON."""

import datetime
import json
from collections.abc import Callable, Iterator

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row

SAID = (
    (1.5, 4.25, 0, "Hello everyone, shall we begin?"),
    (5.0, 9.75, 1, "Yes. The offer goes out on Friday."),
    (10.125, 14.0, 0, "Then we are agreed. Thank you."),
)
SOMEBODY = "Ben Berg"
HUGE = 40_000
"""Cues of the huge form, about 3 MB."""
Cue = tuple[float, float, str, str]


def speakers(simulator: Simulator, row: Row) -> list[str]:
    """The organizer and somebody else who came."""
    others = [who for who in row.get("came", []) if who != row["organizer"]]
    organizer = (simulator.store.get("users", row["organizer"]) or {}).get("name", "Organizer")
    other = (simulator.store.get("users", others[0]) or {}).get("name", others[0]) if others else SOMEBODY
    return [organizer, other]


def cues(simulator: Simulator, row: Row, count: int = 0) -> Iterator[Cue]:
    """The usual three, or as many as asked, one after the other."""
    names = speakers(simulator, row)
    for number in range(count or len(SAID)):
        start, end, who, words = SAID[number % len(SAID)]
        later = number // len(SAID) * 15.0
        yield start + later, end + later, names[who], words


def bare(seconds: float) -> str:
    """Unpadded, as Teams writes it: ``0:0:1.5``; before the recording began with a minus."""
    minutes, rest = divmod(abs(seconds), 60)
    fraction = f"{rest:.3f}".rstrip("0")
    sign, end = ("-" if seconds < 0 else ""), ("0" if fraction.endswith(".") else "")
    return f"{sign}{int(minutes) // 60}:{int(minutes) % 60}:{fraction}{end}"


def padded(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{thousandths:03d}"


def _cue(cue: Cue, clock: Callable[[float], str] = bare, *, voice: bool = True) -> str:
    start, end, who, words = cue
    said = f"<v {who}>{words}</v>" if voice else words
    return f"{clock(start)} --> {clock(end)}\n{said}\n\n"


def _lines(cue: Cue) -> str:
    start, end, who, words = cue
    return f"{bare(start)} --> {bare(end)}\n<v {who}>{words.replace(' ', chr(10), 1)}</v>\n\n"


FORMS: dict[str, Callable[[Cue], str]] = {
    "usual": _cue,
    "huge": _cue,
    "padded": lambda cue: _cue(cue, padded),
    "no_names": lambda cue: _cue(cue, voice=False),
    "many_lines": _lines,
    "negative": lambda cue: _cue((cue[0] - 3, cue[1] - 3, *cue[2:])),
    "windows_lines": lambda cue: _cue(cue).replace("\n", "\r\n"),
}
EMPTY = {"empty": "", "only_header": "WEBVTT\n\n"}


def form(simulator: Simulator, row: Row) -> str:
    meeting = simulator.store.get("meetings", row["meeting"]) or {}
    everywhere = simulator.store.get("settings", "transcript_form") or {"value": "usual"}
    return str(meeting.get("transcript_form") or everywhere["value"])


def text(simulator: Simulator, row: Row, *, named: bool) -> Iterator[str]:
    """The transcript bit by bit; without names of speakers when it must be."""
    how = form(simulator, row)
    if how in EMPTY:
        yield EMPTY[how]
        return
    write = FORMS[how] if named else FORMS["no_names"]
    yield "WEBVTT\r\n\r\n" if how == "windows_lines" else "WEBVTT\n\n"
    for cue in cues(simulator, row, HUGE if how == "huge" else 0):
        yield write(cue)


def metadata(simulator: Simulator, row: Row, *, named: bool) -> Iterator[str]:
    """Padded times, and a JSON object as the cue's text."""
    began = moment_of(row["createdDateTime"])
    yield "WEBVTT\n\n"
    if form(simulator, row) in EMPTY:
        return
    for start, end, who, words in cues(simulator, row, HUGE if form(simulator, row) == "huge" else 0):
        times = [stamp(began + datetime.timedelta(seconds=at)) for at in (start, end)]
        cue = {"startDateTime": times[0], "endDateTime": times[1], "speakerName": who if named else None}
        cue |= {"spokenText": words, "spokenLanguage": "en-us"}
        yield f"{padded(start)} --> {padded(end)}\n{json.dumps(cue)}\n\n"
