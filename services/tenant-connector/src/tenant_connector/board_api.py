"""HTTP in: the readiness board."""

from datetime import timedelta
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends

from shared.db import UnitOfWork
from shared.problems import TooMany
from shared.web import AdminCaller, Caller, Work, provided
from tenant_connector import audit, queries, readiness, readiness_queries, tenant, watching
from tenant_connector.board_models import Board, NewCheck
from tenant_connector.readiness_tables import ReadinessCheckRow
from tenant_connector.settings import Settings

router = APIRouter(tags=["readiness"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
NAMED_AT_MOST = 100
"""So many people who lack something are named on the board."""


@router.get("/v1/tenant/readiness")
async def readiness_board(caller: Caller, work: Work) -> Board:
    """What the organisation's Microsoft 365 lets Prospo do, and what to mend; for everybody of the organisation."""
    return await _board(work, caller.org_id)


@router.post("/v1/tenant/readiness/check", status_code=202)
async def check_readiness(caller: AdminCaller, work: Work, knobs: Knobs, _wanted: NewCheck | None = None) -> Board:
    """Look at everything again; read the board until ``checking`` is false. One check at a time, one per 30 s."""
    row = await queries.tenant_for_change(work.session, caller.org_id)
    if row.status != "connected":
        raise tenant.not_connected()
    book = await readiness.open_book(work.session, work.outbox, caller.org_id)
    _refuse_haste(book, knobs.readiness_check_pause_s)
    book.check.asked_at = book.now
    _be_patient(book, knobs.readiness_propagation_s)
    watching.check_now(work)
    audit.note(work.session, caller.org_id, caller.user_id, "readiness.check")
    await work.session.flush()
    return await _board(work, caller.org_id)


def _refuse_haste(book: readiness.Book, pause_s: float) -> None:
    if book.check.asked_at is None:
        return
    left = book.check.asked_at + timedelta(seconds=pause_s) - book.now
    if left > timedelta(0):
        seconds = ceil(left.total_seconds())
        raise TooMany("checked_just_now", f"It was just checked. Ask again in {seconds} s.", retry_after_s=seconds)


def _be_patient(book: readiness.Book, propagation_s: float) -> None:
    """Who asks again has likely just mended what is red, which takes its time at Microsoft; never prolonged."""
    patience = book.check.patience_until
    if readiness.reds(list(book.rows.values())) and (patience is None or patience <= book.now):
        book.check.patience_until = book.now + timedelta(seconds=propagation_s)


async def _board(work: UnitOfWork, org_id: str) -> Board:
    row = await queries.tenant(work.session, org_id)
    check: ReadinessCheckRow | None = await readiness_queries.check(work.session, org_id)
    rows = await readiness_queries.board(work.session, org_id)
    people = await readiness_queries.lacking(work.session, org_id, NAMED_AT_MOST)
    shown = readiness.shown(rows, org_id, await readiness_queries.now(work.session))
    return Board.of(row is not None and row.status == "connected", check, shown, people, readiness.reds(rows))
