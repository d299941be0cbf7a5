"""Microsoft's words for recordings and transcripts. Nobody else sees Graph's JSON.

All of it is asked as the organizer (``/me``): application tokens would need a Teams application access policy.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from urllib.parse import quote

from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphTellAdmin
from shared.graph.words import moment

Kind = Literal["recording", "transcript"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_FORBIDDEN = 403
TOO_LARGE = "transcript_too_large"
"""Code of our own refusal to read on."""
TRANSCRIPTS_DISABLED = "GraphAccessToTranscriptsDisabled"
_UNATTRIBUTED = "SpeakerAttributionNotAllowed"
_UNATTRIBUTED_TYPE = "application/vnd.microsoft.graph.transcript+text"
_NAMED = re.compile(
    r"onlineMeetings(?:\('(?P<meeting>[^']+)'\)|/(?P<meeting_>[^/]+))"
    r"/(?P<kind>recording|transcript)s(?:\('(?P<id>[^']+)'\)|/(?P<id_>[^/]+))$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A recording or transcript as Graph describes it."""

    kind: Kind
    graph_id: str
    call_id: str | None
    content_correlation_id: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an online meeting; True where Microsoft does not say."""

    records_automatically: bool
    allows_recording: bool
    allows_transcription: bool


@dataclass(frozen=True, slots=True)
class Named:
    """The ids that a notification names."""

    online_meeting_id: str
    kind: Kind
    graph_id: str


class EmptyAtMicrosoft(GraphNotFound):
    """There is an artefact, and nothing in it."""


class PermissionMissing(GraphTellAdmin):
    """A list or a description is refused, which organizers may read of their own: the permission was taken back."""


def subscribed_resources(oid: str) -> list[str]:
    """Resources to subscribe to for one organizer."""
    return [f"users/{oid}/onlineMeetings/{every}" for every in ("getAllRecordings", "getAllTranscripts")]


def named_in(notification: dict[str, Any]) -> Named | None:
    """Read the ids in a notification's ``resource``; None when it is nothing of ours."""
    found = _NAMED.search(str(notification.get("resource", "")))
    if found is None:
        return None
    kind: Kind = "recording" if found["kind"].lower() == "recording" else "transcript"
    return Named(found["meeting"] or found["meeting_"], kind, found["id"] or found["id_"])


async def artefacts(caller: GraphCaller, online_meeting_id: str, kind: Kind) -> list[Artefact]:
    """All of one kind that a meeting has."""
    with _of_their_own():
        return [_artefact(kind, item) async for item in caller.pages(_path(online_meeting_id, kind))]


async def artefact(caller: GraphCaller, online_meeting_id: str, kind: Kind, graph_id: str) -> Artefact:
    """Read one recording or transcript as it is now."""
    with _of_their_own():
        return _artefact(kind, await caller.get(_path(online_meeting_id, kind, graph_id)))


async def options(caller: GraphCaller, online_meeting_id: str) -> Options:
    """The meeting's own options: anybody with the right may have changed them in Teams."""
    item = await caller.get(f"/me/onlineMeetings/{quote(online_meeting_id, safe='')}")
    names = ("recordAutomatically", "allowRecording", "allowTranscription")
    return Options(*(item.get(name) is not False for name in names))


def content_path(online_meeting_id: str, kind: Kind, graph_id: str) -> str:
    """The path of the bytes. It is built, not read: ``recordingContentUrl`` sometimes refuses the token."""
    return _path(online_meeting_id, kind, graph_id) + "/content"


async def transcript(caller: GraphCaller, online_meeting_id: str, graph_id: str, limit_bytes: int) -> tuple[str, bool]:
    """The transcript's text, and whether it names speakers: the tenant may not let us know them."""
    path = content_path(online_meeting_id, "transcript", graph_id)
    try:
        return await _text(caller, path, "text/vtt", limit_bytes), True
    except GraphTellAdmin as refusal:
        if refusal.inner_code != _UNATTRIBUTED:
            raise
        return await _text(caller, path, _UNATTRIBUTED_TYPE, limit_bytes), False


def transcripts_disabled(error: GraphError) -> bool:
    """Whether the tenant's own switch keeps everybody from transcripts, whatever was consented."""
    return error.inner_code == TRANSCRIPTS_DISABLED


@contextmanager
def _of_their_own() -> Iterator[None]:
    """Microsoft has no code for a missing permission; contents are refused for other reasons with the same one."""
    try:
        yield
    except GraphTellAdmin as error:
        if error.status != _FORBIDDEN or transcripts_disabled(error):
            raise
        raise PermissionMissing(error.message, error.status, error.code, error.request_id) from error


async def _text(caller: GraphCaller, path: str, accept: str, limit_bytes: int) -> str:
    body = bytearray()
    async with caller.download(path, accept=accept) as download:
        async for chunk in download.chunks:
            body += chunk
            if len(body) > limit_bytes:
                raise GraphGiveUp(f"The transcript is larger than {limit_bytes} bytes.", code=TOO_LARGE)
    return body.decode("utf-8", "replace")


def _path(online_meeting_id: str, kind: Kind, graph_id: str | None = None) -> str:
    path = f"/me/onlineMeetings/{quote(online_meeting_id, safe='')}/{kind}s"
    return path if graph_id is None else f"{path}/{quote(graph_id, safe='')}"


def _artefact(kind: Kind, item: dict[str, Any]) -> Artefact:
    ended_at = moment(item.get("endDateTime"))
    created_at = moment(item.get("createdDateTime")) or ended_at or datetime.now(UTC)
    return Artefact(kind, item["id"], item.get("callId"), item.get("contentCorrelationId"), created_at, ended_at)
