"""Microsoft's words for a mail that is sent. Nobody else sees Graph's JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from mail.tables import MailFile, OutgoingMail
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound
from shared.graph.upload import MULTIPLE, UploadSession

PROPERTY = "String {b1f0c3a2-6f0f-4f0a-9a57-2d5f3c1f7e10} Name ProspoMail"
"""Our extended property: it stays with a message from draft to Sent Items, and Microsoft searches by it."""
INLINE_BYTES = 2 * 1024 * 1024
"""Up to here a file comes in one request. Microsoft's limit is 3 MB of that request, and base64 makes a third more."""
UPLOAD_CHUNK = 12 * MULTIPLE
"""Outlook's upload sessions take at most 4 MB at a time."""
_SELECT = "id,isDraft,internetMessageId,conversationId"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Microsoft has it; ``body`` where it was asked for."""

    id: str
    is_draft: bool
    internet_message_id: str | None
    conversation_id: str | None
    body: dict[str, str] | None = None


async def make_draft(caller: GraphCaller, mail: OutgoingMail, content: str) -> Message:
    """A draft that carries the mail's key."""
    return _message(await caller.post("/me/messages", _marked(mail) | _written(mail, content)))


async def make_answer(caller: GraphCaller, mail: OutgoingMail) -> Message:
    """A draft in the thread of what the mail answers: Microsoft fills in the headers, the addressees and the quote.

    Raises ``GraphNotFound`` when that message is gone.
    """
    answers = mail.answers or {}
    action = "createReplyAll" if answers.get("everybody") else "createReply"
    path = f"{_path(str(answers['message_id']))}/{action}"
    return _message(await caller.post(path, {"message": _marked(mail)}))


async def read_draft(caller: GraphCaller, draft_id: str) -> Message:
    """Raises ``GraphNotFound``."""
    return _message(await caller.get(_path(draft_id), {"$select": f"{_SELECT},body"}))


async def compose_answer(caller: GraphCaller, draft_id: str, mail: OutgoingMail, body: dict[str, str]) -> Message:
    """Put the person's text above the quote. Whom the mail names takes the place of whom Microsoft filled in."""
    written = {name: value for name, value in _written(mail, "").items() if value} | {"body": body}
    return _message(await caller.patch(_path(draft_id), written))


async def find(caller: GraphCaller, folder: str, mail: OutgoingMail) -> list[Message]:
    """The mail's messages in one folder (``drafts``, ``sentitems``): by our property, else by its message id."""
    ours = f"ep/id eq '{PROPERTY}' and ep/value eq '{_quoted(mail.key)}'"
    wanted = [f"singleValueExtendedProperties/Any(ep: {ours})"]
    if mail.internet_message_id:
        wanted.append(f"internetMessageId eq '{_quoted(mail.internet_message_id)}'")
    for one in wanted:
        answer = await caller.get(f"/me/mailFolders/{folder}/messages", {"$filter": one, "$select": _SELECT})
        found = [_message(item) for item in answer.get("value") or []]
        if found:
            return found
    return []


async def attached(caller: GraphCaller, draft_id: str) -> set[str]:
    """The names of the files that the draft has. Pictures in the quoted text are inline, and no files of this mail."""
    listed = caller.pages(f"{_path(draft_id)}/attachments", {"$select": "id,name,size,isInline"})
    return {str(item.get("name")) async for item in listed if not item.get("isInline")}


async def attach(caller: GraphCaller, draft_id: str, file: MailFile, content_base64: str) -> None:
    """A small file."""
    body = {"@odata.type": "#microsoft.graph.fileAttachment", "name": file.name, "contentType": file.media_type}
    await caller.post(f"{_path(draft_id)}/attachments", body | {"contentBytes": content_base64})


async def begin_upload(caller: GraphCaller, draft_id: str, file: MailFile) -> UploadSession:
    """An upload session for a large file; its address is a secret."""
    item = {"attachmentType": "file", "name": file.name, "size": file.size_bytes, "contentType": file.media_type}
    made = await caller.upload_session(f"{_path(draft_id)}/attachments/createUploadSession", {"AttachmentItem": item})
    return replace(made, chunk=UPLOAD_CHUNK)


async def send(caller: GraphCaller, draft_id: str) -> None:
    """202 says that Microsoft accepted it, no more. ``GraphRetry`` with ``maybe_done``: it may have."""
    await caller.post(f"{_path(draft_id)}/send")


async def delete(caller: GraphCaller, message_id: str) -> None:
    """A draft that is gone is deleted."""
    try:
        await caller.delete(_path(message_id))
    except GraphNotFound:
        return


def _path(message_id: str) -> str:
    return f"/me/messages/{quote(message_id, safe='')}"


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def _marked(mail: OutgoingMail) -> dict[str, Any]:
    return {"singleValueExtendedProperties": [{"id": PROPERTY, "value": mail.key}]}


def _written(mail: OutgoingMail, content: str) -> dict[str, Any]:
    return {
        "subject": mail.subject,
        "body": {"contentType": mail.content_type, "content": content},
        "internetMessageId": mail.internet_message_id,
        "toRecipients": _people(mail.recipients, "to"),
        "ccRecipients": _people(mail.recipients, "cc"),
        "bccRecipients": _people(mail.recipients, "bcc"),
    }


def _people(recipients: Sequence[dict[str, str]], kind: str) -> list[dict[str, Any]]:
    return [{"emailAddress": _address(one)} for one in recipients if one["kind"] == kind]


def _address(person: dict[str, str]) -> dict[str, str]:
    return {"address": person["email"]} | ({"name": person["name"]} if person.get("name") else {})


def _message(item: dict[str, Any]) -> Message:
    body = item.get("body")
    return Message(
        str(item["id"]),
        bool(item.get("isDraft")),
        item.get("internetMessageId"),
        item.get("conversationId"),
        {name: str(body.get(name) or "") for name in ("contentType", "content")} if isinstance(body, dict) else None,
    )
