"""Recordings and transcripts of one meeting: lists and single ones."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer

from . import every
from .access import artefact_caller, booked_meeting_of
from .leftovers import KINDS, shown

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)


@router.get("/me/onlineMeetings/{key}/{kind}")
@router.get("/users/{oid}/onlineMeetings/{key}/{kind}")
async def artefacts(request: Request, key: str, kind: str, oid: str | None = None) -> Response:
    function = every.FUNCTION.match(key)
    if function is not None and kind == "delta":
        return every.delta(request, oid, function)
    caller, user = artefact_caller(request, oid, kind)
    meeting = booked_meeting_of(caller, user, key)
    found = [one for one in caller.store.where("artefacts", "meeting", meeting["id"]) if one["kind"] == kind]
    return every.page_of(caller, kind, [row for row in found if every.readable(caller, row)])


def one(caller: Caller, user: Row, key: str, kind: str, item: str) -> Row:
    booked_meeting_of(caller, user, key)
    row: Row | None = caller.store.get("artefacts", item)
    if row is None or row["meeting"] != key or row["kind"] != kind or not every.readable(caller, row):
        raise GraphError(404, "NotFound", "The recording or transcript does not exist.")
    return row


@router.get("/me/onlineMeetings/{key}/{kind}/{item}")
@router.get("/users/{oid}/onlineMeetings/{key}/{kind}/{item}")
async def artefact(request: Request, key: str, kind: str, item: str, oid: str | None = None) -> Response:
    caller, user = artefact_caller(request, oid, kind)
    found = shown(caller.simulator, one(caller, user, key, kind, item))
    query = caller.query(f"graph.{KINDS[kind]}", Allows())
    return answer(caller.simulator, f"{kind}/$entity", query.shape(found), kind=f"graph.{KINDS[kind]}")
