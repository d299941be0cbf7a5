"""Import Contacts → Microsoft Account: choosing folders, preview, run with progress, result, undo."""

import uuid
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.integrations import connection_of
from console.problems import refused_page
from console.rendering import Live, answer_live, answer_no_news, render
from console.switches import CONTACTS, is_off, require_person
from console.wording import IMPORT_NEWS

router = APIRouter(prefix="/contacts", dependencies=[Depends(require_person)])
_MOVING = {"reading", "running", "undoing"}
_ACTIONS = ("new", "changed", "conflict", "removed", "invalid", "skipped", "same")
_ROWS = 25
_PAGE_SIZE = 20


@router.get("/import")
async def sources(request: Request) -> Response:
    return render(request, "importing/sources.html")


@router.get("/import/microsoft")
async def choose(request: Request) -> Response:
    return await _choose(request)


@router.post("/import/microsoft")
async def preview(request: Request) -> Response:
    form = await request.form()
    chosen = [str(one) for one in form.getlist("folder")]
    kept: Json = {"chosen": chosen, "share": form.get("share") == "on"}
    if not chosen:
        return await _choose(request, 422, fault="Choose at least one folder.", **kept)
    headers = {"Idempotency-Key": str(form.get("key") or "")[:36] or str(uuid.uuid4())}
    body = {"folders": chosen, "share": kept["share"]}
    try:
        answer = await backend_of(request).call_with_news(
            request, "POST", "/v1/contacts/imports", json=body, headers=headers
        )
    except Refused as refused:
        if not refused.reached:
            raise
        return await _choose(request, refused.status, problem=refused.problem, **kept)
    return RedirectResponse(f"/contacts/imports/{answer.json()['id']}", 303)


@router.post("/import/keep")
async def keep_in_step(request: Request) -> Response:
    form = await request.form()
    path = f"/v1/contacts/folders/{quote(str(form.get('folder') or '-'), safe='')}"
    try:
        await backend_of(request).call(request, "PATCH", path, json={"keep_in_step": form.get("on") == "true"})
    except Refused as refused:
        way_on = ("/contacts/import/microsoft", "Back to your folders")
        return refused_page(request, refused, "The folder is as it was", way_on=way_on)
    return RedirectResponse("/contacts/import/microsoft", 303)


@router.get("/imports")
async def history(request: Request, cursor: str | None = None) -> Response:
    wanted = {"limit": str(_PAGE_SIZE), **({"cursor": cursor} if cursor else {})}
    page = await backend_of(request).get(request, "/v1/contacts/imports", params=wanted)
    values = {"imports": page["items"], "next": page.get("next_cursor"), "later": cursor}
    return render(request, "importing/history.html", **values)


@router.get("/imports/{run_id}")
async def one_import(request: Request, run_id: uuid.UUID, action: str = "", cursor: str | None = None) -> Response:
    run, live = await _run(request, run_id, action, cursor)
    return render(request, "importing/page.html", run=run, live=live)


@router.get("/imports/{run_id}/live")
async def news(request: Request, run_id: uuid.UUID) -> Response:
    try:
        run, live = await _run(request, run_id)
    except Refused as refused:
        return answer_no_news(request, refused)
    return answer_live(request, live, lambda part: IMPORT_NEWS.get(run["status"]) if part == "progress" else None)


@router.get("/imports/{run_id}/problems")
async def problems(request: Request, run_id: uuid.UUID) -> Response:
    answer = await backend_of(request).call(request, "GET", f"/v1/contacts/imports/{run_id}/problems")
    headers = {"Content-Disposition": f'attachment; filename="import-{run_id}.csv"'}
    return Response(answer.content, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/imports/{run_id}/start")
async def start(request: Request, run_id: uuid.UUID) -> Response:
    confirmed = (await request.form()).get("confirm_removals") == "on"
    return await _act(request, run_id, "start", "The import was not started", json={"confirm_removals": confirmed})


@router.post("/imports/{run_id}/cancel")
async def cancel(request: Request, run_id: uuid.UUID) -> Response:
    return await _act(request, run_id, "cancel", "The import was not cancelled")


@router.get("/imports/{run_id}/undo")
async def ask_to_undo(request: Request, run_id: uuid.UUID) -> Response:
    run = await backend_of(request).get(request, f"/v1/contacts/imports/{run_id}")
    return render(request, "importing/undo.html", run=run)


@router.post("/imports/{run_id}/undo")
async def undo(request: Request, run_id: uuid.UUID) -> Response:
    return await _act(request, run_id, "undo", "The import was not undone")


async def _act(request: Request, run_id: uuid.UUID, what: str, title: str, **more: Any) -> Response:
    page = f"/contacts/imports/{run_id}"
    try:
        await backend_of(request).call(request, "POST", f"/v1{page}/{what}", **more)
    except Refused as refused:
        return refused_page(request, refused, title, way_on=(page, "Back to the import"))
    return RedirectResponse(page, 303)


async def _choose(request: Request, status: int = 200, **more: Any) -> Response:
    """The folders, or what has to be done before they can be read."""
    connection, tenant_ready = await connection_of(request)
    values: dict[str, Any] = {"connection": connection, "tenant_ready": tenant_ready, "folders": None, "problem": None}
    values |= {"fault": None, "chosen": None, "share": False}
    values |= {"key": str(uuid.uuid4()), "here": "/contacts/import/microsoft"}
    values["switched_off"] = tenant_ready and is_off(connection, CONTACTS)
    if connection["status"] == "connected" and not values["switched_off"]:
        try:
            found = await backend_of(request).call_with_news(request, "GET", "/v1/contacts/folders", patient=True)
            values["folders"] = found.json()
        except Refused as refused:
            values["problem"] = refused.problem
    return render(request, "importing/folders.html", status, **(values | more))


async def _run(request: Request, run_id: uuid.UUID, action: str = "", cursor: str | None = None) -> tuple[Json, Live]:
    run = await backend_of(request).get(request, f"/v1/contacts/imports/{run_id}")
    rows: Json = {"items": [], "next_cursor": None}
    if run["status"] not in _MOVING:
        wanted = {"limit": str(_ROWS), **({"action": action} if action in _ACTIONS else {})}
        wanted |= {"cursor": cursor} if cursor else {}
        rows = await backend_of(request).get(request, f"/v1/contacts/imports/{run_id}/rows", params=wanted)
    every_s = request.app.state.console.settings.live_interval_s if run["status"] in _MOVING else None
    states = {"progress": run["status"], "actions": run["status"], "rows": run["status"]}
    about = {"run": run, "rows": rows, "action": action, "cursor": cursor, "known_actions": _ACTIONS}
    return run, Live(request, f"/contacts/imports/{run_id}", "importing", states, every_s, **about)
