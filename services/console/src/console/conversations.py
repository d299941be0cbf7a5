"""Conversations with contacts: the list, one of them, and what a browser is given of a mail."""

import uuid
from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from console.backend import Json, Refused, backend_of
from console.problems import refused_page
from console.rendering import render
from console.switches import require_person

router = APIRouter(prefix="/mail", dependencies=[Depends(require_person)])
_CONVERSATIONS, _MESSAGES_AT = "/v1/mail/conversations", "/v1/mail/messages"
_PAGE_SIZE = 25
_MESSAGES = 20


@router.get("")
async def conversations(
    request: Request,
    query: str = "",
    contact: uuid.UUID | None = None,
    address: str = "",
    cursor: str | None = None,
) -> Response:
    wanted = {"limit": str(_PAGE_SIZE)}
    wanted |= {"query": query[:200]} if query else {}
    wanted |= {"contact_id": str(contact)} if contact else {}
    wanted |= {"address": address[:320]} if address else {}
    page = await backend_of(request).get(
        request, _CONVERSATIONS, params=wanted | ({"cursor": cursor} if cursor else {})
    )
    whose = await backend_of(request).look(request, f"/v1/contacts/{contact}") if contact else None
    return render(
        request,
        "mail/list.html",
        conversations=page["items"],
        next=page.get("next_cursor"),
        later=cursor,
        query=query,
        contact=contact,
        address=address,
        whose=whose,
        connection=getattr(request.state, "connection", None),
    )


@router.get("/conversations/{conversation_id}")
async def conversation(
    request: Request, conversation_id: uuid.UUID, cursor: str | None = None, done: str = ""
) -> Response:
    found, tag = await conversation_of(request, conversation_id, cursor)
    return render(
        request,
        "mail/conversation.html",
        conversation=found,
        etag=tag,
        later=cursor,
        done=done if done in {"shared", "unshared"} else "",
        problem=None,
    )


@router.post("/conversations/{conversation_id}/share")
async def share(request: Request, conversation_id: uuid.UUID) -> Response:
    """Show it to the organisation, or no longer, as its owner."""
    form = await request.form()
    on = form.get("on") == "true"
    page = f"/mail/conversations/{conversation_id}"
    headers = {"If-Match": _tag(str(form.get("etag") or ""))}
    try:
        await backend_of(request).call(request, "PATCH", f"/v1{page}", json={"shared": on}, headers=headers)
    except Refused as refused:
        way_on = (page, "Back to the conversation")
        return refused_page(request, refused, "Nothing was changed", way_on=way_on)
    return RedirectResponse(f"{page}?done={'shared' if on else 'unshared'}", 303)


@router.get("/messages/{message_id}/body")
async def body(request: Request, message_id: uuid.UUID, images: Literal["held", "shown"] = "held") -> Response:
    """The document of the frame that shows a mail; ``protection`` gives it a policy of its own."""
    path = f"{_MESSAGES_AT}/{message_id}/body"
    try:
        found = await backend_of(request).get(request, path, params={"images": images})
    except Refused as refused:
        return render(request, "mail/no_body.html", refused.status, problem=refused.problem)
    return render(request, "mail/body.html", mail=found, images=images, parts=_folded(found))


@router.get("/messages/{message_id}/attachments/{attachment_id:path}")
async def attachment(request: Request, message_id: uuid.UUID, attachment_id: str) -> Response:
    """A file, as it comes from Microsoft. Always saved, never shown as a page of ours."""
    path = f"{_MESSAGES_AT}/{message_id}/attachments/{quote(attachment_id[:1000], safe='')}"
    try:
        given, content = await backend_of(request).passed_on(request, path)
    except Refused as refused:
        return refused_page(request, refused, "The file was not fetched", way_on=("/mail", "Back to your mail"))
    name = given.get("content-disposition", "attachment").partition(";")[2].strip()
    headers = {"Content-Disposition": f"attachment; {name}" if name else "attachment"}
    return StreamingResponse(content, media_type="application/octet-stream", headers=headers)


async def conversation_of(request: Request, conversation_id: object, cursor: str | None) -> tuple[Json, str]:
    """A page of the conversation's messages, and the tag that a change of it needs."""
    wanted = {"limit": str(_MESSAGES)} | ({"cursor": cursor} if cursor else {})
    path = f"{_CONVERSATIONS}/{conversation_id}"
    answer = await backend_of(request).call(request, "GET", path, params=wanted)
    found: Json = answer.json()
    return found, answer.headers.get("etag", "")


def _folded(mail: Json) -> list[dict[str, Any]]:
    """A mail of text in the order of its reading: what is its sender's own, and what is folded."""
    text, parts, at = mail["text"], [], 0
    for fold in mail["folds"]:
        parts.append({"text": text[at : fold["start"]], "folded": False})
        parts.append({"text": text[fold["start"] : fold["end"]], "folded": True})
        at = fold["end"]
    parts.append({"text": text[at:], "folded": False})
    return [part for part in parts if part["text"].strip()]


def _tag(given: str) -> str:
    """An ETag that the page was shown with; one that nothing has, when it is none."""
    digits = given.strip('"')
    return f'"{int(digits)}"' if digits.isascii() and digits.isdigit() else '"-"'
