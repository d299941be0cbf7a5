"""The answer for every Graph path nobody has, of any version; it comes after all others."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.convertors import Convertor, register_url_convertor

from .wire import Caller, GraphError, GraphRoute

KNOWN = "v1.0"
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


class Version(Convertor[str]):
    """The first segment of a path that asks for a version of Graph, whether there is one or not."""

    regex = r"(?:beta|v[0-9]+(?:\.[0-9]+)?)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("graph_version", Version())
router = APIRouter(route_class=GraphRoute)


@router.api_route("/{version:graph_version}", methods=METHODS)
@router.api_route("/{version:graph_version}/{rest:path}", methods=METHODS)
async def nowhere(request: Request, version: str, rest: str = "") -> Response:
    Caller(request)
    if version not in (KNOWN, "beta"):
        raise GraphError(400, "BadRequest", f"Invalid version: {version}")
    segment = re.sub(r"\(.*$", "", rest.rstrip("/").rpartition("/")[2])
    raise GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")
