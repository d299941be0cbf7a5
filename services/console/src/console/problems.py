"""Refusals as pages: what failed, what to do, where to go on, and the support code."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from console.backend import Refused
from console.rendering import render
from shared.problems import request_id_of

log = structlog.get_logger(__name__)

WAYS_ON = {
    "connection_required": ("/integrations", "Connect your Microsoft account"),
    "reconnect_required": ("/integrations", "Reconnect your Microsoft account"),
    "tenant_not_connected": ("/connectors/microsoft365", "See the Microsoft 365 connector"),
    "another_account": ("/integrations/microsoft/disconnect", "Disconnect…"),
    "org_admin_required": ("/", "Back to the start"),
    "meeting_not_found": ("/meetings", "Your meetings"),
}


def refused_page(request: Request, refused: Refused, title: str | None = None, **values: Any) -> Response:
    """The page of a refusal. ``title`` names what did not work; a way on is shown when the code has one."""
    if refused.status == HTTPStatus.UNAUTHORIZED:
        return render(request, "welcome.html", refused.status, problem=refused.problem)
    values.setdefault("way_on", WAYS_ON.get(refused.code))
    return render(
        request,
        "refused.html",
        refused.status,
        problem=refused.problem,
        reached=refused.reached,
        heading=title,
        **values,
    )


def install_errors(app: FastAPI) -> None:
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - what FastAPI registered it for
    return refused_page(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what FastAPI registered it for
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _said(request, 404, "There is no such page", "Check the address, or go on from the start.")
    return _said(request, error.status_code, "That did not work", f"{error.detail}. Go on from the start.")


async def _invalid(request: Request, _error: Exception) -> Response:
    """An id that is none in a path, or a form that is not ours."""
    if request.method == "GET":
        return _said(request, 404, "There is no such page", "Check the address, or go on from the start.")
    return _said(request, 422, "That form is not complete", "Open the page again and fill the form in again.")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("page failed unexpectedly", request_id=request_id_of(request), exc_info=error)
    detail = "Something broke on our side. Try again; if it stays, give support the code below."
    return _said(request, 500, "That did not work", detail)


def _said(request: Request, status: int, title: str, detail: str) -> Response:
    problem = {"detail": detail, "request_id": request_id_of(request)}
    return refused_page(request, Refused(status, problem), title, way_on=("/", "Go to the start"))
