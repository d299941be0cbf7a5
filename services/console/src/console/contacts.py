"""Contacts: list and search, one contact with where each value comes from, and what a person does to it."""

import uuid
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from console.backend import Json, Refused, backend_of
from console.problems import refused_page
from console.rendering import render
from console.switches import require_person
from console.wording import CONTACT_NEWS

router = APIRouter(prefix="/contacts", dependencies=[Depends(require_person)])
_PAGE_SIZE = 50
_NOBODY = "/static/person.svg"
EDITED = ("display_name", "given_name", "surname", "company", "job_title", "department", "notes")
"""The fields that the form has; the others are shown."""
ELEMENTS = {
    "emails": ("address", "label"),
    "phones": ("number", "label"),
    "addresses": ("street", "postal_code", "city", "state", "country", "label"),
}
"""The sets that the form has, with the parts of their elements; a row that is emptied is taken out."""
_SHOWN = {"conflicts": {"conflicts": "true"}, "archived": {"archived": "true"}}


@router.get("")
async def contacts(
    request: Request, query: str = "", show: str = "", cursor: str | None = None, deleted: bool = False
) -> Response:
    wanted = {"limit": str(_PAGE_SIZE), **_SHOWN.get(show, {})}
    wanted |= {"query": query[:200]} if query else {}
    wanted |= {"cursor": cursor} if cursor else {}
    page = await backend_of(request).get(request, "/v1/contacts", params=wanted)
    values: dict[str, Any] = {"query": query, "show": show if show in _SHOWN else "", "later": cursor}
    values |= {"deleted": deleted}
    return render(request, "contacts/list.html", contacts=page["items"], next=page.get("next_cursor"), **values)


@router.get("/proposals")
async def proposals(request: Request, done: str = "", joined: uuid.UUID | None = None) -> Response:
    found = await backend_of(request).get(request, "/v1/contacts/proposals")
    return render(
        request, "contacts/proposals.html", proposals=found["items"], done=CONTACT_NEWS.get(done), joined=joined
    )


@router.post("/proposals")
async def answer_proposal(request: Request) -> Response:
    """The same person, or not."""
    form = await request.form()
    one, other = _id(form.get("one")), _id(form.get("other"))
    same = form.get("same") == "yes"
    path = f"/v1/contacts/{one}/join" if same else f"/v1/contacts/{one}/apart"
    try:
        await backend_of(request).call(request, "POST", path, json={"other": other})
    except Refused as refused:
        way_on = ("/contacts/proposals", "Back to the proposals")
        return refused_page(request, refused, "Nothing was changed", way_on=way_on)
    done = f"joined&joined={one}" if same else "apart"
    return RedirectResponse(f"/contacts/proposals?done={done}", 303)


@router.get("/{contact_id}")
async def contact(request: Request, contact_id: uuid.UUID, done: str = "") -> Response:
    found = await backend_of(request).get(request, f"/v1/contacts/{contact_id}")
    return await _show(request, found, done=CONTACT_NEWS.get(done))


@router.post("/{contact_id}")
async def change(request: Request, contact_id: uuid.UUID) -> Response:
    """What was typed and differs from what the form showed; a field that nobody touched stays Outlook's."""
    form = await request.form()
    fields = {name: _lines(form.get(name)) for name in EDITED}
    typed = {name: text for name, text in fields.items() if text != _lines(form.get(f"was_{name}"))}
    sets = {name: _elements(form, name) for name in ELEMENTS}
    changed = {name: rows for name, rows in sets.items() if rows != _elements(form, f"was_{name}")}
    return await _change(request, contact_id, {"fields": typed} | changed, form, "saved", fields | sets)


@router.post("/{contact_id}/conflict")
async def settle(request: Request, contact_id: uuid.UUID) -> Response:
    """Take Outlook's value of a field, or keep one's own."""
    form = await request.form()
    outlook = form.get("take") == "outlook"
    chosen = {str(form.get("field") or ""): str(form.get("source") or "")}
    wanted = {"adopt" if outlook else "dismiss": chosen}
    return await _change(request, contact_id, wanted, form, "outlook" if outlook else "mine")


@router.post("/{contact_id}/share")
async def share(request: Request, contact_id: uuid.UUID) -> Response:
    form = await request.form()
    on = form.get("on") == "true"
    return await _change(request, contact_id, {"shared": on}, form, "shared" if on else "unshared")


@router.post("/{contact_id}/split")
async def split(request: Request, contact_id: uuid.UUID) -> Response:
    """Split off a contact in Outlook that is another person."""
    source = str((await request.form()).get("source") or "")
    path = f"/v1/contacts/{contact_id}/split"
    try:
        answer = await backend_of(request).call(request, "POST", path, json={"source": source})
    except Refused as refused:
        way_on = (f"/contacts/{contact_id}", "Back to the contact")
        return refused_page(request, refused, "Nothing was changed", way_on=way_on)
    return RedirectResponse(f"/contacts/{answer.json()['id']}?done=split", 303)


@router.get("/{contact_id}/delete")
async def ask_to_delete(request: Request, contact_id: uuid.UUID) -> Response:
    found = await backend_of(request).get(request, f"/v1/contacts/{contact_id}")
    return render(request, "contacts/delete.html", contact=found)


@router.post("/{contact_id}/delete")
async def delete(request: Request, contact_id: uuid.UUID) -> Response:
    headers = _if_match(str((await request.form()).get("version") or ""))
    try:
        await backend_of(request).call(request, "DELETE", f"/v1/contacts/{contact_id}", headers=headers)
    except Refused as refused:
        way_on = (f"/contacts/{contact_id}", "Back to the contact")
        return refused_page(request, refused, "The contact was not deleted", way_on=way_on)
    return RedirectResponse("/contacts?deleted=true", 303)


@router.get("/{contact_id}/photo")
async def photo(request: Request, contact_id: uuid.UUID) -> Response:
    """As the service answers it; a picture of nobody where there is none or it cannot be had."""
    try:
        answer = await backend_of(request).call(request, "GET", f"/v1/contacts/{contact_id}/photo")
    except Refused:
        return RedirectResponse(_NOBODY)
    kind = answer.headers.get("content-type", "")
    if answer.status_code != HTTPStatus.OK or not kind.startswith("image/"):
        return RedirectResponse(_NOBODY)
    return Response(answer.content, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})


async def _change(
    request: Request, contact_id: uuid.UUID, wanted: Json, form: FormData, done: str, typed: Json | None = None
) -> Response:
    """``done`` is the key of what the page then says; what was ``typed`` is kept when it is refused."""
    path = f"/v1/contacts/{contact_id}"
    version = _if_match(str(form.get("version") or ""))
    try:
        await backend_of(request).call(request, "PATCH", path, json=wanted, headers=version)
    except Refused as refused:
        if not refused.reached or refused.status == HTTPStatus.NOT_FOUND:
            raise
        found = await backend_of(request).get(request, path)
        return await _show(request, found, refused.status, problem=refused.problem, typed=typed)
    return RedirectResponse(f"/contacts/{contact_id}?done={done}", 303)


async def _show(request: Request, found: Json, status: int = 200, **more: Any) -> Response:
    values = {field["name"]: field["value"] for field in found["fields"]}
    sources = {source["id"]: source for source in found["sources"]}
    about = {"contact": found, "values": values, "sources": sources, "edited": EDITED, "elements": ELEMENTS}
    return render(
        request, "contacts/page.html", status, **({"problem": None, "typed": None, "done": None} | about | more)
    )


def _elements(form: FormData, name: str) -> list[Json]:
    """The rows of a set that have more than a label."""
    parts = ELEMENTS[name.removeprefix("was_")]
    rows = zip(*([_lines(text).strip() for text in form.getlist(f"{name}.{part}")] for part in parts), strict=False)
    given = [{part: text for part, text in zip(parts, row, strict=True) if text} for row in rows]
    return [row for row in given if row.keys() - {"label"}]


def _lines(given: object) -> str:
    """Browsers end the lines of a form with CR and LF."""
    return str(given or "").replace("\r\n", "\n")


def _id(given: object) -> str:
    """An id of ours from a form; one that nobody has, when it is none."""
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return str(uuid.UUID(int=0))


def _if_match(version: str) -> dict[str, str]:
    return {"If-Match": f'"{int(version)}"' if version.isascii() and version.isdigit() else '"0"'}
