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
from console.wording import WAYS_ON
from shared.problems import TooLarge, request_id_of

log = structlog.get_logger(__name__)


def refused_page(request: Request, refused: Refused, title: str | None = None, **values: Any) -> Response:
    """The page of a refusal. ``title`` names what did not work; a way on is shown when the code has one."""
    if refused.status == HTTPStatus.UNAUTHORIZED:
        return render(request, "welcome.html", refused.status, problem=refused.problem)
    if title is None and refused.code.endswith("_not_found"):
        title = "There is nothing here"
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
    app.add_exception_handler(TooLarge, _too_large)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - what FastAPI registered it for
    return refused_page(request, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what FastAPI registered it for
    if error.status_code == HTTPStatus.NOT_FOUND:
        return said_page(request, 404, "There is no such page", "Check the address, or go on from the start.")
    return said_page(request, error.status_code, "That did not work", f"{error.detail}. Go on from the start.")


async def _invalid(request: Request, _error: Exception) -> Response:
    """An id that is none in a path, or a form that is not ours."""
    if request.method == "GET":
        return said_page(request, 404, "There is no such page", "Check the address, or go on from the start.")
    return said_page(request, 422, "That form is not complete", "Open the page again and fill the form in again.")


async def _too_large(request: Request, _error: Exception) -> Response:
    return too_large_page(request)


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("page.failed", request_id=request_id_of(request), exc_info=error)
    detail = "Something broke on our side. Try again; if it stays, give support the code below."
    response = said_page(request, 500, "That did not work", detail)
    # Starlette raises the error once more after this answer, so uvicorn closes the connection. A browser that is not
    # told may have sent its next request on it already, which is then lost.
    response.headers["Connection"] = "close"
    return response


def too_large_page(request: Request) -> Response:
    detail = "It is larger than the console takes, so nothing was done. Go back, shorten what you typed and try again."
    return said_page(request, 413, "This form is too large", detail)


def said_page(request: Request, status: int, title: str, detail: str) -> Response:
    """The page of a refusal of our own."""
    problem = {"detail": detail, "request_id": request_id_of(request)}
    return refused_page(request, Refused(status, problem), title, way_on=("/", "Go to the start"))
