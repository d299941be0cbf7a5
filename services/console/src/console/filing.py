"""Files: a person's own and those shared with everybody: upload, find, download, share, link, delete."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.problems import refused_page
from console.rendering import render
from console.uploading import take
from console.wording import FILE_PLACES, LINK_REFUSED, LINK_TIMES

PAGE, UPLOAD = "/files", "/files/upload"
router = APIRouter(prefix=PAGE)
Words = Annotated[str, Query(max_length=200)]
Id = uuid.UUID
DONE = {"stored", "deleted", "shared", "unshared", "revoked"}


@router.get("")
async def files(request: Request, named: Words = "", cursor: Words = "", done: str = "") -> Response:
    return await _list(request, named=named, cursor=cursor, done=done)


async def _list(request: Request, status: int = 200, *, named: str = "", cursor: str = "", **more: Any) -> Response:
    asked = {name: value for name, value in (("named", named.strip()), ("cursor", cursor)) if value}
    try:
        listed = await backend_of(request).get(request, "/v1/files", params=asked)
    except Refused as refused:
        return refused_page(request, refused, "Your files are not shown")
    values = {"listed": listed, "named": named, "first": not cursor, "places": FILE_PLACES, "key": uuid.uuid4().hex}
    more["done"] = more.get("done", "") if more.get("done") in DONE else ""
    return render(request, "files/list.html", status, **values, **more)


@router.post("/upload")
async def upload(request: Request) -> Response:
    try:
        await take(request)
    except Refused as refused:
        return await _list(request, refused.status, refused=refused)
    return RedirectResponse(f"{PAGE}?done=stored", 303)


@router.get("/link")
async def linked_file(request: Request, refused: str = "") -> Response:
    """For whoever has a link, without an account; its token is behind the ``#``, and goes to the service in a body.

    ``refused``: the code with which storage sends a browser back whose link opens nothing.
    """
    says = LINK_REFUSED.get(refused, "")
    return render(request, "files/link.html", 404 if says else 200, says=says)


@router.get("/{file_id}")
async def file(request: Request, file_id: Id, done: str = "") -> Response:
    return await _page(request, file_id, done=done if done in DONE else "")


async def _page(request: Request, file_id: Id, status: int = 200, **more: Any) -> Response:
    backend, path = backend_of(request), f"/v1/files/{file_id}"
    try:
        shown = await backend.get(request, path)
        links: Json = await backend.get(request, f"{path}/links")
    except Refused as refused:
        return refused_page(request, refused, "The file is not shown", way_on=(PAGE, "Your files"))
    values = {"file": shown, "links": links, "places": FILE_PLACES, "times": LINK_TIMES}
    values["content_url"] = f"{path}/content"
    return render(request, "files/page.html", status, **values, **more)


@router.post("/{file_id}/share")
async def share(request: Request, file_id: Id, shared: Annotated[str, Form()] = "") -> Response:
    wanted = {"shared": shared == "true"}
    try:
        await backend_of(request).call(request, "PATCH", f"/v1/files/{file_id}", json=wanted)
    except Refused as refused:
        return refused_page(request, refused, "Nothing was changed", way_on=(f"{PAGE}/{file_id}", "Back"))
    return RedirectResponse(f"{PAGE}/{file_id}?done={'shared' if wanted['shared'] else 'unshared'}", 303)


@router.post("/{file_id}/links")
async def link(request: Request, file_id: Id, lasts_s: Annotated[int, Form(ge=60)] = 86_400) -> Response:
    """The address is said once, so this is no redirect."""
    body = {"expires_in_s": lasts_s}
    try:
        made = (await backend_of(request).call(request, "POST", f"/v1/files/{file_id}/links", json=body)).json()
    except Refused as refused:
        return refused_page(request, refused, "No link was made", way_on=(f"{PAGE}/{file_id}", "Back"))
    made["url"] = request.app.state.console.settings.public_url.rstrip("/") + made["url"]
    return await _page(request, file_id, made=made)


@router.post("/{file_id}/links/{link_id}/revoke")
async def revoke(request: Request, file_id: Id, link_id: Id) -> Response:
    try:
        await backend_of(request).call(request, "DELETE", f"/v1/files/{file_id}/links/{link_id}")
    except Refused as refused:
        return refused_page(request, refused, "The link was not revoked", way_on=(f"{PAGE}/{file_id}", "Back"))
    return RedirectResponse(f"{PAGE}/{file_id}?done=revoked", 303)


@router.get("/{file_id}/delete")
async def ask_to_delete(request: Request, file_id: Id) -> Response:
    try:
        shown = await backend_of(request).get(request, f"/v1/files/{file_id}")
    except Refused as refused:
        return refused_page(request, refused, "The file is not shown", way_on=(PAGE, "Your files"))
    return render(request, "files/delete.html", file=shown)


@router.post("/{file_id}/delete")
async def delete(request: Request, file_id: Id) -> Response:
    try:
        await backend_of(request).call(request, "DELETE", f"/v1/files/{file_id}")
    except Refused as refused:
        return refused_page(request, refused, "The file was not deleted", way_on=(PAGE, "Your files"))
    return RedirectResponse(f"{PAGE}?done=deleted", 303)
