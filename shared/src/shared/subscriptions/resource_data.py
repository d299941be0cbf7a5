"""What resource data says once it is open: something that happened to a call.

Both forms that Microsoft shows are read: ``eventType`` by its short name or as ``Microsoft.Communication.…``, people
who came and went in two lists or in one delta. Names are read in any case: Microsoft's page has ``eventType``, and what
was seen in tenants has ``EventType``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, unquote

from shared.graph.words import moment

CallEventKind = Literal["started", "ended", "roster"]
_KINDS: dict[str, CallEventKind] = {
    "callstarted": "started",
    "callended": "ended",
    "rosterupdated": "roster",
    "callrosterupdate": "roster",
}
_BEFORE_LINK, _AFTER_LINK = "communications/onlineMeetings(joinWebUrl='", "')/meetingCallEvents"


@dataclass(frozen=True, slots=True)
class Participant:
    """``id`` is None for those who have no account; the name is personal data and not part of the text of this."""

    id: str | None
    name: str | None = field(repr=False)
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True)
class CallEvent:
    """``kind`` is None for an event that we do not know."""

    kind: CallEventKind | None
    at: datetime | None
    call_id: str | None
    joined: tuple[Participant, ...] = ()
    left: tuple[Participant, ...] = ()


def call_events_of(join_url: str) -> str:
    """The resource to subscribe to (``updated``) for the calls of one meeting; the URL is encoded once more."""
    return f"{_BEFORE_LINK}{quote(join_url, safe='')}{_AFTER_LINK}"


def join_url_in(resource: str) -> str | None:
    """The join link of such a resource; None of any other."""
    if not (resource.startswith(_BEFORE_LINK) and resource.endswith(_AFTER_LINK)):
        return None
    return unquote(resource.removeprefix(_BEFORE_LINK).removesuffix(_AFTER_LINK))


def call_event_in(document: dict[str, Any]) -> CallEvent:
    named = _objects(document)
    event = str(named.get("eventtype") or "").rpartition(".")[2].lower()
    joined = [_participant(one) for one in _list(document, "activeparticipants@joined")]
    left = [_participant(one) for one in _list(document, "activeparticipants@exited")]
    for one in _list(document, "participants@delta"):
        gone = _objects(one).get("removedstate")
        (left if gone else joined).append(_participant(_objects(one).get("info")))
    call = _text(named.get("callid"))
    return CallEvent(_KINDS.get(event), moment(named.get("eventdatetime")), call, tuple(joined), tuple(left))


def _participant(given: Any) -> Participant:
    """The first identity it has, of whatever kind."""
    identity = _objects(_objects(given).get("identity"))
    one = next((found for found in map(_objects, identity.values()) if found), {})
    return Participant(_text(one.get("id")), _text(one.get("displayname")), _text(one.get("tenantid")))


def _objects(value: Any) -> dict[str, Any]:
    """An object with its names in lower case; empty for anything else."""
    return {str(name).lower(): one for name, one in value.items()} if isinstance(value, dict) else {}


def _list(document: dict[str, Any], name: str) -> Iterator[Any]:
    found = _objects(document).get(name)
    return iter(found if isinstance(found, list) else [])


def _text(value: Any) -> str | None:
    return str(value) if value else None
