"""Microsoft's words for the messages of a mailbox and its folders. Nobody else sees Graph's JSON."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from mail.addresses import key_of
from shared.graph import BatchRequest, GraphCaller
from shared.graph.batch import SIZE, refused
from shared.graph.bounded import TOO_LARGE
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.graph.words import moment

CHANGES = "created,updated,deleted"
USUAL = ("inbox", "sentitems")
"""The folders that are followed from the start, by their well-known names."""
LEFT_OUT = ("deleteditems", "junkemail", "drafts")
"""Folders whose messages are no part of a conversation: deleted, junk, or not written yet."""
LOOKED_AT = (
    "id,subject,from,sender,toRecipients,ccRecipients,bccRecipients,receivedDateTime,sentDateTime,internetMessageId,"
    "conversationId,hasAttachments,isDraft,parentFolderId"
)
"""What is read of every message, to see whether it is with a contact; of one that is not, no text is read."""
_TEXT = "id,body,uniqueBody,bodyPreview,internetMessageHeaders"
_ABOUT_TEXT = "id,bodyPreview,internetMessageHeaders"
_FILE = "id,name,contentType,size,isInline,microsoft.graph.fileAttachment/contentId"
_KINDS = {"to": "toRecipients", "cc": "ccRecipients", "bcc": "bccRecipients"}
MOST_PEOPLE = 1000
MOST_KEYS = 100
"""Most references of a message that are used; the newest are the last."""
DEPTH = 32
_LINE = 998


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the mailbox; ``path`` has the names from the top."""

    id: str
    name: str
    path: str
    items: int


@dataclass(frozen=True, slots=True)
class Looked:
    """The part of a message that is always read. People have ``kind`` (from, to, cc, bcc), ``name``, ``address``."""

    id: str
    folder_id: str
    is_draft: bool
    subject: str
    people: list[dict[str, str]]
    addresses: frozenset[str]
    at: datetime
    internet_message_id: str | None
    conversation_id: str
    has_attachments: bool


@dataclass(frozen=True, slots=True)
class Text:
    """The part that is read of a message with a contact. ``references`` are message ids, the oldest first."""

    html: str | None
    text: str | None
    unique: str | None
    preview: str
    references: list[str]
    attachments: list[dict[str, Any]] = field(default_factory=list)
    too_large: bool = False
    """Larger than an answer may be, so it was not read."""


def messages_in(folder_id: str) -> str:
    return f"/me/mailFolders/{quote(folder_id, safe='')}/messages"


def message(message_id: str) -> str:
    return f"/me/messages/{quote(message_id, safe='')}"


def whereabouts(message_id: str) -> str:
    """Which folder it is in."""
    return f"{message(message_id)}?$select=id,parentFolderId"


def content_of(message_id: str, attachment_id: str) -> str:
    return f"{message(message_id)}/attachments/{quote(attachment_id, safe='')}/$value"


def resource_of(account: str, folder_id: str) -> str:
    """The resource to subscribe to: the messages of one folder."""
    return f"users/{account}/mailFolders/{folder_id}/messages"


def looked(item: dict[str, Any]) -> Looked | None:
    """None for what has no id."""
    if not item.get("id"):
        return None
    people = list(_people(item))
    at = moment(item.get("receivedDateTime")) or moment(item.get("sentDateTime")) or datetime.fromtimestamp(0, UTC)
    return Looked(
        id=str(item["id"]),
        folder_id=str(item.get("parentFolderId") or ""),
        is_draft=bool(item.get("isDraft")),
        subject=_text(item.get("subject"))[:_LINE],
        people=people,
        addresses=frozenset(found for one in people if (found := key_of(one["address"]))),
        at=at,
        internet_message_id=_text(item.get("internetMessageId")).strip()[:_LINE] or None,
        conversation_id=_text(item.get("conversationId")),
        has_attachments=bool(item.get("hasAttachments")),
    )


def _people(item: dict[str, Any]) -> Iterator[dict[str, str]]:
    author = item.get("from") or item.get("sender")
    named = [("from", [author] if author else []), *((kind, item.get(name) or []) for kind, name in _KINDS.items())]
    left = MOST_PEOPLE
    for kind, people in named:
        for one in people[:left]:
            said = (one or {}).get("emailAddress") or {}
            address = _text(said.get("address")).strip()[:320]
            if address:
                left -= 1
                yield {"kind": kind, "name": _text(said.get("name"))[:255], "address": address}


async def texts(caller: GraphCaller, wanted: Sequence[Looked]) -> dict[str, Text]:
    """Message id → its text, headers and attachments; without those that are gone meanwhile."""
    found: dict[str, dict[str, Any]] = {}
    too_large: set[str] = set()
    async for one, item in _each(caller, wanted, lambda one: f"{message(one.id)}?$select={_TEXT}"):
        if item is None:
            too_large.add(one.id)
        found[one.id] = item or await caller.get(message(one.id), {"$select": _ABOUT_TEXT})
    with_files = [one for one in wanted if one.id in found and (one.has_attachments or _has_pictures(found[one.id]))]
    files: dict[str, list[dict[str, Any]]] = {}
    async for one, item in _each(caller, with_files, lambda one: f"{message(one.id)}/attachments?$select={_FILE}"):
        files[one.id] = [_file(file) for file in (item or {}).get("value") or []]
    return {key: _read(item, files.get(key, []), too_large=key in too_large) for key, item in found.items()}


async def _each(
    caller: GraphCaller, wanted: Sequence[Looked], path: Callable[[Looked], str]
) -> AsyncIterator[tuple[Looked, dict[str, Any] | None]]:
    """What there is at the path of each, without those that are gone; None where it is too large to be read at all."""
    waiting = [wanted[at : at + SIZE] for at in range(0, len(wanted), SIZE)]
    while waiting:
        some = waiting.pop()
        large: list[Looked] = []
        async for one, found in _together(caller, some, path):
            if found is None and len(some) > 1:
                large.append(one)  # together they are
            else:
                yield one, found
        waiting += [part for part in (large[: len(large) // 2], large[len(large) // 2 :]) if part]


async def _together(
    caller: GraphCaller, some: Sequence[Looked], path: Callable[[Looked], str]
) -> AsyncIterator[tuple[Looked, dict[str, Any] | None]]:
    """The same in one request; None for those whose answers together are too large."""
    try:
        answers = await caller.batch([BatchRequest("GET", path(one)) for one in some])
    except GraphError as error:
        if error.code != TOO_LARGE:
            raise
        answers = [refused(error)] * len(some)
    for one, answer in zip(some, answers, strict=True):
        if answer.error is not None and answer.error.code == TOO_LARGE:
            yield one, None
        elif answer.error is None and isinstance(answer.body, dict):
            yield one, answer.body
        elif not isinstance(answer.error, GraphNotFound):
            raise answer.error or GraphRetry("Graph answered a message without content.")


def _has_pictures(item: dict[str, Any]) -> bool:
    """Pictures within the text are not counted as attachments."""
    body = item.get("body") or {}
    return "cid:" in str(body.get("content") or "")


def _file(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(item.get("id") or ""),
        "name": _text(item.get("name"))[:255] or "attachment",
        "size": int(item.get("size") or 0),
        "content_type": _text(item.get("contentType"))[:255] or "application/octet-stream",
        "inline": bool(item.get("isInline")),
        "content_id": _text(item.get("contentId"))[:_LINE],
    }


def _read(item: dict[str, Any], files: list[dict[str, Any]], *, too_large: bool) -> Text:
    body, unique = item.get("body") or {}, item.get("uniqueBody") or {}
    is_html = str(body.get("contentType")).lower() == "html"
    content = _text(body.get("content"))
    return Text(
        html=content if is_html else None,
        text=None if is_html else content,
        unique=_text(unique.get("content")) or None,
        preview=_text(item.get("bodyPreview"))[:255],
        references=_references(item.get("internetMessageHeaders") or []),
        attachments=files,
        too_large=too_large,
    )


def _references(headers: Sequence[dict[str, Any]]) -> list[str]:
    said = {str(one.get("name")).lower(): _text(one.get("value")) for one in headers if isinstance(one, dict)}
    words = f"{said.get('references', '')} {said.get('in-reply-to', '')}".split()
    return list(dict.fromkeys(word for word in words if word.startswith("<") and len(word) <= _LINE))[-MOST_KEYS:]


async def well_known(caller: GraphCaller, names: Sequence[str]) -> dict[str, Folder]:
    """Well-known name → folder, of those that there are. Raises ``GraphError`` for any other refusal."""
    answers = await caller.batch([BatchRequest("GET", f"/me/mailFolders/{name}") for name in names])
    found: dict[str, Folder] = {}
    for name, answer in zip(names, answers, strict=True):
        if answer.error is None and isinstance(answer.body, dict):
            found[name] = _folder(answer.body, "")
        elif not isinstance(answer.error, GraphNotFound) or answer.error.code != "ErrorItemNotFound":
            raise answer.error or GraphRetry("Graph answered a folder without content.")
    return found


async def folders(caller: GraphCaller, most: int) -> list[Folder]:
    """Every folder at any depth, parents before children; at most ``most``."""
    found: list[Folder] = []
    async for folder in _walk(caller, "/me/mailFolders", "", 0):
        found.append(folder)
        if len(found) >= most:
            break
    return found


async def _walk(caller: GraphCaller, path: str, above: str, depth: int) -> AsyncIterator[Folder]:
    try:
        listed = [item async for item in caller.pages(path, page_size=100)]
    except GraphNotFound as error:
        if depth == 0 or error.code.lower() in GONE:
            raise
        return  # deleted while we looked
    for item in listed:
        folder = _folder(item, above)
        yield folder
        if item.get("childFolderCount") and depth < DEPTH:
            below = f"/me/mailFolders/{quote(folder.id, safe='')}/childFolders"
            async for one in _walk(caller, below, folder.path, depth + 1):
                yield one


GONE = {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi", "errornonexistentmailbox"}
"""The mailbox is not there: none, deleted, or on a server of the organisation's own."""


def _folder(item: dict[str, Any], above: str) -> Folder:
    name = _text(item.get("displayName"))[:255] or "(no name)"
    return Folder(str(item["id"]), name, f"{above} / {name}" if above else name, int(item.get("totalItemCount") or 0))


def _text(value: Any) -> str:
    """Text that PostgreSQL can store."""
    return value.replace("\0", "").encode("utf-8", "replace").decode() if isinstance(value, str) else ""


async def search(
    caller: GraphCaller, address: str, link: str | None, page_size: int
) -> AsyncIterator[tuple[list[dict[str, Any]], str | None]]:
    """Messages of the whole mailbox in which an address takes part, with the link of the next page.

    Microsoft finds a thousand at most, and words of the address too: whoever asks compares the addresses.
    """
    params = {"$search": f'"participants:{address}"', "$select": LOOKED_AT, "$top": str(page_size)}
    answer = await caller.get(link or "/me/messages", None if link else params)
    while True:
        found = answer.get("value")
        items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
        next_link = answer.get("@odata.nextLink")
        yield items, str(next_link) if next_link and next_link != link else None
        if not next_link or next_link == link:
            return
        link = str(next_link)
        answer = await caller.get(link)


async def name_of(caller: GraphCaller, folder_id: str) -> str:
    """Raises ``GraphNotFound`` when the folder is not there."""
    return _folder(await caller.get(f"/me/mailFolders/{quote(folder_id, safe='')}"), "").name
