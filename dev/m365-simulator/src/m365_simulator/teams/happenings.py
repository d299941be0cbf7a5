"""Verbs about meetings: what people do in Teams and Outlook, and what administrators allow."""

import datetime
from typing import Literal

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import find_tenant
from m365_simulator.named import person_row, tenant_row
from m365_simulator.outlook import calendar_items, zones
from m365_simulator.outlook.calendar_views import find, occurrences, own
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

from . import lifecycle, policies, spoken

Seconds = float | Literal["never"] | None


def meeting_row(simulator: Simulator, name: str) -> Row:
    for row in simulator.store.all("meetings"):
        if name in (row["id"], row["join_url"]):
            return row
    raise Refused(f"There is no meeting '{name}'; give its id or its join URL.")


def _steered(simulator: Simulator, name: str) -> Row:
    """From the first verb about it on, the meeting does nothing by itself."""
    row = meeting_row(simulator, name)
    if row["cancelled"]:
        raise Refused("The meeting is cancelled.")
    row["steered"] = True
    simulator.store.put("meetings", row["id"], row)
    lifecycle.plan(simulator, row)
    return row


@verb
def meeting_booked(
    simulator: Simulator,
    *,
    organizer: str,
    attendees: list[str] | None = None,
    subject: str = "Meeting",
    in_minutes: float = 30,
    minutes: float = 30,
    record: bool = True,
    transcribe: bool = True,
    weeks: int = 1,
) -> Row:
    """Somebody books a Teams meeting in Outlook, once or weekly; gives the meeting."""
    user = person_row(simulator, organizer)
    start = simulator.now() + datetime.timedelta(minutes=in_minutes)
    body: Row = {
        "subject": subject,
        "start": _local(start),
        "end": _local(start + datetime.timedelta(minutes=minutes)),
        "attendees": [{"emailAddress": {"address": address}} for address in attendees or []],
        "isOnlineMeeting": True,
    }
    if weeks > 1:
        pattern = {"type": "weekly", "interval": 1, "daysOfWeek": [f"{start:%A}".lower()]}
        reach = {"type": "numbered", "startDate": f"{start:%Y-%m-%d}", "numberOfOccurrences": weeks}
        body["recurrence"] = {"pattern": pattern, "range": reach}
    event = calendar_items.create(simulator, user, body)
    if event["meeting"] is None:
        raise Refused(f"{organizer} may not have Teams meetings.")
    meeting = meeting_row(simulator, event["meeting"])
    meeting |= {"recordAutomatically": record, "allowTranscription": transcribe}
    return simulator.store.put("meetings", meeting["id"], meeting)


def _local(moment: datetime.datetime) -> Row:
    return {"dateTime": f"{moment:%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"}


@verb
def meeting_rescheduled(
    simulator: Simulator, *, meeting: str, later_minutes: float, occurrence: int | None = None
) -> Row:
    """The organizer moves the event in Outlook; `occurrence` (from 1) moves that one of a series only."""
    view = meeting_view(simulator, meeting, occurrence)
    later = datetime.timedelta(minutes=later_minutes)
    body = {
        name: zones.shown(stamp(moment_of(view[name]) + later), zone)
        for name, zone in zip(("start", "end"), view["zones"], strict=True)
    }
    calendar_items.change(simulator, view, body)
    return meeting_row(simulator, meeting)


@verb
def meeting_cancelled(simulator: Simulator, *, meeting: str, occurrence: int | None = None) -> Row:
    """The organizer cancels the event in Outlook, or one occurrence of a series."""
    calendar_items.remove(simulator, meeting_view(simulator, meeting, occurrence))
    return meeting_row(simulator, meeting)


def meeting_view(simulator: Simulator, meeting: str, occurrence: int | None) -> Row:
    row = meeting_row(simulator, meeting)
    view = find(simulator.store, {"id": row["organizer"]}, row.get("event") or "")
    if view is None:
        raise Refused("The meeting has no event in a calendar.")
    if occurrence is None:
        return view
    each = list(occurrences(own(view))) if view["type"] == "seriesMaster" else []
    if not 1 <= occurrence <= len(each):
        raise Refused(f"The meeting has {len(each)} occurrences.")
    return each[occurrence - 1]


@verb
def meeting_attended_by(simulator: Simulator, *, meeting: str, people: list[str]) -> Row:
    """Who comes when the meeting takes place by itself; an empty list is nobody."""
    row = meeting_row(simulator, meeting)
    return simulator.store.put("meetings", row["id"], row | {"comes": people})


@verb
def meeting_starts(simulator: Simulator, *, meeting: str, people: list[str]) -> Row:
    """A call begins now with these people, whatever is booked; gives the call."""
    row = _steered(simulator, meeting)
    if not people:
        raise Refused("A call needs somebody.")
    for name in people:
        call = lifecycle.join(simulator, row, name, simulator.now())
    return call


@verb
def person_joins(simulator: Simulator, *, meeting: str, person: str) -> Row:
    """Somebody joins; a meeting that was left by all is taken up again as a new call."""
    return lifecycle.join(simulator, _steered(simulator, meeting), person, simulator.now())


@verb
def person_leaves(simulator: Simulator, *, meeting: str, person: str) -> None:
    """Somebody leaves; the last to leave ends the call."""
    lifecycle.leave(simulator, _steered(simulator, meeting), person, simulator.now())


@verb
def recording_starts(
    simulator: Simulator, *, meeting: str, record: bool = True, transcribe: bool | None = None
) -> None:
    """Somebody presses record; `transcribe` null follows the meeting's option."""
    row = _steered(simulator, meeting)
    why = lifecycle.start_recording(simulator, row, simulator.now(), record=record, transcribe=transcribe)
    if why is not None:
        raise Refused(why)


@verb
def recording_stops(simulator: Simulator, *, meeting: str) -> None:
    """The recording and the transcription that run are stopped."""
    if not lifecycle.stop_recording(simulator, _steered(simulator, meeting), simulator.now()):
        raise Refused("Nothing is being recorded.")


@verb
def meeting_ends(simulator: Simulator, *, meeting: str) -> Row:
    """The call ends for everybody; its artefacts are on their way."""
    row = _steered(simulator, meeting)
    call = lifecycle.call_of(simulator, row["id"])
    if call is None:
        raise Refused("Nobody is in the meeting.")
    lifecycle.end(simulator, row, simulator.now())
    return call


@verb
def artefact_timing(
    simulator: Simulator,
    *,
    meeting: str | None = None,
    recordings: Seconds = None,
    transcripts: Seconds = None,
    notify: Seconds = None,
    readable: float | None = None,
    content: float | None = None,
) -> None:
    """Seconds from the call's end to its artefacts, then to their notification, GET and content; or `never`."""
    given = {"recordings": recordings, "transcripts": transcripts, "notify": notify}
    given |= {"readable": readable, "content": content}
    row = {f"{name}_s": None if value == "never" else value for name, value in given.items() if value is not None}
    if meeting is None:
        simulator.store.put("settings", "artefact_timing", row)
        return
    found = meeting_row(simulator, meeting)
    simulator.store.put("meetings", found["id"], found | {"timing": {**found.get("timing", {}), **row}})


@verb
def artefact_deleted(simulator: Simulator, *, artefact: str) -> Row:
    """The file of a recording or transcript is deleted; its description stays."""
    row = simulator.store.get("artefacts", artefact)
    if row is None:
        raise Refused(f"There is no recording or transcript '{artefact}'.")
    return simulator.store.put("artefacts", artefact, row | {"deleted": True})


@verb
def meeting_policy(
    simulator: Simulator,
    *,
    whose: str,
    online_meetings: bool | None = None,
    recording: bool | None = None,
    transcription: bool | None = None,
    speaker_names: bool | None = None,
    recordings_alone: bool | None = None,
    downloads: bool | None = None,
    attendees_download: bool | None = None,
) -> Row:
    """What a tenant (id or domain) or a person may do; null leaves a switch as it is."""
    found = find_tenant(simulator.store, whose) or person_row(simulator, whose)
    given = {"online_meetings": online_meetings, "recording": recording, "transcription": transcription}
    given |= {"speaker_names": speaker_names, "recordings_alone": recordings_alone}
    given |= {"downloads": downloads, "attendees_download": attendees_download}
    return policies.set_policy(simulator, found["id"], given)


@verb
def application_access_policy(
    simulator: Simulator, *, tenant: str, granted: bool, user: str | None = None, after: float = 0
) -> Row:
    """Let applications act on online meetings of everybody or of one person, in force `after` seconds."""
    found = tenant_row(simulator, tenant)
    oid = None if user is None else person_row(simulator, user)["id"]
    return policies.grant_access(simulator, found["id"], oid, granted=granted, after_s=after)


@verb
def recording_delivery(
    simulator: Simulator, *, redirect: bool = True, other_host: bool = False, ranges: bool = True
) -> None:
    """Whether a recording comes by a link or at once, from another host, and in ranges."""
    row = {"redirect": redirect, "other_host": other_host, "ranges": ranges}
    simulator.store.put("settings", "recording_delivery", row)


@verb
def transcript_form(simulator: Simulator, *, form: str, meeting: str | None = None) -> None:
    """How transcripts are written: usual, padded, no_names, many_lines, negative, huge, empty and others."""
    known = sorted([*spoken.FORMS, *spoken.EMPTY])
    if form not in known:
        raise Refused(f"There is no form '{form}'. Known: {', '.join(known)}.")
    if meeting is None:
        simulator.store.put("settings", "transcript_form", {"value": form})
        return
    row = meeting_row(simulator, meeting)
    simulator.store.put("meetings", row["id"], row | {"transcript_form": form})


@verb
def meeting_moment(simulator: Simulator, *, meeting: str) -> Row:
    """What is known of a meeting now: the call that runs, and how many there were."""
    row = meeting_row(simulator, meeting)
    calls = simulator.store.where("calls", "meeting", row["id"])
    running = lifecycle.call_of(simulator, row["id"])
    return {"id": row["id"], "at": stamp(simulator.now()), "calls": len(calls), "running": running}
