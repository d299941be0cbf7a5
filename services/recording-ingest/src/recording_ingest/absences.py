"""Why a recording or transcript is not there: a code for programs, a sentence with the remedy for people."""

from dataclasses import dataclass
from datetime import timedelta

from recording_ingest.graph import (
    TOO_LARGE,
    EmptyAtMicrosoft,
    Kind,
    Options,
    PermissionMissing,
    transcripts_disabled,
)
from shared.connections import ADMIN_REQUIRED, CONNECTOR_PLACE, HEARD_OF, Obstacle, obstacle_of
from shared.connections.obstacles import FEATURE_OFF, FORMER, PERMISSION_MISSING
from shared.graph.errors import GraphError, GraphNotFound


@dataclass(frozen=True, slots=True)
class Absence:
    """``at_once``: known for sure, so nobody has to wait for the deadline to hear it."""

    code: str
    reason: str
    at_once: bool = False


TRANSCRIPTS_DISABLED = Absence(
    "transcripts_disabled",
    "Your organisation keeps applications from Teams transcripts. A Teams administrator has to turn on Microsoft Graph "
    "access in the Teams admin centre under Meetings > Meeting settings > Transcript API access; the transcript is "
    "then imported by itself.",
    at_once=True,
)
PAUSING = frozenset({*HEARD_OF, *FORMER})
"""Codes of obstacles that pause imports; these resume when the obstacle is gone."""
MEETING_GONE = Absence(
    "meeting_gone", "Microsoft no longer has this online meeting. If it was deleted in Outlook, schedule a new one."
)
ARTEFACT_GONE = Absence(
    "artefact_gone",
    "It was deleted at Microsoft before it could be imported. The organizer may restore it there.",
)
EMPTY = Absence(
    "artefact_empty",
    "What Microsoft has of it is empty (0 bytes), so there was nothing to import. Look at it in Teams.",
    at_once=True,
)
EXPIRED = Absence(
    "artefact_expired",
    "Microsoft deleted it when its time was over, as it does with recordings that nobody keeps longer. The organizer "
    "may find it in the recycle bin of OneDrive.",
)
DOWNLOAD_BLOCKED = Absence(
    "download_blocked",
    "Microsoft does not let us download it. Ask your Teams administrator to allow downloads of meeting recordings.",
    at_once=True,
)
IMPORT_FAILED = Absence(
    "import_failed", "It could not be imported, though tried many times. Tell your support, who can start it again."
)
UNREADABLE = Absence(
    "transcript_unreadable",
    "Microsoft's transcript cannot be read: it is not one that people could have spoken. Read it in Teams, and tell "
    "your support, who can start its import again.",
)
_MISSING = {
    ("recording", True): Absence(
        "not_recorded",
        "Microsoft made no recording: nobody with the right to record joined, or your Teams policies do not allow it. "
        "Ask your Teams administrator to check the meeting policy.",
    ),
    ("recording", False): Absence(
        "auto_recording_off",
        "Automatic recording was off for this meeting and nobody pressed record. An Org Admin can turn it on under "
        f"{CONNECTOR_PLACE}.",
    ),
    ("transcript", True): Absence(
        "not_transcribed",
        "Microsoft made no transcript: nobody spoke, or your Teams policies do not allow transcription. Ask your Teams "
        "administrator to check the meeting policy.",
    ),
    ("transcript", False): Absence(
        "auto_recording_off",
        "Automatic recording was off for this meeting and nobody started transcription. An Org Admin can turn it on "
        f"under {CONNECTOR_PLACE}.",
    ),
}
_MET = {
    "recording": Absence(
        "not_recorded",
        "People met, but Microsoft made no recording: none of them had the right to record, or your Teams policies do "
        "not allow it. Ask your Teams administrator to check the meeting policy.",
    ),
    "transcript": Absence(
        "not_transcribed",
        "People met, but Microsoft made no transcript: nobody spoke, or your Teams policies do not allow it. "
        "Ask your Teams administrator to check the meeting policy.",
    ),
}
_NOBODY = Absence(
    "nobody_joined",
    "Nobody joined the meeting: Microsoft was asked to tell of its calls, and told of none. So there is nothing to "
    "bring.",
)
_REFUSED = Absence(
    "auto_recording_refused",
    "Microsoft did not accept automatic recording for this meeting, and nobody started it by hand. Ask your Teams "
    "administrator whether the meeting policy of the organizer allows it.",
)
_NOT_ALLOWED = {
    "recording": Absence(
        "recording_not_allowed",
        "Recording is turned off in the options of this meeting in Teams. The organizer can turn it on there for "
        "the next time.",
    ),
    "transcript": Absence(
        "transcription_not_allowed",
        "Transcription is turned off in the options of this meeting in Teams. The organizer can turn it on there for "
        "the next time.",
    ),
}
_POLICY = Absence(
    "recording_policy",
    "People met and the meeting was transcribed, but not recorded: a Teams policy does not allow it. Ask your Teams "
    "administrator to allow cloud recording for the organizer.",
)
_LATE = Absence(
    "late_start",
    "The meeting had begun when it was scheduled. Microsoft does not record by itself a meeting in progress, and "
    "nobody pressed record.",
)
_CHANGED = Absence(
    "auto_recording_changed",
    "Somebody turned automatic recording off for this meeting in Teams, and nobody pressed record.",
)
_OLD = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Signs:
    """Facts about a meeting for which Microsoft has no artefact of a kind.

    ``automatic``: Microsoft took that it records by itself; ``refused``: it did not take it. ``other_kind``: there is a
    recording or transcript of it. ``call``: held or none, where Microsoft told whether people met.
    ``late``: it was scheduled when it had begun.
    """

    automatic: bool
    refused: bool
    other_kind: bool
    call: str | None
    late: bool
    options: Options | None


def missing(kind: Kind, signs: Signs) -> Absence:
    """The deadline passed and Microsoft has none: the surest reason first."""
    options = signs.options
    if signs.call == "none" and not signs.other_kind:
        return _NOBODY
    if options and not (options.allows_recording if kind == "recording" else options.allows_transcription):
        return _NOT_ALLOWED[kind]
    if signs.other_kind:
        return _POLICY if kind == "recording" and signs.automatic else _MISSING[kind, True]
    if signs.refused:
        return _REFUSED
    if signs.automatic and signs.late:
        return _LATE
    if signs.automatic and options and not options.records_automatically:
        return _CHANGED
    if signs.automatic and signs.call == "held":
        return _MET[kind]
    return _MISSING[kind, signs.automatic]


def of_obstacle(obstacle: Obstacle) -> Absence:
    """The absence for an obstacle. A certain one is published at once."""
    sentence = obstacle.sentence("what Microsoft still has is then fetched" if obstacle.code in HEARD_OF else "")
    return Absence(obstacle.code, sentence, at_once=obstacle.code in {FEATURE_OFF, PERMISSION_MISSING.code})


def of_storage(reason: str) -> Absence:
    """The organisation's place for files does not work; the recording follows by itself."""
    return Absence("storage_location_stopped", reason, at_once=True)


def of_refusal(error: GraphError) -> Absence:
    """The absence for a refusal of Graph."""
    if transcripts_disabled(error):
        return TRANSCRIPTS_DISABLED
    obstacle = obstacle_of(error)
    if obstacle is not None:
        return of_obstacle(obstacle)
    if isinstance(error, GraphNotFound):
        return MEETING_GONE
    sentence = f"Microsoft refused it; tell your support. Microsoft says: {error.message}"
    return Absence("microsoft_refused", sentence, at_once=True)


def of_import(error: GraphError, age: timedelta) -> Absence:
    """The same for one artefact whose content Graph refuses; of its list and description nothing else is refused."""
    if isinstance(error, EmptyAtMicrosoft):
        return EMPTY
    if error.code == TOO_LARGE:
        return UNREADABLE
    if isinstance(error, GraphNotFound):
        return EXPIRED if age > _OLD else ARTEFACT_GONE
    absence = of_refusal(error)
    content = absence.code == ADMIN_REQUIRED.code or (
        absence.code == PERMISSION_MISSING.code and not isinstance(error, PermissionMissing)
    )
    return DOWNLOAD_BLOCKED if content else absence
