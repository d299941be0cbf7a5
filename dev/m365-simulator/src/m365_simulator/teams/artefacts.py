"""What a meeting leaves behind: recordings and transcripts, some time after it ended."""

import datetime
from typing import TYPE_CHECKING

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.timeline import action

if TYPE_CHECKING:
    from m365_simulator.core import Simulator

ARTEFACT_DELAY_S = 300
DELAY = fault("delay_artefacts", "recordings and transcripts take `seconds` longer", "seconds")
KINDS = {"recordings": "callRecording", "transcripts": "callTranscript"}


def plan(simulator: "Simulator", meeting: Row) -> None:
    """The meeting's artefacts appear a while after its end; planned anew when it is moved."""
    key = f"artefacts/{meeting['id']}"
    if meeting["cancelled"] or meeting["happened"]:
        simulator.timeline.cancel(key)
    else:
        simulator.timeline.at(ready_at(meeting), artefacts_appear, {"meeting": meeting["id"]}, key=key)


def ready_at(meeting: Row) -> datetime.datetime:
    return moment_of(meeting["end"]) + datetime.timedelta(seconds=ARTEFACT_DELAY_S + meeting["delay_s"])


def let_happen(simulator: "Simulator", meeting: Row) -> None:
    """Move the clock past the meeting's end and its artefact delay; the meeting is then over."""
    plan(simulator, meeting)
    missing = (ready_at(meeting) - simulator.now()).total_seconds()
    simulator.advance(max(0.0, missing + 1))


@action
def artefacts_appear(simulator: "Simulator", payload: Row) -> None:
    meeting = simulator.store.get("meetings", payload["meeting"])
    if meeting is None or meeting["cancelled"] or meeting["happened"]:
        return
    delay = None if meeting["delay_s"] else simulator.faults.due(DELAY, tenant=meeting["tenant"])
    if delay is not None:
        meeting["delay_s"] = delay.get("seconds", 600)
        simulator.store.put("meetings", meeting["id"], meeting)
        plan(simulator, meeting)
        return
    simulator.store.put("meetings", meeting["id"], meeting | {"happened": True})
    if meeting["recordAutomatically"] or meeting["recorded_by_hand"]:
        _leave_artefacts(simulator, meeting)


def _leave_artefacts(simulator: "Simulator", meeting: Row) -> None:
    call, pair = simulator.ids.guid("call"), simulator.ids.guid("pair")
    for kind in ["recordings", *(["transcripts"] if meeting["allowTranscription"] is not False else [])]:
        row = {
            "id": f"VjI{simulator.ids.text('artefact', 32)}",
            "kind": kind,
            "meeting": meeting["id"],
            "tenant": meeting["tenant"],
            "organizer": meeting["organizer"],
            "callId": call,
            "contentCorrelationId": pair,
            "createdDateTime": meeting["start"],
            "endDateTime": meeting["end"],
            "available": stamp(real_now()),
        }
        simulator.store.put("artefacts", row["id"], row)
        simulator.changes.tell(created(simulator, row))


def shown(simulator: "Simulator", row: Row) -> Row:
    names = ("id", "callId", "contentCorrelationId", "createdDateTime", "endDateTime")
    base = f"{simulator.settings.graph_url}/v1.0/users/{row['organizer']}/onlineMeetings/{row['meeting']}"
    field = "recordingContentUrl" if row["kind"] == "recordings" else "transcriptContentUrl"
    return {
        **{name: row[name] for name in names},
        "meetingId": row["meeting"],
        "meetingOrganizer": {"application": None, "user": {"id": row["organizer"], "displayName": None}},
        field: f"{base}/{row['kind']}/{row['id']}/content",
    }


def created(simulator: "Simulator", row: Row) -> Change:
    every = "getAllRecordings" if row["kind"] == "recordings" else "getAllTranscripts"
    return Change(
        "created",
        f"microsoft.graph.{KINDS[row['kind']]}",
        row["tenant"],
        f"communications/onlineMeetings('{row['meeting']}')/{row['kind']}('{row['id']}')",
        row["id"],
        (
            f"users/{row['organizer']}/onlineMeetings/{every}",
            f"communications/onlineMeetings/{every}",
            f"communications/onlineMeetings/{row['meeting']}/{row['kind']}",
        ),
        shown(simulator, row),
        organizer=row["organizer"],
    )
