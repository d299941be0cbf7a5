"""Verbs about what the organizer does to a meeting in Outlook beside moving and cancelling it."""

from typing import Literal

from m365_simulator.core import Simulator
from m365_simulator.named import person_row
from m365_simulator.outlook import calendar_items, zones
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
    recurrence: Row | None = None,
    occurrence: int | None = None,
) -> Row:
    """The organizer changes subject, attendees, text or rule in Outlook; `occurrence` (from 1) means that one only."""
    given: Row = {} if subject is None else {"subject": subject}
    if attendees is not None:
        given["attendees"] = [{"emailAddress": {"address": one}, "type": "required"} for one in attendees]
    if body is not None:
        given["body"] = {"contentType": "html", "content": body}
    if recurrence is not None:
        given["recurrence"] = recurrence
    calendar_items.change(simulator, meeting_view(simulator, meeting, occurrence), given)
    return meeting_row(simulator, meeting)


@verb
def meeting_rezoned(
    simulator: Simulator, *, meeting: str, zone: str, occurrence: int | None = None, same_moment: bool = False
) -> Row:
    """The organizer chooses another time zone in Outlook, by its Windows or IANA name; `occurrence` as above.

    The clock shows the same there, so the meeting moves; with `same_moment` it stays when it is.
    """
    view = meeting_view(simulator, meeting, occurrence)
    if not zones.is_known(zone):
        raise Refused(f"The time zone '{zone}' is not known.")
    given: Row = {}
    for name, before in zip(("start", "end"), view["zones"], strict=True):
        shown = zones.shown(view[name], zone if same_moment else before)
        if (
            view["type"] == "seriesMaster"
            and shown["dateTime"][:10] != zones.shown(view[name], before)["dateTime"][:10]
        ):
            raise Refused("The days of the series would be other ones; change its rule too.")
        given[name] = shown | {"timeZone": zone}
    calendar_items.change(simulator, view, given)
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
