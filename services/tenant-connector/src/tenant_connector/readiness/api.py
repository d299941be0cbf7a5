"""HTTP in: the readiness board."""

from datetime import timedelta
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends

from shared.database.unit_of_work import UnitOfWork
from shared.problems import TooMany
from shared.web.identity import Identity
from shared.web.routes import ORG_ADMIN, AdminCaller, Caller, Work, provided
from tenant_connector import audit, queries, tenant
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.readiness import schedule as watching
from tenant_connector.readiness.models import Board, FeatureShown, Lacking, NewCheck
from tenant_connector.readiness.tables import ReadinessCheckRow, ReadinessRow
from tenant_connector.readiness.verdicts import NEEDS
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow

router = APIRouter(tags=["readiness"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
NAMED_AT_MOST = 100
"""Most people who lack something that the board names."""


@router.get("/v1/tenant/readiness")
async def readiness_board(caller: Caller, work: Work) -> Board:
    """What the organisation's Microsoft 365 lets Prospo do, and what to mend; for everybody of the organisation.

    Who of the organisation lacks something is named to Org Admins; others read how many do.
    """
    return await _board(work, caller)


@router.post("/v1/tenant/readiness/check", status_code=202)
async def check_readiness(caller: AdminCaller, work: Work, knobs: Knobs, _wanted: NewCheck | None = None) -> Board:
    """Look at everything again; read the board until ``checking`` is false. One check at a time, one per 30 s."""
    row = await queries.tenant_for_change(work.session, caller.org_id)
    if row.status != "connected":
        raise tenant.not_connected()
    book = await readiness.open_book(work.session, work.outbox, caller.org_id)
    _refuse_haste(book, knobs.readiness_check_pause_s)
    book.check.asked_at = book.now
    readiness.be_patient(book, knobs.readiness_propagation_s)
    watching.check_now(work)
    audit.note(work.session, caller.org_id, caller.user_id, "readiness.check")
    await work.session.flush()
    return await _board(work, caller)


def _refuse_haste(book: readiness.Book, pause_s: float) -> None:
    if book.check.asked_at is None:
        return
    left = book.check.asked_at + timedelta(seconds=pause_s) - book.now
    if left > timedelta(0):
        seconds = ceil(left.total_seconds())
        raise TooMany("checked_just_now", f"It was just checked. Ask again in {seconds} s.", retry_after_s=seconds)


async def _board(work: UnitOfWork, caller: Identity) -> Board:
    org_id = caller.org_id
    row = await queries.tenant(work.session, org_id)
    check: ReadinessCheckRow | None = await readiness_queries.check(work.session, org_id)
    rows = await readiness_queries.board(work.session, org_id)
    shown = readiness.shown(rows, org_id, await readiness_queries.now(work.session))
    connected = row is not None and row.status == "connected"
    return Board.of(connected, check, shown, await _lacking(work, caller), _features(row, rows))


async def _lacking(work: UnitOfWork, caller: Identity) -> Lacking:
    most = NAMED_AT_MOST if ORG_ADMIN in caller.roles else 0
    people = await readiness_queries.lacking(work.session, caller.org_id, most)
    return Lacking(people, await readiness_queries.tally(work.session, caller.org_id))


def _features(row: TenantRow | None, rows: list[ReadinessRow]) -> list[FeatureShown]:
    red, wanting = readiness.reds(rows), readiness.wanting(rows)
    return [FeatureShown.of(name, tenant.refusal(row, name, red), wanting) for name in NEEDS]
