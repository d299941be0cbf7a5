"""Errors by what the caller does next, and RFC 9457 problem documents out.

ProspoError
├── BadInput            400 / 422   mend the request
├── NotSignedIn         401         sign in again
├── Forbidden           403         ask someone who may
├── NotFound            404         it is not there for you
├── NotAcceptable       406         accept another form of it
├── Conflict            409         do something else first (``code`` says what)
├── TooSlow             408         send it faster
├── PreconditionFailed  412         read it again, then change it
├── TooLarge            413         send less
├── PreconditionMissing 428         read it, then say with If-Match what you change
├── TooMany             429         wait
├── NoRoom              507         free some, or have more allowed
└── Unavailable         503         try again
"""

import math
import uuid
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared import metrics

PROBLEM_TYPE = "application/problem+json"
_COUNTED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_ALSO_SAID = "prospo.problem_members"
_AWAY_S = 5
"""When to come again after a 503 that does not know better."""
TYPE_BASE = "https://docs.prospo.example/problems/"

log = structlog.get_logger(__name__)


class ConfigurationError(Exception):
    """The process cannot start as it is configured; the message names what is missing and the setting for it."""


class ProspoError(Exception):
    """A refusal with a stable ``code`` for programs and a ``detail`` sentence with the remedy for people.

    ``extra`` members are added to the document; ``retry_after_s`` is the ``Retry-After`` header too.
    """

    status = 500

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra


class BadInput(ProspoError):
    status = 422


class NotSignedIn(ProspoError):
    status = 401


class Forbidden(ProspoError):
    status = 403


class NotFound(ProspoError):
    status = 404


class NotAcceptable(ProspoError):
    status = 406


class Conflict(ProspoError):
    status = 409


class TooSlow(ProspoError):
    status = 408


class PreconditionFailed(ProspoError):
    status = 412


class TooLarge(ProspoError):
    status = 413


class PreconditionMissing(ProspoError):
    status = 428


class TooMany(ProspoError):
    status = 429


class NoRoom(ProspoError):
    status = 507


class Unavailable(ProspoError):
    status = 503


class Problem(BaseModel):
    """RFC 9457, with ``code`` for programs, ``detail`` for people and ``request_id`` as the support code."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, str]] | None = None
    """The fields to mend, as ``field`` and ``message``; with ``invalid_request`` only."""


def describe_problems(app: FastAPI) -> None:
    """OpenAPI says of every operation that it wants a bearer token and refuses with a problem document."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    wait = {"description": "Seconds to wait before trying again, where that helps.", "schema": {"type": "integer"}}
    refusal = {
        "description": "Refused; a problem document.",
        "content": {PROBLEM_TYPE: reference},
        "headers": {"Retry-After": wait},
    }
    app.router.responses = {"4XX": refusal, "default": refusal}
    describe = app.openapi

    def with_problem() -> dict[str, Any]:
        document = describe()
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        return document | {"security": [{"bearer": []}]}

    app.openapi = with_problem  # type: ignore[method-assign]


def request_id_of(request: Request) -> str:
    """The id on every answer and log line of this request."""
    known: str = request.scope.get("prospo.request_id") or uuid.uuid4().hex
    return known


def say_with_problems(request: Request, **members: Any) -> None:
    """Whatever fails in this request from now on, its problem document has these members too."""
    request.scope.setdefault(_ALSO_SAID, {}).update(members)


def problem_response(request: Request, status: int, code: str, detail: str, **extra: Any) -> JSONResponse:
    """One problem document; ``extra`` members are added at the top level. A 503 always says when to come again."""
    body = {
        "type": TYPE_BASE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id_of(request),
        **request.scope.get(_ALSO_SAID, {}),
        **extra,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    wait_s = extra.get("retry_after_s", _AWAY_S if status == HTTPStatus.SERVICE_UNAVAILABLE else None)
    if wait_s is not None:
        headers["Retry-After"] = str(math.ceil(wait_s))
    return JSONResponse(body, status, headers, media_type=PROBLEM_TYPE)


def install_problem_handlers(app: FastAPI) -> None:
    """Every error leaves as a problem document."""
    app.add_exception_handler(ProspoError, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProspoError)  # noqa: S101 - what FastAPI registered it for
    if error.status in _COUNTED:
        metrics.requests_refused.add(1, {"code": error.code})
    return problem_response(request, error.status, error.code, error.detail, **error.extra)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what FastAPI registered it for
    errors = [{"field": _field(item["loc"]), "message": item["msg"]} for item in error.errors()]
    named = ", ".join(item["field"] for item in errors)
    return problem_response(
        request, 422, "invalid_request", f"Correct these fields and try again: {named}.", errors=errors
    )


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - what FastAPI registered it for
    codes = {404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "http_error")
    answer = problem_response(request, error.status_code, code, f"{error.detail}.")
    answer.headers.update(error.headers or {})  # 405 says with Allow what may be asked
    return answer


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    ids = {"request_id": request_id_of(request), "asked_as": request.scope.get("prospo.asked_as")}
    log.error("request.failed", **ids, exc_info=error)
    answer = problem_response(
        request, 500, "unexpected", "Something broke on our side. Try again; if it stays, give support the request_id."
    )
    # It is sent outside of Edge, which sets these on every other answer.
    answer.headers.update({"X-Request-Id": request_id_of(request), "Cache-Control": "no-store"})
    return answer


async def _gone(_request: Request, _error: Exception) -> Response:
    """The caller hung up before the body was there: nobody reads this, and nothing of ours is wrong."""
    return Response(status_code=400)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part not in {"body", "query", "path"}) or "body"
