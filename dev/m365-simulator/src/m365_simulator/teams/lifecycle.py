"""Meetings take place on the world clock: people join and leave, recordings run, calls end.

A booked meeting takes place by itself at its time, and everybody invited comes, unless somebody steers it: people who
come are named (``comes``), or the first verb about it makes it ``steered``, and then nothing happens by itself.
"""

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of, stamp
from m365_simulator.directory import find_user
from m365_simulator.store import Row
from m365_simulator.timeline import action

from . import leftovers
from .policies import allowed

if TYPE_CHECKING:
    from m365_simulator.core import Simulator

SEGMENT_S = 4 * 3600
"""A recording is cut after this long and the next begins."""


def plan(simulator: "Simulator", meeting: Row) -> None:
    """The next time it takes place by itself; planned anew when it is moved, not at all when it is steered."""
    start, end = (f"life/{meeting['id']}/{word}" for word in ("start", "end"))
    coming = _next(meeting)
    running = call_of(simulator, meeting["id"])
    if running is None or meeting.get("steered"):
        simulator.timeline.cancel(start)
        simulator.timeline.cancel(end)
    if running is None and coming is not None and not meeting["cancelled"] and not meeting.get("steered"):
        about = {"meeting": meeting["id"], "slot": coming}
        simulator.timeline.at(moment_of(coming[0]), begins_by_itself, about, key=start)
        simulator.timeline.at(moment_of(coming[1]), ends_by_itself, about, key=end)


def _next(meeting: Row) -> list[str] | None:
    if meeting.get("happened"):
        return None
    held = set(meeting.get("held") or [])
    slots = meeting.get("slots") or [[meeting["start"], meeting["end"]]]
    return next((slot for slot in slots if slot[0] not in held), None)


def call_of(simulator: "Simulator", meeting: str) -> Row | None:
    """The call that goes on now."""
    return next((call for call in simulator.store.where("calls", "meeting", meeting) if call["ended"] is None), None)


@action
def begins_by_itself(simulator: "Simulator", payload: Row) -> None:
    meeting = simulator.store.get("meetings", payload["meeting"])
    if meeting is None or meeting["cancelled"]:
        return
    at = moment_of(payload["slot"][0])
    who = meeting.get("comes")
    for name in [meeting["organizer"], *meeting["attendees"]] if who is None else who:
        join(simulator, meeting, name, at)
    if meeting["recorded_by_hand"] and call_of(simulator, meeting["id"]):
        start_recording(simulator, meeting, at)


@action
def ends_by_itself(simulator: "Simulator", payload: Row) -> None:
    meeting = simulator.store.get("meetings", payload["meeting"])
    if meeting is None:
        return
    meeting["held"] = [*meeting.get("held", []), payload["slot"][0]]
    if call_of(simulator, meeting["id"]):
        end(simulator, meeting, moment_of(payload["slot"][1]))
    meeting["happened"] = _next(meeting) is None
    simulator.store.put("meetings", meeting["id"], meeting)
    plan(simulator, meeting)


def join(simulator: "Simulator", meeting: Row, name: str, at: datetime.datetime) -> Row:
    """The first person starts the call; the first of the organisation starts what records by itself."""
    call = call_of(simulator, meeting["id"]) or _start(simulator, meeting, at)
    user = find_user(simulator.store, name)
    who = user["id"] if user else name
    if who in call["present"]:
        return call
    call["present"].append(who)
    call["came"] = list(dict.fromkeys([*call["came"], who]))
    simulator.store.put("calls", call["id"], call)
    tell(simulator, meeting, call, "rosterUpdated", at, [who])
    if meeting["recordAutomatically"] and not call["recorded"] and eligible(simulator, meeting, who):
        start_recording(simulator, meeting, at)
    return call


def _start(simulator: "Simulator", meeting: Row, at: datetime.datetime) -> Row:
    call: Row = {
        "id": simulator.ids.guid("call"),
        "meeting": meeting["id"],
        "tenant": meeting["tenant"],
        "started": stamp(at),
        "ended": None,
        "present": [],
        "came": [],
        "recorded": False,
        "running": None,
        "segments": [],
    }
    simulator.store.put("calls", call["id"], call)
    tell(simulator, meeting, call, "callStarted", at)
    return call


def eligible(simulator: "Simulator", meeting: Row, who: str) -> bool:
    """Whether a person of the organizer's organisation with a licence; a guest starts no recording. Unproven."""
    user = simulator.store.get("users", who)
    return bool(user and user["tenant"] == meeting["tenant"] and user["mailbox"])


def leave(simulator: "Simulator", meeting: Row, name: str, at: datetime.datetime) -> None:
    """The last to leave ends the call."""
    call = call_of(simulator, meeting["id"])
    user = find_user(simulator.store, name)
    who = user["id"] if user else name
    if call is None or who not in call["present"]:
        return
    call["present"].remove(who)
    simulator.store.put("calls", call["id"], call)
    tell(simulator, meeting, call, "rosterUpdated", at, [who], left=True)
    if not call["present"]:
        end(simulator, meeting, at)


def start_recording(
    simulator: "Simulator", meeting: Row, at: datetime.datetime, *, record: bool = True, transcribe: bool | None = None
) -> str | None:
    """None when something records now, else a sentence why not. Transcription follows the meeting's option."""
    call = call_of(simulator, meeting["id"])
    if call is None:
        return "Nobody is in the meeting."
    if call["running"] is not None:
        return "A recording is running."
    organizer = simulator.store.get("users", meeting["organizer"]) or {}
    options = meeting["options"]
    record = record and allowed(simulator, organizer, "recording") and options.get("allowRecording") is not False
    wanted = meeting["allowTranscription"] is not False if transcribe is None else transcribe
    wanted = wanted and allowed(simulator, organizer, "transcription")
    if not record and not wanted:
        return "The meeting policy forbids it."
    call["running"] = {"pair": simulator.ids.guid("pair"), "from": stamp(at), "record": record, "transcribe": wanted}
    call["recorded"] = True
    simulator.store.put("calls", call["id"], call)
    return None


def stop_recording(simulator: "Simulator", meeting: Row, at: datetime.datetime) -> bool:
    """What ran is kept as one segment, or several when it was longer than a recording can be."""
    call = call_of(simulator, meeting["id"])
    if call is None or call["running"] is None:
        return False
    running: dict[str, Any] = call["running"]
    began, pair = moment_of(running["from"]), running["pair"]
    while began < at:
        stop = min(at, began + datetime.timedelta(seconds=SEGMENT_S))
        call["segments"].append({**running, "pair": pair, "from": stamp(began), "to": stamp(stop)})
        began, pair = stop, simulator.ids.guid("pair") if stop < at else pair
    call["running"] = None
    simulator.store.put("calls", call["id"], call)
    return True


def end(simulator: "Simulator", meeting: Row, at: datetime.datetime) -> None:
    """Everybody leaves; what was recorded is on its way."""
    stop_recording(simulator, meeting, at)
    call = call_of(simulator, meeting["id"])
    if call is None:
        return
    call |= {"ended": stamp(at), "present": []}
    simulator.store.put("calls", call["id"], call)
    meeting |= {"happened": _next(meeting) is None or bool(meeting.get("steered"))}
    meeting["ends"] = [*meeting.get("ends", []), stamp(at)]
    simulator.store.put("meetings", meeting["id"], meeting)
    tell(simulator, meeting, call, "callEnded", at)
    leftovers.plan(simulator, meeting, call)


def tell(
    simulator: "Simulator",
    meeting: Row,
    call: Row,
    what: str,
    at: datetime.datetime,
    people: Iterable[str] = (),
    *,
    left: bool = False,
) -> None:
    """callStarted, callEnded or rosterUpdated."""
    link = quote(meeting["join_url"], safe="")
    resource = f"communications/onlineMeetings(joinWebUrl='{link}')/meetingCallEvents"
    key = simulator.ids.guid("call-event")
    data: Row = {"@odata.type": "#microsoft.graph.callEvent", "@odata.id": resource, "id": key}
    data |= {"eventType": what, "eventDateTime": stamp(at)}
    if people:
        data["participants@delta"] = [_participant(simulator, call, who, left=left) for who in people]
    kind = "microsoft.graph.callEvent"
    covered = (
        resource,
        f"communications/onlineMeetings/?$filter=JoinWebUrl eq '{link}'",
    )
    tenant, organizer = meeting["tenant"], meeting["organizer"]
    simulator.changes.tell(Change("updated", kind, tenant, resource, key, covered, data, organizer=organizer))


def _participant(simulator: "Simulator", call: Row, who: str, *, left: bool) -> Row:
    user = simulator.store.get("users", who) or {}
    person = {"id": who, "displayName": user.get("name", who), "tenantId": user.get("tenant")}
    shown: Row = {"id": f"{call['id']}/{who}", "info": {"identity": {"user": person}}, "isInLobby": False}
    if left:
        shown["removedState"] = {"reason": "Participant has left the meeting call."}
    return shown
