"""Verbs about what the organizer does to a meeting in Outlook beside moving and cancelling it."""

from typing import Literal

from m365_simulator.core import Simulator
from m365_simulator.named import person_row
from m365_simulator.outlook import calendar_items
from m365_simulator.outlook.calendar_views import find
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

from .happenings import meeting_row, meeting_view


@verb
def meeting_edited(
    simulator: Simulator,
    *,
    meeting: str,
    subject: str | None = None,
    attendees: list[str] | None = None,
    body: str | None = None,
    occurrence: int | None = None,
) -> Row:
    """The organizer changes subject, attendees or text in Outlook; `occurrence` (from 1) means that one only."""
    given: Row = {} if subject is None else {"subject": subject}
    if attendees is not None:
        given["attendees"] = [{"emailAddress": {"address": one}, "type": "required"} for one in attendees]
    if body is not None:
        given["body"] = {"contentType": "html", "content": body}
    calendar_items.change(simulator, meeting_view(simulator, meeting, occurrence), given)
    return meeting_row(simulator, meeting)


@verb
def meeting_restored(simulator: Simulator, *, meeting: str) -> Row:
    """The organizer puts a cancelled event back from Deleted Items."""
    row = meeting_row(simulator, meeting)
    if not row["cancelled"] or calendar_items.restore(simulator, row.get("event") or "") is None:
        raise Refused("There is no cancelled event of this meeting.")
    return meeting_row(simulator, meeting)


@verb
def meeting_shortened(simulator: Simulator, *, meeting: str, occurrences: int) -> Row:
    """The organizer ends the series after so many occurrences."""
    view = meeting_view(simulator, meeting, None)
    if view["type"] != "seriesMaster":
        raise Refused("The meeting is no series.")
    pattern = view["body"]["recurrence"]
    first = pattern["range"]["startDate"]
    reach = {"type": "numbered", "startDate": first, "numberOfOccurrences": occurrences}
    calendar_items.change(simulator, view, {"recurrence": {"pattern": pattern["pattern"], "range": reach}})
    return meeting_row(simulator, meeting)


@verb
def meeting_answered(
    simulator: Simulator,
    *,
    meeting: str,
    person: str,
    answer: Literal["accepted", "declined", "tentativelyAccepted"],
    silently: bool = False,
    propose: Row | None = None,
) -> None:
    """An attendee answers; `silently` without a response. `propose` is another time, {"start", "end"} in UTC."""
    guest = person_row(simulator, person)
    event = meeting_row(simulator, meeting).get("event")
    copies = [one for one in simulator.store.all("event_copies") if (one["of"], one["user"]) == (event, guest["id"])]
    view = find(simulator.store, guest, copies[0]["id"]) if copies else None
    if view is None:
        raise Refused(f"{person} has no invitation to this meeting.")
    calendar_items.answer_invitation(simulator, view, answer, tells=not silently, proposed=propose)
