"""HTTP in: conversations with contacts, below /v1/mail."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from mail import address_queries, conversation_queries, display, message_queries, outlook
from mail.answers import read_in_outlook
from mail.conversation_models import Body, Conversation, Message, Sharing, WholeConversation, addresses_of, normal
from mail.refusals import SWITCH
from mail.rounds import place
from shared.connections import connection_of
from shared.connections.refusing import conflict
from shared.database.unit_of_work import UnitOfWork
from shared.problems import Conflict, NotFound, PreconditionFailed, PreconditionMissing
from shared.secrets import Envelope
from shared.web.cursors import SignedCursor, make_cursor, read_cursor
from shared.web.dependencies import Db, Envelope_, Graph_
from shared.web.identity import Identity
from shared.web.routes import HEADER_MAX, Caller, Id, Page, Work, needs_header, with_header
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1/mail", tags=["mail"])
Limit = Annotated[int, Query(ge=1, le=100)]
MailsLimit = Annotated[int, Query(ge=1, le=200)]
"""Most conversations are one page so: a page is mostly what a request costs by itself."""
Words = Annotated[str, Query(max_length=200), STORABLE]
Named = Annotated[str | None, Query(max_length=320), STORABLE]
FileId = Annotated[str, Query(max_length=1000), STORABLE]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=HEADER_MAX, include_in_schema=False), STORABLE]
NEEDS_TAG = needs_header("If-Match", "The ETag of the conversation as it was read.")
TAGGED = with_header("ETag", "Of this version of the conversation; send it as If-Match with a change.")
SHOWN_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("/conversations")
async def conversations(
    caller: Caller,
    work: Work,
    envelope: Envelope_,
    contact_id: Named = None,
    address: Named = None,
    query: Words = "",
    cursor: SignedCursor = None,
    limit: Limit = 50,
) -> Page[Conversation]:
    """The caller's conversations with contacts and those that colleagues share, the newest first.

    ``contact_id`` or ``address`` shows those in which it takes part; ``query`` finds parts of subjects, names and
    addresses, all words of it. The text of mails is not searched.
    """
    wanted: list[str] | None = None
    if contact_id is not None:
        wanted = await address_queries.of_contact(work.session, caller.org_id, caller.user_id, contact_id)
    if address is not None:
        wanted = [*(wanted or []), *normal(address)]
    list_ = f"conversations {contact_id} {address} {query}"
    rows = await conversation_queries.conversations(
        work.session,
        caller.org_id,
        caller.user_id,
        addresses=wanted,
        words=query,
        after=read_cursor(envelope.ring, caller, list_, cursor),
        limit=limit + 1,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    contacts = await _contacts(work, caller, rows[:limit])
    next_cursor = make_cursor(envelope.ring, caller, list_, [last.last_at.isoformat(), last.id]) if last else None
    shown = [Conversation.of(row, contacts, caller.user_id) for row in rows[:limit]]
    return Page[Conversation](items=shown, next_cursor=next_cursor)


@router.get("/conversations/{conversation_id}", responses={200: TAGGED})
async def conversation(
    conversation_id: Id,
    caller: Caller,
    work: Work,
    envelope: Envelope_,
    response: Response,
    cursor: SignedCursor = None,
    limit: MailsLimit = 50,
) -> WholeConversation:
    """A conversation with its messages, the oldest first, each once however many mailboxes it went through."""
    row = await _seen(work, caller, conversation_id)
    response.headers["ETag"] = _tag(row)
    list_ = f"conversation {conversation_id}"
    after = read_cursor(envelope.ring, caller, list_, cursor) or conversation_queries.FIRST
    about = (work.session, caller.org_id, caller.user_id, conversation_id)
    rows = await conversation_queries.messages(*about, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    shown = [Message.of(one, await _preview(work, envelope, one), caller.user_id) for one in rows[:limit]]
    next_cursor = make_cursor(envelope.ring, caller, list_, [last.at.isoformat(), last.id]) if last else None
    contacts = await _contacts(work, caller, [row])
    return WholeConversation.of(row, contacts, caller.user_id, messages=shown, next_cursor=next_cursor)


@router.patch("/conversations/{conversation_id}", responses={200: TAGGED}, openapi_extra=NEEDS_TAG)
async def share_conversation(
    conversation_id: Id, wanted: Sharing, caller: Caller, work: Work, response: Response, if_match: IfMatch = None
) -> Conversation:
    """Show a conversation to the organisation, or no longer. Only its owner does; later mail of it is shared too."""
    row = await _seen(work, caller, conversation_id)
    if row.user_id != caller.user_id:
        raise Conflict("not_yours", "A colleague shares this conversation. Only its owner can change that.")
    whose = {"org_id": caller.org_id, "user_id": caller.user_id}
    await message_queries.lock(work.session, whose)
    about = (work.session, caller.org_id, caller.user_id, conversation_id)
    row = await conversation_queries.conversation(*about, lock=True)
    if row is None:
        raise _not_found()
    if not if_match:
        raise PreconditionMissing("if_match_required", "Read the conversation, then send its ETag as If-Match.")
    if if_match != _tag(row):
        detail = "The conversation was changed since you read it. Read it again."
        raise PreconditionFailed("conversation_changed", detail)
    if wanted.shared is not None and wanted.shared != row.shared:
        await conversation_queries.share(work.session, caller.org_id, conversation_id, on=wanted.shared)
        row = await conversation_queries.conversation(*about)
    response.headers["ETag"] = _tag(row)
    return Conversation.of(row, await _contacts(work, caller, [row]), caller.user_id)


@router.get("/messages/{message_id}/body")
async def body(
    message_id: Id, caller: Caller, work: Work, envelope: Envelope_, images: Literal["held", "shown"] = "held"
) -> Body:
    """The text of a message, cleaned. 409 ``text_not_kept`` when it is too large: Outlook has it."""
    row = await _message(work, caller, message_id)
    if row.body is None:
        raise Conflict("text_not_kept", "The text of this mail is too large to be kept in Prospo. Open it in Outlook.")
    said = json.loads(await envelope.open(work.session, caller.org_id, place(row.id, "body"), bytes(row.body)))
    files = [one for one in row.attachments if one.get("content_id")]
    inline = {one["content_id"]: _address(row.id, one["id"]) for one in files}
    found = await asyncio.to_thread(
        display.shown, said.get("html"), said.get("text"), said.get("unique"), images, inline
    )
    return Body.model_validate(found, from_attributes=True)


@router.get("/messages/{message_id}/attachments/{attachment_id}", response_class=Response, responses=BYTES)
async def attachment(message_id: Id, attachment_id: Id, caller: Caller, db: Db, graph: Graph_) -> Response:
    """A file of a message, read from its owner's mailbox at Microsoft; it is not stored in Prospo."""
    async with db.unit_of_work(caller.org_id, caller.user_id) as work:
        row = await _message(work, caller, message_id)
        owner = await connection_of(work.session, caller.org_id, row.user_id)
    file = next((one for one in row.attachments if one["id"] == attachment_id), None)
    if file is None:
        raise NotFound("attachment_not_found", "The message has no such file. Open the conversation again.")
    found = owner.obstacle(switch=SWITCH, made_by=row.account)
    if found is not None:
        raise conflict(found, "then open the file again")
    stack = AsyncExitStack()
    try:
        with read_in_outlook():
            as_owner = graph.as_user(caller.org_id, row.user_id, "interactive")
            path = outlook.content_of(row.graph_id, attachment_id)
            download = await stack.enter_async_context(as_owner.download(path))
    except BaseException:
        await stack.aclose()
        raise

    async def content() -> AsyncIterator[bytes]:
        async with stack:
            async for chunk in download.chunks:
                yield chunk

    kind = file["content_type"].partition(";")[0].strip().lower()
    is_image = kind in SHOWN_IMAGES
    disposition = "inline" if is_image else "attachment"
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file['name'], safe='')}",
    }
    return StreamingResponse(content(), media_type=kind if is_image else "application/octet-stream", headers=headers)


def _address(message_id: str, attachment_id: str) -> str:
    """The URL of a picture within the text."""
    return f"/v1/mail/messages/{quote(message_id, safe='')}/attachments/{quote(attachment_id, safe='')}"


async def _preview(work: UnitOfWork, envelope: Envelope, row: Any) -> str:
    if row.preview is None:
        return ""
    return (await envelope.open(work.session, work.org_id, place(row.id, "preview"), bytes(row.preview))).decode()


async def _contacts(work: UnitOfWork, caller: Identity, rows: list[Any]) -> dict[str, list[str]]:
    return await address_queries.contacts_of(work.session, caller.org_id, caller.user_id, addresses_of(rows))


async def _seen(work: UnitOfWork, caller: Identity, conversation_id: str) -> Any:
    row = await conversation_queries.conversation(work.session, caller.org_id, caller.user_id, conversation_id)
    if row is None:
        raise _not_found()
    return row


async def _message(work: UnitOfWork, caller: Identity, message_id: str) -> Any:
    row = await conversation_queries.message(work.session, caller.org_id, caller.user_id, message_id)
    if row is None:
        raise NotFound("message_not_found", "There is no such message of yours. Open it from its conversation.")
    return row


def _tag(row: Any) -> str:
    return f'"{row.version}"'


def _not_found() -> NotFound:
    return NotFound("conversation_not_found", "There is no such conversation of yours. Open it from your list.")
