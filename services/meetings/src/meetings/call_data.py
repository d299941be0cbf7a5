"""Graph's call events: the resource to subscribe to, and what its resource data says.

An event's name comes short or as ``Microsoft.Communication.…``. Microsoft's page has ``eventType``, and tenants were
seen to send ``EventType``, so names are read in any case.
"""

from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote, unquote

from shared.graph.words import moment

_KINDS: dict[str, Literal["started", "ended"]] = {"callstarted": "started", "callended": "ended"}
_BEFORE_LINK, _AFTER_LINK = "communications/onlineMeetings(joinWebUrl='", "')/meetingCallEvents"


def call_events_of(join_url: str) -> str:
    """The resource to subscribe to (``updated``) for the calls of one meeting; the URL is encoded once more."""
    return f"{_BEFORE_LINK}{quote(join_url, safe='')}{_AFTER_LINK}"


def join_url_in(resource: str) -> str | None:
    """The join link of such a resource; None of any other."""
    if not (resource.startswith(_BEFORE_LINK) and resource.endswith(_AFTER_LINK)):
        return None
    return unquote(resource.removeprefix(_BEFORE_LINK).removesuffix(_AFTER_LINK))


def read(document: dict[str, Any]) -> tuple[Literal["started", "ended"], datetime] | None:
    """When a call started or ended. None for any other event, such as people who came and left."""
    named = {name.lower(): value for name, value in document.items()}
    kind = _KINDS.get(str(named.get("eventtype") or "").rpartition(".")[2].lower())
    at = moment(named.get("eventdatetime"))
    return (kind, at) if kind is not None and at is not None else None
