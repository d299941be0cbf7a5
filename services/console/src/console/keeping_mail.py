"""Admin → Connectors → Microsoft 365 → Keeping mail: for how long people's mail is kept in Prospo."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Refused, backend_of
from console.connector import PAGE as CONNECTOR
from console.problems import refused_page
from console.rendering import render
from console.switches import require_person

PAGE = f"{CONNECTOR}/mail"
RETENTION = "/v1/mail/retention"
router = APIRouter(prefix=PAGE, dependencies=[Depends(require_person)])


@router.get("")
async def keeping(request: Request, done: str = "") -> Response:
    return await _page(request, done=done == "kept")


@router.post("")
async def keep(request: Request, days: Annotated[str, Form(max_length=10)] = "") -> Response:
    """Empty is for ever; what is no number goes to the service as it is, which says why not."""
    given = days.strip()
    number: Any = int(given) if given.isascii() and given.isdigit() else given or None
    try:
        await backend_of(request).call(request, "PUT", RETENTION, json={"keep_days": number})
    except Refused as refused:
        if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return await _page(request, refused.status, refused=refused, typed=days)
        return refused_page(request, refused, "Nothing was changed", way_on=(PAGE, "Back"))
    return RedirectResponse(f"{PAGE}?done=kept", 303)


async def _page(request: Request, status: int = 200, typed: str | None = None, **values: Any) -> Response:
    try:
        kept = (await backend_of(request).get(request, RETENTION))["keep_days"]
    except Refused as refused:
        return refused_page(request, refused, "Keeping mail is not shown", way_on=(CONNECTOR, "Back"))
    shown = typed if typed is not None else kept or ""
    return render(request, "connector/mail.html", status, kept=kept, shown=shown, **values)
