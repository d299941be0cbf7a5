"""What can be subscribed to: the spellings of a resource, who may watch it, for how long, and for which changes.

Maximum lifetimes and permissions are Microsoft's published ones. A grant that also writes does not stand in for the
read permission, but for drives, where the published permission is ``Files.ReadWrite.All``.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from m365_simulator.odata import BadQuery, parse_filter
from m365_simulator.outlook.rules import rule
from m365_simulator.schema import properties
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError

from .figures import Figures


@dataclass(frozen=True, slots=True)
class Kind:
    """``place`` is the workload whose words refuse; ``minutes`` 0 means that the figures say it."""

    place: str
    delegated: str
    role: str
    changes: tuple[str, ...]
    minutes: int = 0
    rich: bool = True


@dataclass(frozen=True, slots=True)
class Watched:
    """A resource that was read. ``key`` is its one spelling; ``user`` and ``meeting`` are what quotas count."""

    name: str
    key: str
    user: str | None = None
    meeting: str | None = None
    select: tuple[str, ...] = ()
    filter: str | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]


_EVERY = ("created", "updated", "deleted")
_RECORDINGS, _TRANSCRIPTS = "OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All"
_DRIVES = "Files.Read.All Files.ReadWrite.All"
KINDS = {
    "recordings": Kind("teams", _RECORDINGS, _RECORDINGS, ("created",)),
    "transcripts": Kind("teams", _TRANSCRIPTS, _TRANSCRIPTS, ("created",)),
    "adhocRecordings": Kind("teams", "CallRecordings.Read.All", "CallRecordings.Read.All", ("created",)),
    "adhocTranscripts": Kind("teams", "CallTranscripts.Read.All", "CallTranscripts.Read.All", ("created",)),
    "meetingCallEvents": Kind("teams", "", "OnlineMeetings.Read.All", ("updated",)),
    "messages": Kind("outlook", "Mail.Read Mail.ReadBasic", "Mail.Read Mail.ReadBasic.All", _EVERY),
    "events": Kind("outlook", "Calendars.Read", "Calendars.Read", _EVERY),
    "contacts": Kind("outlook", "Contacts.Read", "Contacts.Read", _EVERY),
    "drive": Kind("files", _DRIVES, _DRIVES, ("updated",), 42_300, rich=False),
    "users": Kind("directory", "User.Read.All", "User.Read.All", ("updated", "deleted"), 41_760, rich=False),
}
READERS = " ".join(sorted({name for kind in KINDS.values() for name in f"{kind.delegated} {kind.role}".split()}))
RICH_OUTLOOK_MINUTES = 1_440
_USER = r"users/(?P<user>[^/]+)"
_JOIN = r"joinweburl[ +]*(?:=|eq)[ +]*'(?P<join>[^']+)'"
_FORMS = {
    name: re.compile(f"^{form}$", re.IGNORECASE)
    for name, form in {
        "recordings": rf"(?:communications|{_USER})/onlineMeetings/getAllRecordings",
        "transcripts": rf"(?:communications|{_USER})/onlineMeetings/getAllTranscripts",
        "adhocRecordings": rf"(?:communications|{_USER})/adhocCalls/getAllRecordings",
        "adhocTranscripts": rf"(?:communications|{_USER})/adhocCalls/getAllTranscripts",
        "recordings of one": r"communications/onlineMeetings/(?P<meeting>[^/?(]+)/recordings",
        "transcripts of one": r"communications/onlineMeetings/(?P<meeting>[^/?(]+)/transcripts",
        "meetingCallEvents": rf"communications/onlineMeetings\({_JOIN}\)/meetingCallEvents",
        "meetingCallEvents of old": rf"communications/onlineMeetings/?\?\$filter={_JOIN}",
        "messages": rf"{_USER}/(?:mailFolders/[^/]+/)?messages",
        "events": rf"{_USER}/(?:calendar/|calendars/[^/]+/)?events",
        "contacts": rf"{_USER}/(?:contactFolders/[^/]+/)?contacts",
        "drive": rf"(?:drives/[^/]+|{_USER}/drive)/root",
        "users": r"users(?:/(?P<user>[^/]+))?",
    }.items()
}
_SEGMENT_KEY = re.compile(r"\('([^'=]*)'\)")


def _plain(url: str) -> str:
    """Without percent-encoding, however often it was encoded."""
    while (decoded := unquote(url)) != url:
        url = decoded
    return url


def _segments(text: str) -> str:
    return _SEGMENT_KEY.sub(r"/\1", text.strip().lstrip("/"))


@functools.lru_cache(maxsize=20_000)
def key_of(text: str) -> str:
    """One spelling for all spellings of a resource whose user is named by object id."""
    path = _segments(text)
    for name in ("meetingCallEvents", "meetingCallEvents of old"):
        if found := _FORMS[name].match(path):
            return f"calls {_plain(found['join']).lower()}"
    return path.lower()


def read_resource(caller: Caller, text: str) -> Watched:
    """Raises ``GraphError``: 400 for what cannot be watched, 403 and 404 as a read of the user or meeting would."""
    path, query = _segments(text), ""
    if "/?" not in path:  # there the query is part of an older form
        path, _, query = path.partition("?")
    if path.lower() == "me" or path.lower().startswith("me/"):
        path = f"users/{caller.user(None)['id']}{path[2:]}"
    for form, pattern in _FORMS.items():
        found = pattern.match(path)
        if found is not None:
            return _watched(caller, form.partition(" ")[0], path, found.groupdict(), query)
    known = ", ".join(KINDS)
    raise GraphError(400, "BadRequest", f"Resource '{text}' is not supported for subscriptions here. Known: {known}.")


def _watched(caller: Caller, name: str, path: str, found: dict[str, str | None], query: str) -> Watched:
    user, meeting = found.get("user"), found.get("meeting")
    kind = KINDS[name]
    writes = name == "events" and rule(caller.simulator, "write_subscribes")
    more = " Calendars.ReadWrite" if writes else ""
    caller.need(delegated=kind.delegated + more, role=kind.role, place=kind.place)
    if name == "meetingCallEvents":
        return Watched(name, key_of(path), meeting=key_of(path))
    if user is not None:
        row = _person(caller, name, user)
        path = path.replace(user, row["id"], 1)
        user = row["id"]
    elif meeting is not None:
        _check_meeting(caller, name, meeting)
    elif path.lower().startswith("communications/") and not caller.app_only:
        raise GraphError(403, "Forbidden", f"'{path}' needs an application token.")
    return Watched(name, key_of(path), user, meeting, *_query(name, query))


def _query(name: str, query: str) -> tuple[tuple[str, ...], str | None]:
    """``$select`` and ``$filter``, which mailboxes take."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given and (KINDS[name].place != "outlook" or set(given) - {"$select", "$filter"}):
        raise GraphError(400, "BadRequest", f"The query '{query}' is not supported in the resource of a subscription.")
    wanted = tuple(part.strip() for part in given.get("$select", "").split(",") if part.strip())
    try:
        matching(name, given.get("$filter"))
    except BadQuery as error:
        raise GraphError(400, "BadRequest", str(error)) from error
    return wanted, given.get("$filter")


@functools.lru_cache(maxsize=1_000)
def matching(name: str, query: str | None) -> Callable[[Row], bool]:
    """What a ``$filter`` lets through. Raises ``BadQuery``."""
    if not query:
        return lambda _row: True
    kind = f"graph.{name.removesuffix('s')}"
    return parse_filter(query, kind, tuple(properties(kind)))


def _person(caller: Caller, name: str, user: str) -> Row:
    place = KINDS[name].place
    if place == "teams" and "@" in user:
        raise GraphError(400, "BadRequest", "The user must be named by object id, not by user principal name.")
    if place == "outlook":
        return caller.mailbox(user)
    if name != "users":
        return caller.user(user, place=place)
    row: Row | None = caller.store.get("users", user)
    if row is None or row["tenant"] != caller.tenant:
        raise GraphError(404, "Request_ResourceNotFound", f"Resource '{user}' does not exist.")
    return row


def _check_meeting(caller: Caller, name: str, meeting: str) -> None:
    row = caller.store.get("meetings", meeting)
    if row is None or row["tenant"] != caller.tenant:
        raise GraphError(404, "NotFound", "3004: The meeting does not exist.")
    person = None if caller.app_only else caller.user(None)
    if person is None or person["id"] == row["organizer"]:
        return
    if name == "recordings" or person["address"] not in row["attendees"]:
        raise GraphError(403, "Forbidden", "3003: User does not have access to lookup meeting.")


def longest(watched: Watched, figures: Figures, *, rich: bool) -> int:
    """The maximum lifetime in minutes."""
    if watched.kind.place == "outlook":
        return RICH_OUTLOOK_MINUTES if rich else figures.outlook_minutes
    return watched.kind.minutes or figures.teams_minutes
