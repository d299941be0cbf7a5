"""Recordings and transcripts in the meeting record; an older version of an artefact changes nothing.

``MeetingRow.artefacts`` has one entry for each that Microsoft made, oldest first; of what belongs to another meeting by
now there is one too, so that late news of it change nothing (``present``). ``recording`` and ``transcript`` show the
newest of each kind, or why there is none. Each function here returns whether the record changed.
"""

from datetime import datetime
from typing import Any

from meetings.tables import MeetingRow
from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    ArtefactMoved,
    FileDeleted,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
    TranscriptUnavailable,
)

Entry = dict[str, Any]
_DELETED = {
    "person": "Whose recording it was deleted it.",
    "org_admin": "An Org Admin deleted the recording.",
    "retention": "Your organisation keeps files no longer than this recording is old.",
}
_WHY = ("code", "reason")
_MOVED = "moved"


def expect(meeting: MeetingRow, event: ArtefactDetected) -> bool:
    """Note that an artefact is on its way. When it is further already, keep only what this event alone has."""
    known = _entry(meeting, event.artefact_id, event.kind)
    if known and known["status"] == _MOVED and event.aggregate_version < known["version"]:
        return False
    version = max(event.aggregate_version, known["version"] if known else 0)
    facts = {"created_at": _said(event.created_at), "ended_at": _said(event.ended_at)}
    facts |= {"call_id": event.call_id, "pair_id": event.pair_id}
    return _keep(meeting, event.artefact_id, event.kind, version, facts)


def expect_again(meeting: MeetingRow, event: ArtefactAwaited) -> bool:
    """Take back that the artefact would not arrive."""
    if event.artefact_id is not None:
        lifted = {"status": "importing"} | dict.fromkeys(_WHY)
        return _keep(meeting, event.artefact_id, event.kind, event.aggregate_version, lifted)
    shown = {"status": "importing"} if event.detected else None
    return _without_artefact(meeting, event.kind, event.aggregate_version, shown)


def let_go(meeting: MeetingRow, event: ArtefactMoved) -> bool:
    """Remove an artefact that belongs to another meeting, or to none that is known."""
    old = _entry(meeting, event.artefact_id, event.kind)
    if old is not None and (event.aggregate_version < old["version"] or old["status"] == _MOVED):
        return False
    gone = {"artefact_id": event.artefact_id, "kind": event.kind, "status": _MOVED, "version": event.aggregate_version}
    meeting.artefacts = sorted([*(one for one in meeting.artefacts if one is not old), gone], key=_order)
    if any(one["kind"] == event.kind for one in present(meeting)):
        _show_newest(meeting, event.kind, event.aggregate_version)
    else:
        _show(meeting, event.kind, event.aggregate_version, None)
    return old is not None


def present(meeting: MeetingRow) -> list[Entry]:
    """The artefacts that belong to the meeting."""
    return [one for one in meeting.artefacts if one["status"] != _MOVED]


def keep_recording(meeting: MeetingRow, event: RecordingImported) -> bool:
    found = {"file_id": event.file_id, "size_bytes": event.size_bytes, "location": event.location}
    return _keep(meeting, event.artefact_id, "recording", event.aggregate_version, _imported(event) | found)


def miss_recording(meeting: MeetingRow, event: RecordingUnavailable) -> bool:
    return _miss(meeting, "recording", event)


def lose_recording(meeting: MeetingRow, event: FileDeleted) -> bool:
    """Remove a recording whose file somebody deleted; other recordings stay."""
    for entry in present(meeting):
        if entry.get("file_id") == event.file_id and entry["status"] == "imported":
            reason = _DELETED.get(event.because, "The recording was deleted.")
            lost = {"status": "unavailable", "code": "file_deleted", "reason": reason}
            return _keep(meeting, entry["artefact_id"], "recording", entry["version"], lost)
    return False


def keep_transcript(meeting: MeetingRow, event: TranscriptImported) -> bool:
    found = {"speakers": event.speakers, "line_count": event.line_count}
    return _keep(meeting, event.artefact_id, "transcript", event.aggregate_version, _imported(event) | found)


def miss_transcript(meeting: MeetingRow, event: TranscriptUnavailable) -> bool:
    return _miss(meeting, "transcript", event)


def shown(entry: Entry) -> Entry:
    """An entry as the record shows it, with where its content is read."""
    imported = entry["status"] == "imported"
    more: Entry = {"content_url": None}
    if entry["kind"] == "recording":
        more["duration_s"] = _seconds(entry)
        more["content_url"] = f"/v1/files/{entry['file_id']}/content" if imported else None
    elif imported:
        more["content_url"] = f"/v1/transcripts/{entry['artefact_id']}"
    return entry | more


def moment(entry: Entry, name: str) -> datetime | None:
    """``created_at`` or ``ended_at``, as Microsoft says; None where it says none."""
    return datetime.fromisoformat(entry[name]) if entry.get(name) else None


def _imported(event: RecordingImported | TranscriptImported) -> Entry:
    facts = {"created_at": _said(event.created_at), "ended_at": _said(event.ended_at)}
    return {"status": "imported"} | dict.fromkeys(_WHY) | facts


def _miss(meeting: MeetingRow, kind: str, event: RecordingUnavailable | TranscriptUnavailable) -> bool:
    why = {"status": "unavailable", "code": event.code, "reason": event.reason}
    if event.artefact_id is not None:
        return _keep(meeting, event.artefact_id, kind, event.aggregate_version, why)
    return _without_artefact(meeting, kind, event.aggregate_version, why)


def _entry(meeting: MeetingRow, artefact_id: str, kind: str) -> Entry | None:
    known = (one for one in meeting.artefacts if (one["artefact_id"], one["kind"]) == (artefact_id, kind))
    return next(known, None)


def _keep(meeting: MeetingRow, artefact_id: str, kind: str, version: int, news: Entry) -> bool:
    """Write into one entry, a new one when this is the first to tell of it, and show the newest of its kind."""
    old = _entry(meeting, artefact_id, kind)
    if old is not None and version < old["version"]:
        return False
    is_new = old is None or old["status"] == _MOVED
    base = {"artefact_id": artefact_id, "kind": kind, "status": "importing", "created_at": None} if is_new else old
    entry = (base or {}) | news | {"version": version}
    if entry == old:
        return False
    others = [one for one in meeting.artefacts if one is not old]
    meeting.artefacts = sorted([*others, entry], key=_order)
    _show_newest(meeting, kind, version)
    return True


def _order(entry: Entry) -> tuple[str, str]:
    return entry.get("created_at") or "", entry["artefact_id"]


def _show_newest(meeting: MeetingRow, kind: str, version: int) -> None:
    """The newest that has arrived, else the newest of all."""
    of_kind = [one for one in present(meeting) if one["kind"] == kind]
    arrived = [one for one in of_kind if one["status"] == "imported"]
    _show(meeting, kind, max(version, getattr(meeting, f"{kind}_version")), shown((arrived or of_kind)[-1]))


def _without_artefact(meeting: MeetingRow, kind: str, version: int, shown: Entry | None) -> bool:
    """Show the state of a kind without any known artefact, unless one has arrived."""
    now: Entry | None = getattr(meeting, kind)
    if (now is not None and now["status"] == "imported") or version < getattr(meeting, f"{kind}_version"):
        return False
    _show(meeting, kind, version, shown)
    return True


def _show(meeting: MeetingRow, kind: str, version: int, shown: Entry | None) -> None:
    setattr(meeting, kind, shown)
    setattr(meeting, f"{kind}_version", version)


def _seconds(entry: Entry) -> float | None:
    began, over = moment(entry, "created_at"), moment(entry, "ended_at")
    return (over - began).total_seconds() if began and over else None


def _said(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
