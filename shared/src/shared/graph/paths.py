"""What a Graph path says without its ids: whose limit it counts against, and its name in traces."""

import re

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
    r"^/(?:me|users/[^/]+)/(?:events|calendar\w*|messages|mailFolders|contacts|contactFolders|childFolders|sendMail"
    r"|outlook|mailboxSettings|findMeetingTimes|translateExchangeIds)(?=[/?(]|$)",
    re.IGNORECASE,
)


def is_outlook(path: str) -> bool:
    """Whether Outlook answers this path: its calendars, mail and contacts take four requests at a time per mailbox.

    Everything else (online meetings and the content of their recordings, drives, sites, subscriptions) has other limits
    and waits for no mailbox. A ``$batch`` is one request; Outlook itself runs at most four of its items at a time.
    """
    return _OUTLOOK.match(path) is not None


def template(path: str) -> str:
    """``/me/events/AAMk…?$top=5`` as ``/me/events/{id}``: a word that is not one of Graph's counts as an id."""
    parts = [_word(part) for part in path.partition("?")[0].split("/") if part]
    kept = [part for at, part in enumerate(parts) if part != "{id}" or at == 0 or parts[at - 1] != "{id}"]
    return "/" + "/".join(kept)


def _word(part: str) -> str:
    word = part.partition("(")[0].rstrip(":")
    return word if word in _KNOWN else "{id}"
