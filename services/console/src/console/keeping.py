"""Admin → Connectors → Microsoft 365 → Choose Storage Location: moving all files, and how long files are kept."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.locating import PAGE as LOCATION_PAGE
from console.problems import refused_page
from console.rendering import render

MOVE, KEEP = f"{LOCATION_PAGE}/migration", f"{LOCATION_PAGE}/keeping"
MIGRATION, POLICY, LEFT = "/v1/storage/migration", "/v1/storage/policy", "/v1/storage/left-copies"
router = APIRouter()


@router.get(MOVE)
async def migration(request: Request) -> Response:
    try:
        shown = await backend_of(request).get(request, MIGRATION)
    except Refused as refused:
        return refused_page(request, refused, "Moving files is not shown", way_on=(LOCATION_PAGE, "Back"))
    return render(request, "connector/migration.html", shown=shown)


@router.post(MOVE)
async def start(request: Request, to: Annotated[str, Form(max_length=10)] = "chosen") -> Response:
    return await _change(request, "POST", "No files are moved", json={"to": to})


@router.post(f"{MOVE}/cancel")
async def cancel(request: Request) -> Response:
    return await _change(request, "DELETE", "Nothing was cancelled")


async def _change(request: Request, method: str, title: str, **more: Any) -> Response:
    try:
        await backend_of(request).call(request, method, MIGRATION, **more)
    except Refused as refused:
        return refused_page(request, refused, title, way_on=(MOVE, "Back"))
    return RedirectResponse(MOVE, 303)


@router.get(KEEP)
async def keeping(request: Request, done: str = "") -> Response:
    return await _page(request, done=done == "kept")


@router.post(KEEP)
async def keep(
    request: Request,
    days: Annotated[str, Form(max_length=10)] = "",
    hold: Annotated[str, Form()] = "",
    when_stopped: Annotated[str, Form()] = "wait",
) -> Response:
    """Empty days are for ever; what is no number goes to the service as it is, which says why not."""
    given = days.strip()
    number: Any = int(given) if given.isascii() and given.isdigit() else given or None
    wanted = {"retention_days": number, "hold": hold == "true", "when_stopped": when_stopped}
    try:
        await backend_of(request).call(request, "PUT", POLICY, json=wanted)
    except Refused as refused:
        if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return await _page(request, refused.status, refused=refused, typed=wanted | {"days": days})
        return refused_page(request, refused, "Nothing was changed", way_on=(KEEP, "Back"))
    return RedirectResponse(f"{KEEP}?done=kept", 303)


async def _page(request: Request, status: int = 200, **values: Any) -> Response:
    try:
        policy = await backend_of(request).get(request, POLICY)
        left = await backend_of(request).get(request, LEFT)
    except Refused as refused:
        return refused_page(request, refused, "Keeping files is not shown", way_on=(LOCATION_PAGE, "Back"))
    shown = values.pop("typed", None) or policy | {"days": policy["retention_days"] or ""}
    return render(request, "connector/keeping.html", status, policy=policy, shown=shown, left=left, **values)
