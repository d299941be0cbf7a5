"""Settings → Integrations → Microsoft Outlook: the person's own connection."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console.backend import Json, Refused, backend_of
from console.problems import refused_page
from console.rendering import render
from console.wording import ALLOW, FEATURES

PAGE = "/integrations"
router = APIRouter(prefix=PAGE)


@router.get("")
async def integrations(request: Request) -> Response:
    connection, tenant_ready = await connection_of(request)
    wanting = [one for one in connection.get("features", []) if one["on"] and not one["ready"]]
    with_features = {scope for feature in wanting for scope in feature["missing"]}
    of_organisation = [feature for feature in wanting if feature["given_by"] == "microsoft_admin"]
    lacking = [one for one in connection["permissions"] if not one["granted"] and one["scope"] not in with_features]
    return render(
        request,
        "integrations/page.html",
        connection=connection,
        tenant_ready=tenant_ready,
        wanting=[feature for feature in wanting if feature not in of_organisation],
        silent=[feature for feature in of_organisation if feature["refused"]],
        lacking=lacking,
        words=FEATURES,
        allow=ALLOW,
    )


@router.post("/microsoft/check")
async def check(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "POST", "/v1/connection/check")
    except Refused as refused:
        return refused_page(request, refused, "Your account was not checked", way_on=(PAGE, "Back"))
    return RedirectResponse(PAGE, 303)


@router.get("/microsoft/disconnect")
async def ask_to_disconnect(request: Request) -> Response:
    connection = await backend_of(request).get(request, "/v1/connection")
    return render(request, "integrations/disconnect.html", connection=connection)


@router.post("/microsoft/disconnect")
async def disconnect(request: Request) -> Response:
    try:
        await backend_of(request).call(request, "DELETE", "/v1/connection", patient=True)
    except Refused as refused:
        return refused_page(request, refused, "Your account is still connected", way_on=(PAGE, "Back"))
    return RedirectResponse(PAGE, 303)


async def connection_of(request: Request) -> tuple[Json, bool]:
    """The person's connection, and whether connecting can work: not when the tenant is known to be unconnected."""
    backend = backend_of(request)
    connection, tenant = await asyncio.gather(
        backend.get(request, "/v1/connection"), backend.look(request, "/v1/tenant")
    )
    ready: Any = tenant is None or tenant["status"] == "connected"
    return connection, bool(ready)
