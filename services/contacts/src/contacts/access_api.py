"""HTTP in, for services: whether Microsoft lets people's contacts be read now, for the readiness board."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from contacts import graph as outlook
from contacts.runs import SWITCH
from shared.connections import connection_of
from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphReconnect, GraphRetry
from shared.web.dependencies import Db, Graph_
from shared.web.routes import Asked, called_by

router = APIRouter()
Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Outcome = Literal["read", "refused", "no_answer", "not_asked"]


class AccessWanted(Asked):
    org_id: Text
    user_ids: Annotated[list[Text], Field(min_length=1, max_length=3)]
    """People to ask as, one after another until Microsoft answers one."""


class Tried(BaseModel):
    """``not_asked``: the switch is off, or the person is not connected by now. The texts are Microsoft's, or empty."""

    outcome: Outcome
    path: str = outlook.FOLDERS
    status: int = 0
    code: str = ""
    request_id: str = ""
    message: str = ""
    at: datetime


class Access(BaseModel):
    tried: list[Tried]
    """In the order of the people; who comes after one whose contacts were read was not tried."""


@router.post("/internal/contact-access", tags=["internal"], dependencies=[called_by("tenant-connector")])
async def contact_access(wanted: AccessWanted, db: Db, graph: Graph_) -> Access:
    """Ask for the id of one contact folder as these people. No contact of anybody is read."""
    tried: list[Tried] = []
    for user_id in wanted.user_ids:
        tried.append(await _try(db, graph, wanted.org_id, user_id))
        if tried[-1].outcome == "read":
            break
    return Access(tried=tried)


async def _try(db: Database, graph: Graph, org_id: str, user_id: str) -> Tried:
    async with db.unit_of_work(org_id) as work:
        found = (await connection_of(work.session, org_id, user_id)).obstacle(switch=SWITCH)
    if found is not None:
        return Tried(outcome="not_asked", at=datetime.now(UTC))
    caller = graph.as_user(org_id, user_id, "fresh")
    try:
        await outlook.touch(caller)
    except GraphError as error:
        about = {"status": error.status, "code": error.inner_code or error.code, "message": error.message}
        return Tried(outcome=_meaning(error), request_id=error.request_id, at=datetime.now(UTC), **about)
    return Tried(outcome="read", status=200, request_id=caller.answered, at=datetime.now(UTC))


def _meaning(error: GraphError) -> Outcome:
    if isinstance(error, GraphReconnect):
        return "not_asked"
    return "no_answer" if isinstance(error, GraphRetry) else "refused"
