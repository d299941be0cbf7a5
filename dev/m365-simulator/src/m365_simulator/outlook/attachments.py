"""Attachments of messages: small ones inline, large ones by an upload session on another host, which speaks oddly.

Its answers are in PascalCase, its expected ranges have no dash, and the last one has a Location and no body.
"""

import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.core import Simulator
from m365_simulator.elsewhere import other_url, refuse_token
from m365_simulator.odata import Allows
from m365_simulator.ranges import BadRange, content_range
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, checked, json_of, listed

from . import attachment_files, items, mail_items
from .items import MAIL, MAIL_WRITE, mailbox_route, opened
from .mail import EACH, message
from .rules import rule

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
upload_router = APIRouter(route_class=GraphRoute)
KIND = "graph.attachment"
LARGEST = 150 * 1024 * 1024
CHUNK = 4 * 1024 * 1024
LIFE = datetime.timedelta(hours=2)
SESSION = "/api/{version}/Users('{owner}')/Messages('{message}')/AttachmentSessions('{session}')"
LIST = Allows(top=1000, skip=True, count=True, filters=("name", "size"))
ONE = Allows()


def _paths(end: str) -> tuple[str, ...]:
    return tuple(f"{path}/attachments{end}" for path in EACH)


def _selected(caller: Caller, row: Row) -> bool:
    """Bytes come unless $select leaves them out."""
    select = caller.request.query_params.get("$select")
    return select is None or "contentbytes" in select.lower()


def _keep(caller: Caller, row: Row, attachment: Row) -> None:
    row["attachments"].append(attachment)
    mail_items.change(caller.simulator, row, {})


def _context(user: Row) -> str:
    return f"users('{user['id']}')/messages/attachments"


@mailbox_route(router, "POST", *_paths(""))
async def add(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, body = message(request, caller, user), await body_of(request, KIND)
    attachment = attachment_files.inline(caller.simulator, body)
    with caller.store.together():
        _keep(caller, row, attachment)
    shown = attachment_files.shown(caller.simulator, attachment, whole=True)
    return answer(caller.simulator, f"{_context(user)}/$entity", shown, 201, kind=KIND)


@mailbox_route(router, "GET", *_paths(""))
async def list_attachments(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    row = message(request, caller, user)
    whole = _selected(caller, row)
    shown = [attachment_files.shown(caller.simulator, one, whole=whole) for one in row["attachments"]]
    return listed(caller, _context(user), shown, kind=KIND, query=caller.query("graph.fileAttachment", LIST))


@mailbox_route(router, "POST", *_paths("/createUploadSession"))
async def create_session(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row, given = message(request, caller, user), await json_of(request)
    named = {key.lower(): value for key, value in given.items()} if isinstance(given, dict) else {}
    item = checked(named.get("attachmentitem"), "graph.attachmentItem")
    if not item.get("name") or item.get("attachmentType") != "file":
        raise GraphError(400, "ErrorInvalidRequest", "AttachmentItem needs attachmentType file, a name and a size.")
    _check_size(caller.simulator, item.get("size"))
    session: Row = {
        "id": f"AAMkAS{caller.simulator.ids.text('attachment-session', 58)}",
        "secret": caller.simulator.ids.text("attachment-secret", 64),
        "user": user["id"],
        "tenant": user["tenant"],
        "message": row["id"],
        "item": item,
        "at": 0,
        "file": caller.simulator.ids.text("attachment-file", 24),
    }
    _extended(caller.simulator, session)
    shown = {
        "uploadUrl": _url(caller.simulator, session, row["mutable"]),
        "expirationDateTime": session["shown_expiry"],
        "nextExpectedRanges": ["0-"],
    }
    return answer(caller.simulator, "microsoft.graph.uploadSession", shown, 201, kind="graph.uploadSession")


def _check_size(simulator: Simulator, size: Any) -> None:
    if not isinstance(size, int) or size < rule(simulator, "inline_bytes"):
        text = "The attachment size should not be less than the minimum of an upload session."
        raise GraphError(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", text)
    if size > LARGEST:
        raise GraphError(400, "ErrorAttachmentSizeLimitExceeded", "The attachment is larger than 150 MB.")


def _extended(simulator: Simulator, session: Row) -> None:
    session["expires"] = stamp(simulator.clock.service() + LIFE)
    session["shown_expiry"] = stamp(real_now() + LIFE)
    simulator.store.put("attachment_sessions", session["id"], session)


def _url(simulator: Simulator, session: Row, message: str) -> str:
    owner = f"{session['user']}@{session['tenant']}"
    path = SESSION.format(version="v2.0", owner=owner, message=message, session=session["id"])
    return f"{other_url(simulator)}{path}?authtoken={session['secret']}"


@mailbox_route(router, "GET", *_paths("/{attachment}"))
async def read(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    attachment = _attachment(request, message(request, caller, user))
    shown = attachment_files.shown(caller.simulator, attachment, whole=_selected(caller, attachment))
    shown = caller.query("graph.fileAttachment", ONE).shape(shown)
    return answer(caller.simulator, f"{_context(user)}/$entity", shown, kind=KIND)


def _attachment(request: Request, row: Row) -> Row:
    found: Row | None = next((a for a in row["attachments"] if a["id"] == items.part(request, "attachment")), None)
    if found is None:
        raise items.not_found()
    return found


@mailbox_route(router, "GET", *_paths("/{attachment}/$value"))
async def raw(request: Request) -> Response:
    caller, user = opened(request, MAIL)
    attachment = _attachment(request, message(request, caller, user))
    return Response(attachment_files.content(caller.simulator, attachment), media_type=attachment["contentType"])


@mailbox_route(router, "DELETE", *_paths("/{attachment}"))
async def remove(request: Request) -> Response:
    caller, user = opened(request, MAIL_WRITE)
    row = message(request, caller, user)
    attachment = _attachment(request, row)
    with caller.store.together():
        row["attachments"].remove(attachment)
        mail_items.change(caller.simulator, row, {})
    return Response(status_code=204)


def _session(request: Request) -> tuple[Simulator, Row]:
    simulator = refuse_token(request)
    row = simulator.store.get("attachment_sessions", request.path_params["session"])
    if row is None or moment_of(row["expires"]) <= simulator.clock.service():
        raise GraphError(404, "ErrorItemNotFound", "The upload session was not found or has expired.")
    if request.query_params.get("authtoken") != row["secret"]:
        raise GraphError(403, "ErrorAccessDenied", "The authtoken is not the session's.")
    return simulator, row


def _status(simulator: Simulator, row: Row) -> Response:
    context = f"{other_url(simulator)}/api/v2.0/$metadata#Users('{row['user']}')/AttachmentSessions/$entity"
    body = {
        "@odata.context": context,
        "ExpirationDateTime": row["shown_expiry"],
        "NextExpectedRanges": [str(row["at"])],
    }
    return JSONResponse(body)


@upload_router.get(SESSION)
async def status(request: Request) -> Response:
    return _status(*_session(request))


@upload_router.delete(SESSION)
async def cancel(request: Request) -> Response:
    simulator, row = _session(request)
    (attachment_files.folder(simulator) / row["file"]).unlink(missing_ok=True)
    simulator.store.delete("attachment_sessions", row["id"])
    return Response(status_code=204)


@upload_router.put(SESSION)
async def upload(request: Request) -> Response:
    simulator, row = _session(request)
    size = row["item"]["size"]
    try:
        first, last, total = content_range(request.headers.get("content-range", ""))
    except BadRange as error:
        raise GraphError(400, "ErrorInvalidRequest", str(error)) from error
    if total != size:
        raise GraphError(400, "ErrorInvalidRequest", f"The total must be the session's {size} bytes.")
    if last - first + 1 > CHUNK:
        raise GraphError(413, "ErrorRequestEntityTooLarge", "A chunk has at most 4 MB.")
    if first != row["at"]:
        raise GraphError(416, "ErrorInvalidRange", f"The next expected range starts at {row['at']}.")
    content = await request.body()
    if len(content) != last - first + 1:
        raise GraphError(400, "ErrorInvalidRequest", "The body is not as long as its Content-Range.")
    with (attachment_files.folder(simulator) / row["file"]).open("r+b" if first else "wb") as out:
        out.seek(first)
        out.write(content)
    row["at"] = last + 1
    _extended(simulator, row)
    return _finished(simulator, row) if row["at"] == size else _status(simulator, row)


def _finished(simulator: Simulator, session: Row) -> Response:
    row = items.find(simulator, mail_items.KIND, session["user"], session["message"])
    if row is None:
        raise items.not_found()
    attachment = attachment_files.described(simulator, session["item"], session["item"]["size"], session["file"])
    with simulator.store.together():
        row["attachments"].append(attachment)
        mail_items.change(simulator, row, {})
        simulator.store.delete("attachment_sessions", session["id"])
    owner = f"{session['user']}@{session['tenant']}"
    path = f"/api/v2.0/Users('{owner}')/Messages('{row['mutable']}')/Attachments('{attachment['id']}')"
    return Response(status_code=201, headers={"Location": f"{other_url(simulator)}{path}"})
