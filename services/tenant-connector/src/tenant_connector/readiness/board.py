"""Keeping the board: verdicts replaced by newer ones, and each change of one told once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any, get_args

from sqlmodel.ext.asyncio.session import AsyncSession

from shared import metrics
from shared.database.outbox import Outbox
from shared.database.unit_of_work import Database
from shared.events import TenantReadinessChanged
from shared.events.tenant import Verdict
from tenant_connector import audit
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.readiness.tables import ReadinessCheckRow, ReadinessRow
from tenant_connector.readiness.verdicts import AFFECTS, SPREAD_BY_CONSENT, Found, Obstacle, Outcome, Remedy, Unanswered

_NOT_CONNECTED = "Your organisation is not connected to Microsoft 365, so nothing is known."
_WAS_RED = "was_action_needed"
_NEVER_LOOKED = "This was not looked at yet."
_REFUSED_AT_LAST = "Microsoft still refused when it was last asked, and could not be asked again since."
_WAITING = (
    "Waiting for Microsoft: what was just changed there can take up to about 50 minutes to count. It is looked at "
    "again by itself until {until:%H:%M} UTC. So far: {reason}"
)
_TO_CONFIRM = "It is tried once more by itself, at {until:%H:%M:%S} UTC, before it is believed. So far: {reason}"


@dataclass(frozen=True, slots=True)
class Book:
    """One transaction's hold on an organisation's board: nobody else writes it meanwhile."""

    session: AsyncSession
    outbox: Outbox
    check: ReadinessCheckRow
    rows: dict[str, ReadinessRow]
    now: datetime


async def open_book(session: AsyncSession, outbox: Outbox, org_id: str) -> Book:
    check = await readiness_queries.check_for_change(session, org_id)
    rows = {row.capability: row for row in await readiness_queries.board(session, org_id)}
    return Book(session, outbox, check, rows, await readiness_queries.now(session))


def keep(book: Book, outcomes: list[Outcome], began_at: datetime) -> None:
    """Write the outcomes of a check. An outcome without an answer keeps the verdict and says so."""
    for outcome in outcomes:
        row = book.rows.get(outcome.capability) or _blank(book, outcome.capability)
        if isinstance(outcome, Unanswered) or (not outcome.decided and _is_red(row)):
            row.failed_at, row.failure = book.now, outcome.reason
            _end_of_patience(book, row)
            continue
        row.failed_at = row.failure = None
        _write(book, row, outcome, _until(book, row, outcome))
    book.check.began_at, book.check.done_at = began_at, book.now


def be_patient(book: Book, propagation_s: float) -> None:
    """Give red capabilities time: who checks again has likely just mended them, which takes a while at Microsoft."""
    for row in filter(_is_red, book.rows.values()):
        if row.patience_until is None or row.patience_until <= book.now:
            row.patience_until = book.now + timedelta(seconds=propagation_s)


async def clear(session: AsyncSession, outbox: Outbox, org_id: str) -> None:
    """The tenant is gone: what was known of it is not known any more."""
    book = await open_book(session, outbox, org_id)
    for row in book.rows.values():
        row.failed_at = row.failure = None
        _write(book, row, Found(row.capability, "unknown", _NOT_CONNECTED), None)
        row.checked_at = row.patience_until = None
    await readiness_queries.forget_people(session, org_id)
    check = book.check
    check.asked_at = check.began_at = check.done_at = None
    check.patience_until = check.doubted_at = check.names_at = check.names_seen = None


async def red(session: AsyncSession, org_id: str) -> dict[str, Obstacle]:
    """The capabilities that need somebody's action, as far as is proven."""
    rows = await readiness_queries.board(session, org_id)
    return reds(rows)


def reds(rows: list[ReadinessRow]) -> dict[str, Obstacle]:
    return _obstacles(filter(_is_red, rows))


def wanting(rows: list[ReadinessRow]) -> dict[str, Obstacle]:
    """Capabilities that do not work now, whether that is certain or may still pass."""
    return _obstacles(row for row in rows if row.verdict in {"action_needed", "waiting"})


def _obstacles(rows: Iterable[ReadinessRow]) -> dict[str, Obstacle]:
    return {row.capability: Obstacle(row.capability, row.reason, row.remedy) for row in rows}


def _is_red(row: ReadinessRow) -> bool:
    return row.verdict == "action_needed" or _is_red_still(row)


def _is_red_still(row: ReadinessRow) -> bool:
    """Asking for a check of what is red makes it wait, and must not be a way past it."""
    return row.verdict == "waiting" and bool(row.details.get(_WAS_RED))


async def gauge_verdicts(db: Database) -> None:
    """Set the gauge of verdicts, over all organisations."""
    async with db.system_work() as work:
        counts = await readiness_queries.verdicts(work.session)
    for capability, verdict in product(AFFECTS, get_args(Verdict)):
        about = {"capability": capability, "verdict": verdict}
        metrics.readiness_verdicts.set(counts.get((capability, verdict), 0), about)


def shown(rows: list[ReadinessRow], org_id: str, now: datetime) -> list[ReadinessRow]:
    """Every capability in its order; what was never looked at is unknown."""
    known = {row.capability: row for row in rows}
    return [known.get(name) or _new(org_id, name, now) for name in AFFECTS]


def _new(org_id: str, capability: str, now: datetime) -> ReadinessRow:
    said: dict[str, Any] = {"reason": _NEVER_LOOKED, "evidence": [], "details": {}, "since": now}
    return ReadinessRow(org_id=org_id, capability=capability, verdict="unknown", **said)


def _blank(book: Book, capability: str) -> ReadinessRow:
    row = _new(book.check.org_id, capability, book.now)
    book.session.add(row)
    book.rows[capability] = row
    return row


def _until(book: Book, row: ReadinessRow, found: Found) -> datetime | None:
    """How long the refusal is not final; None when it is, or is none."""
    if found.verdict != "action_needed":
        return None
    spread = book.check.patience_until if found.capability in SPREAD_BY_CONSENT else None
    ends = [row.patience_until, spread] if found.propagates else [_confirmed_at(book, row, found)]
    return max((end for end in ends if end is not None and end > book.now), default=None)


def _confirmed_at(book: Book, row: ReadinessRow, found: Found) -> datetime | None:
    """None when one refusal is enough, or there was another before."""
    if not found.confirm_s or row.verdict == "action_needed":
        return None
    return row.until if row.verdict == "waiting" else book.now + timedelta(seconds=found.confirm_s)


def _end_of_patience(book: Book, row: ReadinessRow) -> None:
    """Waiting ends with its time, also when Microsoft cannot be asked then. What was red is red again."""
    if row.verdict != "waiting" or row.until is None or row.until > book.now:
        return
    found = Found(row.capability, "unknown", _REFUSED_AT_LAST)
    if _is_red_still(row) and row.remedy is not None:
        found = replace(found, verdict="action_needed", remedy=Remedy(**row.remedy))
    _write(book, row, found, None)


def _write(book: Book, row: ReadinessRow, found: Found, until: datetime | None) -> None:
    if until is not None:
        waiting = _WAITING if found.propagates else _TO_CONFIRM
        found = replace(found, verdict="waiting", reason=waiting.format(until=until, reason=found.reason))
    previous, was_red = row.verdict, _is_red(row)
    row.verdict, row.reason, row.until = found.verdict, found.reason, until
    row.remedy = found.remedy.row() if found.remedy else None
    row.evidence = [one.row() for one in found.evidence]
    row.details = dict(found.details) | ({_WAS_RED: True} if until is not None and was_red else {})
    row.checked_at = book.now
    if previous != found.verdict:
        row.since = book.now
        _tell(book, found, previous, until)


def _tell(book: Book, found: Found, previous: str, until: datetime | None) -> None:
    book.check.version += 1
    org_id = book.check.org_id
    book.outbox.add(
        TenantReadinessChanged(
            org_id=org_id,
            aggregate_version=book.check.version,
            capability=found.capability,
            verdict=found.verdict,
            reason=found.reason,
            previous=previous,
            remedy=found.remedy.whole if found.remedy else None,
            who=found.remedy.who if found.remedy else None,
            until=until,
        )
    )
    change: dict[str, Any] = {"capability": found.capability, "verdict": found.verdict, "previous": previous}
    audit.note(book.session, org_id, audit.SERVICE, "readiness.change", **change)
