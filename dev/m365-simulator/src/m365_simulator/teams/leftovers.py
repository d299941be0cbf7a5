"""What a call leaves behind: recordings and transcripts, some time after it ended, and the news of them."""

import datetime
from typing import TYPE_CHECKING

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of, stamp
from m365_simulator.faults import fault
from m365_simulator.store import Row
from m365_simulator.timeline import action

from .policies import allowed, timing

if TYPE_CHECKING:
    from m365_simulator.core import Simulator

DELAY = fault("delay_artefacts", "recordings and transcripts of a call take `seconds` longer", "seconds")
KINDS = {"recordings": "callRecording", "transcripts": "callTranscript"}
FLAGS = {"recordings": "record", "transcripts": "transcribe"}


def plan(simulator: "Simulator", meeting: Row, call: Row) -> None:
    """Each recording and transcript of the call at its own time; those that never come are not planned."""
    struck = simulator.faults.due(DELAY, tenant=meeting["tenant"]) if call["segments"] else None
    more = 0 if struck is None else struck.get("seconds", 600)
    delays = timing(simulator, meeting)
    organizer = simulator.store.get("users", meeting["organizer"]) or {}
    alone = allowed(simulator, organizer, "recordings_alone")
    for number, segment in enumerate(call["segments"]):
        for kind, flag in FLAGS.items():
            exported = segment[flag] and (segment["transcribe"] or alone)
            if not exported or delays[f"{kind}_s"] is None:
                continue
            at = moment_of(call["ended"]) + datetime.timedelta(seconds=delays[f"{kind}_s"] + more)
            about = {"meeting": meeting["id"], "call": call["id"], "kind": kind, "segment": segment, "at": stamp(at)}
            key = f"artefacts/{meeting['id']}/{call['id']}/{number}/{kind}"
            simulator.timeline.at(at, artefact_appears, about, key=key)


@action
def artefact_appears(simulator: "Simulator", payload: Row) -> None:
    meeting = simulator.store.get("meetings", payload["meeting"])
    call = simulator.store.get("calls", payload["call"])
    if meeting is None or call is None:
        return
    segment, at, delays = payload["segment"], moment_of(payload["at"]), timing(simulator, meeting)
    readable = at + datetime.timedelta(seconds=delays["readable_s"])
    row: Row = {
        "id": f"VjI{simulator.ids.text('artefact', 32)}",
        "kind": payload["kind"],
        "meeting": meeting["id"],
        "tenant": meeting["tenant"],
        "organizer": meeting["organizer"],
        "callId": call["id"],
        "contentCorrelationId": segment["pair"],
        "createdDateTime": segment["from"],
        "endDateTime": segment["to"],
        "came": call["came"],
        "available": stamp(simulator.clock.service()),
        "readable_from": stamp(readable),
        "content_from": stamp(readable + datetime.timedelta(seconds=delays["content_s"])),
        "deleted": False,
    }
    simulator.store.put("artefacts", row["id"], row)
    if delays["notify_s"] is not None:
        told = at + datetime.timedelta(seconds=delays["notify_s"])
        key = f"artefacts/{meeting['id']}/told/{row['id']}"
        simulator.timeline.at(told, artefact_announced, {"artefact": row["id"]}, key=key)


@action
def artefact_announced(simulator: "Simulator", payload: Row) -> None:
    row = simulator.store.get("artefacts", payload["artefact"])
    if row is not None:
        simulator.changes.tell(created(simulator, row))


def shown(simulator: "Simulator", row: Row) -> Row:
    names = ("id", "callId", "contentCorrelationId", "createdDateTime", "endDateTime")
    base = f"{simulator.settings.graph_url}/v1.0/users/{row['organizer']}/onlineMeetings/{row['meeting']}"
    field = "recordingContentUrl" if row["kind"] == "recordings" else "transcriptContentUrl"
    owner = simulator.store.get("users", row["organizer"]) or {}
    organizer = {"@odata.type": "#microsoft.graph.teamworkUserIdentity", "id": row["organizer"], "displayName": None}
    organizer |= {"userIdentityType": "aadUser", "tenantId": owner.get("tenant", row.get("tenant"))}
    return {
        **{name: row[name] for name in names},
        "meetingId": row["meeting"],
        "meetingOrganizer": {"application": None, "device": None, "user": organizer},
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
