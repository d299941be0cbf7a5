"""Why a recording or transcript is not there: a code for programs, a sentence with the remedy for people."""

from dataclasses import dataclass

from recording_ingest.graph import Kind, PermissionMissing, transcripts_disabled
from shared.graph.errors import GraphError, GraphNotFound, GraphReconnect, GraphTellAdmin


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
CONNECTION_BROKEN = Absence(
    "connection_broken",
    "The organizer's Microsoft account is not connected. The organizer has to connect it again under Settings > "
    "Integrations > Microsoft Outlook; what was missed is then fetched.",
)
TENANT_NOT_CONNECTED = Absence(
    "tenant_not_connected",
    "Your organisation is not connected to Microsoft 365. An Org Admin has to connect it under Admin > Connectors > "
    "Microsoft 365; what was missed is then fetched.",
)
SWITCHED_OFF = Absence(
    "auto_recording_switched_off",
    "Auto-recording was switched off by an Org Admin under Admin > Connectors > Microsoft 365, so nothing of this "
    "meeting is imported. When it is switched on again soon, what Microsoft still has is fetched.",
    at_once=True,
)
ANOTHER_ACCOUNT = Absence(
    "another_account",
    "This meeting was made with another Microsoft account than the one that is connected now. The organizer has to "
    "connect that one again under Settings > Integrations > Microsoft Outlook; what was missed is then fetched.",
)
PERMISSION_MISSING = Absence(
    "permission_missing",
    "Microsoft does not let us read recordings and transcripts of the organizer's meetings: the permission was taken "
    "back. The organizer has to choose Allow again under Settings > Integrations > Microsoft Outlook; what was missed "
    "is then fetched.",
    at_once=True,
)
MENDED_BY_CONNECTING = tuple(
    absence.code for absence in (CONNECTION_BROKEN, TENANT_NOT_CONNECTED, ANOTHER_ACCOUNT, PERMISSION_MISSING)
)
PAUSING = (*MENDED_BY_CONNECTING, SWITCHED_OFF.code)
"""What keeps imports back for a while; they go on when it is over."""
MEETING_GONE = Absence(
    "meeting_gone", "Microsoft no longer has this online meeting. If it was deleted in Outlook, schedule a new one."
)
ARTEFACT_GONE = Absence(
    "artefact_gone",
    "It was deleted at Microsoft before it could be imported. The organizer may restore it there.",
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
        "Admin > Connectors > Microsoft 365.",
    ),
    ("transcript", True): Absence(
        "not_transcribed",
        "Microsoft made no transcript: nobody spoke, or your Teams policies do not allow transcription. Ask your Teams "
        "administrator to check the meeting policy.",
    ),
    ("transcript", False): Absence(
        "auto_recording_off",
        "Automatic recording was off for this meeting and nobody started transcription. An Org Admin can turn it on "
        "under Admin > Connectors > Microsoft 365.",
    ),
}


def missing(kind: Kind, *, recorded: bool) -> Absence:
    """The deadline passed and Microsoft has none; ``recorded``: it should have, or has the other kind."""
    return _MISSING[kind, recorded]


def of_refusal(error: GraphError) -> Absence:
    """What Graph's refusal means for the meeting's record."""
    if transcripts_disabled(error):
        return TRANSCRIPTS_DISABLED
    if isinstance(error, GraphReconnect):
        return CONNECTION_BROKEN
    if error.code == TENANT_NOT_CONNECTED.code:
        return TENANT_NOT_CONNECTED
    if isinstance(error, GraphNotFound):
        return MEETING_GONE
    if isinstance(error, PermissionMissing):
        return PERMISSION_MISSING
    if isinstance(error, GraphTellAdmin):
        sentence = f"Your Microsoft 365 administrator has to allow this first. Microsoft says: {error.message}"
        return Absence("admin_required", sentence)
    sentence = f"Microsoft refused it; tell your support. Microsoft says: {error.message}"
    return Absence("microsoft_refused", sentence, at_once=True)


def of_import(error: GraphError) -> Absence:
    """The same for one artefact whose content Graph refuses."""
    if isinstance(error, GraphNotFound):
        return ARTEFACT_GONE
    absence = of_refusal(error)
    return DOWNLOAD_BLOCKED if absence.code == "admin_required" else absence
