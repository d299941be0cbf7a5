"""HTTP in: files by a link, for whoever holds it. They need no account.

The token comes in a body: addresses end up in the logs of gateways and in traces. A browser gets it back as a cookie of
this one link for an hour, so that it can go on with a download that was cut, and reads a refusal on a page of the
console.
"""

import uuid
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Cookie, Depends, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.problems import BadInput, NotFound
from shared.web.dependencies import Db, Envelope_, Graph_
from shared.web.routes import provided
from storage import links, people_queries, queries
from storage.api import NO_ACCOUNT
from storage.links import Opened
from storage.parts import Parts
from storage.reading import GIVES_BYTES, Range, answer, span
from storage.settings import Settings

router = APIRouter(prefix="/v1/files/shared", tags=["files"])
Files = Annotated[Parts, Depends(provided("parts"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
COOKIE, COOKIE_LIFE_S = "prospo_file_link", 3600
FORM: dict[str, Any] = {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}
TAKES_TOKEN = {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": FORM}}}}
LONGEST = 4000


@router.post("/open", status_code=303, openapi_extra=NO_ACCOUNT | TAKES_TOKEN)
async def open_link(request: Request, db: Db, envelope: Envelope_, knobs: Knobs) -> Response:
    """``token=…``, the part of a link's address behind the ``#``; leads on to the content, with a cookie for it."""
    token = await _token_of(request)
    try:
        opened = links.read(envelope.ring, token)
        async with db.unit_of_work(opened.org_id) as work:
            about = {"org_id": opened.org_id, "id": opened.link_id}
            if (await work.session.execute(people_queries.LINK_HOLDS, about)).first() is None:
                raise links.unknown()
    except NotFound as error:
        return _refused(request, error)
    path = f"/v1/files/shared/{opened.link_id}/content"
    onward = RedirectResponse(path, 303)
    secure = knobs.public_url.startswith("https://")
    kept: dict[str, Any] = {
        "path": path,
        "max_age": COOKIE_LIFE_S,
        "httponly": True,
        "secure": secure,
        "samesite": "lax",
    }
    onward.set_cookie(COOKIE, token, **kept)
    return onward


async def _token_of(request: Request) -> str:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST:
            raise links.unknown()
    try:
        (token,) = parse_qs(body.decode("ascii"), strict_parsing=True)["token"]
    except (ValueError, KeyError) as error:
        raise BadInput("no_token", "Send token=…: the part of the link's address behind the sign #.") from error
    return token


@router.get("/{link_id}/content", response_class=StreamingResponse, responses=GIVES_BYTES, openapi_extra=NO_ACCOUNT)
async def linked_content(
    link_id: uuid.UUID,
    request: Request,
    db: Db,
    files: Files,
    graph: Graph_,
    envelope: Envelope_,
    wanted: Range = None,
    token: Annotated[str, Cookie(alias=COOKIE, max_length=LONGEST)] = "",
) -> Response:
    """The one file of the link that was opened in this browser, to be saved; ranges as elsewhere."""
    try:
        opened = links.read(envelope.ring, token)
        if opened.link_id != str(link_id):
            raise links.unknown()
        return await _answer(request, opened, db, files, graph, wanted)
    except NotFound as error:
        return _refused(request, error)


@router.get(
    "/{token}",
    response_class=StreamingResponse,
    responses=GIVES_BYTES,
    openapi_extra=NO_ACCOUNT,
    deprecated=True,
)
async def linked_content_by_address(
    token: str, request: Request, db: Db, files: Files, graph: Graph_, envelope: Envelope_, wanted: Range = None
) -> Response:
    """For links that were made with the token in their path, until the last of them ends (thirty days)."""
    return await _answer(request, links.read(envelope.ring, token), db, files, graph, wanted)


def _refused(request: Request, error: NotFound) -> Response:
    """A person in a browser reads it on a page. Raises ``error`` for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"{links.PAGE}?refused={error.code}", 303)
    raise error


async def _answer(
    request: Request, opened: Opened, db: Database, files: Parts, graph: Graph, wanted: str | None
) -> Response:
    async with db.unit_of_work(opened.org_id) as work:
        about = {"org_id": opened.org_id, "id": opened.link_id}
        link = (await work.session.execute(people_queries.OPEN_LINK, about)).first()
        if link is None:
            raise links.unknown()
        row = (await work.session.execute(queries.PARTS, {"org_id": opened.org_id, "id": link.file_id})).one()
    return await answer(request, row, span(wanted, row.size_bytes), files, graph, save=True)
