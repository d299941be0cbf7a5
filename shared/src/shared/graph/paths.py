"""Reads a Graph path: whose limits it counts against, and its name in traces, without ids."""

import re
from urllib.parse import unquote

_WORDS = (
    "accept attachments beta calendar calendarGroups calendarView calendars callRecords cancel channels "
    "childFolders children communications contactFolders contacts content copy createLink createOrGet createReply "
    "createUploadSession decline delta drive drives events filesFolder findMeetingTimes followedSites forward "
    "getAllRecordings getAllTranscripts getSchedule groups instances invite items joinedTeams lists mailFolders "
    "mailboxSettings me messages metadataContent move onlineMeetings organization outlook permissions photo "
    "primaryChannel reauthorize recordings reply replyAll root search send sendMail sites special subscriptions "
    "teams tentativelyAccept thumbnails transcripts translateExchangeIds users v1.0 workbook $batch $count $ref "
    "$value"
)
_KNOWN = frozenset(_WORDS.split())
_OUTLOOK = re.compile(
    r"^/(?:me|users/(?P<owner>[^/]+))/(?:events|calendar\w*|messages|mailFolders|contacts|contactFolders|childFolders|sendMail"
    r"|outlook|mailboxSettings|findMeetingTimes|translateExchangeIds)(?=[/?(]|$)",
    re.IGNORECASE,
)
_SERVICES = {
    word: service
    for service, words in {
        "files": "drive drives shares sites",
        "teams": "channels chats communications joinedteams onlinemeetings teams",
        "subscriptions": "subscriptions",
    }.items()
    for word in words.split()
}


def is_outlook(path: str) -> bool:
    """Whether Outlook answers this path: its calendars, mail and contacts take four requests at a time per mailbox.

    Everything else (online meetings and the content of their recordings, drives, sites, subscriptions) has other limits
    and waits for no mailbox. A ``$batch`` is one request; Outlook itself runs at most four of its items at a time.
    """
    return _OUTLOOK.match(path) is not None


def mailbox(path: str, user_id: str | None) -> str | None:
    """The mailbox a path counts against: the caller's for ``/me``, else the named person's; None outside Outlook."""
    found = _OUTLOOK.match(path)
    if found is None:
        return None
    return user_id if found["owner"] is None else f"users/{unquote(found['owner']).lower()}"


def service(path: str) -> str:
    """Which of Microsoft's services answers: each throttles by itself."""
    if is_outlook(path):
        return "outlook"
    parts = path.partition("?")[0].lower().split("/")
    return next((_SERVICES[word] for part in parts if (word := _bare(part)) in _SERVICES), "directory")


def template(path: str) -> str:
    """``/me/events/AAMk…?$top=5`` as ``/me/events/{id}``: a word that is not one of Graph's counts as an id."""
    parts = [_word(part) for part in path.partition("?")[0].split("/") if part]
    kept = [part for at, part in enumerate(parts) if part != "{id}" or at == 0 or parts[at - 1] != "{id}"]
    return "/" + "/".join(kept)


def _word(part: str) -> str:
    word = _bare(part)
    return word if word in _KNOWN else "{id}"


def _bare(part: str) -> str:
    return part.partition("(")[0].rstrip(":")
