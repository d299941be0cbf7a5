"""The answer for every Graph path nobody has; it comes after all others."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from .wire import Caller, GraphError, GraphRoute

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)


@router.api_route("/{rest:path}", methods=["GET", "POST", "PATCH", "PUT", "DELETE"])
async def nowhere(request: Request, rest: str) -> Response:
    Caller(request)
    raise GraphError(400, "BadRequest", f"Resource not found for the segment '{rest.split('/')[-1]}'.")
