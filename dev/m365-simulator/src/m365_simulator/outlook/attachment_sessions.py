"""Upload sessions of large attachments, on another host, which speaks oddly.

Its answers are in PascalCase, its expected ranges have no dash, and the last one has a Location and no body.
"""

import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from m365_simulator.clock import moment_of, real_now, stamp
from m365_simulator.core import Simulator
from m365_simulator.elsewhere import other_url, refuse_token
from m365_simulator.ranges import BadRange, content_range
from m365_simulator.store import Row
from m365_simulator.wire import GraphError, GraphRoute, answer, checked, json_of

from . import attachment_files, calendar_items, calendar_views, items, mail_items
from .attachments import attached, holder
from .rules import rule

upload_router = APIRouter(route_class=GraphRoute)
LARGEST = 150 * 1024 * 1024
CHUNK = 4 * 1024 * 1024
LIFE = datetime.timedelta(hours=2)
SESSION = "/api/{version}/Users('{owner}')/{family}('{item}')/AttachmentSessions('{session}')"


@attached("POST", "/createUploadSession")
async def create_session(request: Request) -> Response:
    """For files only: an item comes inline, in less than 3 MB."""
    held, given = holder(request, write=True), await json_of(request)
    named = {key.lower(): value for key, value in given.items()} if isinstance(given, dict) else {}
    item = checked(named.get("attachmentitem"), "graph.attachmentItem")
    if not item.get("name") or item.get("attachmentType") != "file":
        raise GraphError(400, "ErrorInvalidRequest", "AttachmentItem needs attachmentType file, a name and a size.")
    simulator = held.caller.simulator
    _check_size(simulator, item.get("size"))
    session: Row = {
        "id": f"AAMkAS{simulator.ids.text('attachment-session', 58)}",
        "secret": simulator.ids.text("attachment-secret", 64),
        "user": held.user["id"],
        "tenant": held.user["tenant"],
        "family": held.family,
        "of": held.lasting,
        "shown_as": held.key,
        "item": item,
        "at": 0,
        "file": simulator.ids.text("attachment-file", 24),
    }
    _extended(simulator, session)
    shown = {
        "uploadUrl": _url(simulator, session),
        "expirationDateTime": session["shown_expiry"],
        "nextExpectedRanges": ["0-"],
    }
    return answer(simulator, "microsoft.graph.uploadSession", shown, 201, kind="graph.uploadSession")


def _held(simulator: Simulator, session: Row) -> Row | None:
    """The message or the event as its owner sees it, as far as it is still there."""
    user = simulator.store.get("users", session["user"]) or {}
    if session["family"] == "events":
        return calendar_views.find(simulator.store, user, session["of"])
    return items.find(simulator, mail_items.KIND, session["user"], session["of"])


def _keep(simulator: Simulator, session: Row, held: Row, attachment: Row) -> None:
    found = [*held.get("attachments", []), attachment]
    if session["family"] == "events":
        calendar_items.attach(simulator, held, found)
        return
    held["attachments"] = found
    mail_items.change(simulator, held, {})


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


def _url(simulator: Simulator, session: Row) -> str:
    owner, family = f"{session['user']}@{session['tenant']}", session["family"].capitalize()
    path = SESSION.format(version="v2.0", owner=owner, family=family, item=session["shown_as"], session=session["id"])
    return f"{other_url(simulator)}{path}?authtoken={session['secret']}"


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
    held = _held(simulator, session)
    if held is None:
        raise items.not_found()
    attachment = attachment_files.described(simulator, session["item"], session["item"]["size"], session["file"])
    with simulator.store.together():
        _keep(simulator, session, held, attachment)
        simulator.store.delete("attachment_sessions", session["id"])
    owner = f"{session['user']}@{session['tenant']}"
    where = f"{session['family'].capitalize()}('{session['shown_as']}')/Attachments('{attachment['id']}')"
    path = f"/api/v2.0/Users('{owner}')/{where}"
    return Response(status_code=201, headers={"Location": f"{other_url(simulator)}{path}"})
