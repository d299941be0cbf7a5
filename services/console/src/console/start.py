"""The start: what a first-time person does next. And the health routes."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.backend import Json, backend_of
from console.person import person_of
from console.rendering import render

router = APIRouter()


@router.get("/health/live")
@router.get("/health/ready")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/")
async def start(request: Request) -> Response:
    if person_of(request) is None:
        return render(request, "welcome.html")
    backend = backend_of(request)
    tenant, connection, meetings = await asyncio.gather(
        backend.look(request, "/v1/tenant"),
        backend.look(request, "/v1/connection"),
        backend.look(request, "/v1/meetings", params={"limit": 1}),
    )
    steps = _steps(request, tenant, connection, meetings)
    if request.state.expired:
        steps["account"] = "expired"
    return render(request, "start.html", tenant=tenant, steps=steps)


def _steps(request: Request, tenant: Json | None, connection: Json | None, meetings: Json | None) -> dict[str, Any]:
    """Per step of the checklist one of done, next, waiting, later, unknown."""
    person = person_of(request)
    known = {
        "tenant": None if tenant is None else tenant["status"] == "connected",
        "account": None if connection is None else connection["status"] == "connected",
        "meeting": None if meetings is None else bool(meetings["items"]),
    }
    steps: dict[str, Any] = {}
    for name, done in known.items():
        if done is None:
            steps[name] = "unknown"
        elif done:
            steps[name] = "done"
        else:
            steps[name] = "later" if {"next", "waiting"} & set(steps.values()) else "next"
            if name == "tenant" and not (person and person.admin):
                steps[name] = "waiting"
    return steps
