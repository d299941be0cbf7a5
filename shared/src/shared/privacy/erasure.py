"""Erasing a person or an organisation from one service's database, by what the service declares its tables to hold.

Guarantee: a run that ends well has left nothing but what its report names as kept. It works in small transactions
beside the running service, so a run that dies has done a part, and the next one does the rest. The organisation's data
keys go last: whatever sealed secret is left anywhere, in a backup too, can then never be opened again.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.connections.places import ACCOUNT_PLACE, CONNECTOR_PLACE
from shared.database.unit_of_work import Database, UnitOfWork, is_outage
from shared.events import Event
from shared.problems import BadInput, Conflict, Unavailable
from shared.web import audit

log = structlog.get_logger(__name__)

BATCH = 500
PASSES = 20
TRIES = 5
_WAIT_S = 0.2
_LOCK_WAIT = text("SELECT set_config('lock_timeout', '5s', true), set_config('app.audit_erasing', 'on', true)")
_FOREIGN_KEY = "23503"


@dataclass(frozen=True, slots=True)
class Delete:
    """Rows that go. ``tombstone`` is the state topic's event, and the SQL for its key, to bury with each."""

    where: str
    tombstone: tuple[type[Event], str] | None = None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Rows that stay without the person: ``to`` is what to set, and ``where`` is true only of rows still to be done."""

    where: str
    to: str


OF_ORGANISATION = Delete("org_id = :org_id")
OF_PERSON = Delete("org_id = :org_id AND user_id = :user_id")
Elsewhere = Callable[[Any, Mapping[str, Any]], Awaitable[None]]
Described = Callable[[Mapping[str, Any], Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Holding:
    """The data that one table holds of an organisation and of a person. SQL uses ``:org_id`` and ``:user_id``."""

    table: str
    organisation: Delete | Rewrite | None = OF_ORGANISATION
    person: Delete | Rewrite | None = None
    keeps: str | None = None
    """What stays, and why."""
    exported: Mapping[str, str] = field(default_factory=dict)
    """Readable name → column of what a person is given of their own rows; nothing secret, nothing sealed."""
    of_organisation: Mapping[str, str] = field(default_factory=dict)
    """Further columns for an export of the organisation."""
    withheld: str = ""
    """The other columns: secrets, hashes, Microsoft's ids and what only we go by. A test knows every column."""
    exported_where: str | None = None
    """Which rows these are, when they are not those that go."""
    described: Described | None = None
    """Adds to an exported row what only the row's content outside the database tells; given ``of_id``."""
    closing: str = ""
    """Set before ``elsewhere``, so that nobody adds to what is being deleted there."""
    elsewhere: Elsewhere | None = None
    """Deletes what a row stands for outside the database, such as a stored file; may be called again. Needs ``id``."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """All tables of a service, children before parents, and how it knows that someone is still connected."""

    tables: Sequence[Holding] = ()
    jobs: str = "false"
    """Further jobs of a person, beside those whose payload names them."""
    connected_organisation: str = """SELECT 1 FROM tenant_copy WHERE org_id = :org_id AND connected
        UNION ALL SELECT 1 FROM user_copy WHERE org_id = :org_id AND connected"""
    connected_person: str = "SELECT 1 FROM user_copy WHERE org_id = :org_id AND user_id = :user_id AND connected"
    audit_path: str | None = None
    """Where Org Admins read the audit trail, for a service that keeps one."""
    sweep: Callable[[str, Mapping[str, Any]], Awaitable[int]] | None = None
    """Deletes what is left of an organisation outside the database; returns how many things."""


# Records and events carry their organisation in a header; one that came without is told by its key.
_OF_RECORD = """(headers ->> 'ce_orgid' = :org_id OR (NOT headers ? 'ce_orgid'
    AND (key = :org_id OR starts_with(key, :org_id || ':'))))"""
_NAMES_PERSON = "position(convert_to('\"{1}\":{2}' || to_json(CAST(:user_id AS text))::text, 'UTF8') IN {0}) > 0"
_EVENTS_LEAVE = "Events already written are published first; Kafka forgets them after its retention."


def _by_person(column: str) -> str:
    """An event is of a person by its key or by what it says; the bytes are looked at, for not all need be JSON."""
    said = [_NAMES_PERSON.format(column, name, space) for name in ("user_id", "changed_by") for space in ("", " ")]
    return f"(key = :org_id || ':' || :user_id OR {' OR '.join(said)})"


def engine_holdings(holdings: Holdings) -> tuple[list[Holding], list[Holding]]:
    """The engines' tables that go before a service's own, and those that go after them."""
    job = f"org_id = :org_id AND (payload ->> 'user_id' = :user_id OR {holdings.jobs})"
    parked = f"parked_at IS NOT NULL AND payload <> '' AND {_OF_RECORD}"
    sent = f"payload <> '' AND {_OF_RECORD}"
    before = [
        Holding("job", person=Delete(job), withheld=_JOB),
        Holding(
            "outbox",
            Delete(parked),
            Delete(f"{parked} AND {_by_person('payload')}"),
            keeps=_EVENTS_LEAVE,
            withheld=_OUTBOX,
        ),
        Holding("outbox_sent", Delete(sent), Delete(f"{sent} AND {_by_person('payload')}"), withheld=_SENT),
        Holding(
            "parked_record", Delete(_OF_RECORD), Delete(f"{_OF_RECORD} AND {_by_person('value')}"), withheld=_PARKED
        ),
    ]
    after = [
        Holding("graph_notification", person=OF_PERSON, withheld=_NOTIFICATION),
        Holding(
            "graph_subscription",
            person=OF_PERSON,
            exported={"subscribed to": "resource", "until": "expires_at"},
            withheld="client_state_hash change_types subscription_id claim claimed_until certificate_id refused_until",
        ),
        Holding("user_copy", person=OF_PERSON, exported=_USER_COPY, withheld="version mail_permitted"),
        Holding("tenant_copy", of_organisation=_TENANT_COPY, withheld="version"),
        Holding("rate_limit", person=OF_PERSON, exported={"limited": "name"}, withheld="granted full_at"),
        Holding("job_turn", withheld="priority served_at version"),
        Holding("inbox", None, keeps=_INBOX_KEEPS, withheld="event_id topic handled_at"),
        Holding("alembic_version", None, withheld="version_num"),
        Holding("data_key", None, withheld="id ring_key_id wrapped active created_at"),
    ]
    return before, after


_JOB = """id kind payload checkpoint dedupe_key priority run_at state attempt fence lease_until again last_error
    traceparent created_at tried_since due_as cause sure_to"""
_OUTBOX = "id event_id topic key headers payload created_at attempts parked_at last_error"
_SENT = "id event_id topic key headers payload sent_at"
_PARKED = "id topic key partition offset headers value reason parked_at"
_NOTIFICATION = "id dedupe resource change_types body received_at"
_INBOX_KEEPS = "Ids of handled events; they name nobody and go after two weeks."
_TENANT_COPY = {"connected": "connected", "tenant": "tid", "features": "features"}

_USER_COPY = {"connected": "connected", "Microsoft account": "oid", "tenant": "tid", "name": "name", "email": "email"}
_USER_COPY |= {"addresses": "addresses"}
_ERASED = "^erased:[0-9a-f]{12}$"
_PSEUDONYM = "'erased:' || left(encode(sha256(convert_to(:salt || {0}, 'UTF8')), 'hex'), 12)"


def pseudonym_for(column: str) -> str:
    """SQL of a column in which the person, and only they, are replaced; the same pseudonym all through one run."""
    return f"CASE WHEN {column} = :user_id THEN {_PSEUDONYM.format(column)} ELSE {column} END"


_ABOUT_PERSON = "org_id = :org_id AND (actor = :user_id OR details ->> 'user_id' = :user_id)"
AUDIT = Holding(
    "audit",
    Rewrite(
        f"""org_id = :org_id AND action NOT IN (
                'organisation.erase', 'organisation.export', 'person.erase', 'person.export')
            AND (NOT details ? 'erased' OR actor !~ '{_ERASED}|^service:')""",
        f"""actor = CASE WHEN actor ~ '{_ERASED}|^service:' THEN actor ELSE {_PSEUDONYM.format("actor")} END,
            details = jsonb_build_object('erased', {_PSEUDONYM.format("actor")})""",
    ),
    Rewrite(
        _ABOUT_PERSON,
        f"""actor = {pseudonym_for("actor")},
            details = jsonb_build_object('erased', {_PSEUDONYM.format("CAST(:user_id AS text)")})""",
    ),
    keeps="The trail keeps what was done and when, with a pseudonym for who, until audit_keep_days have passed.",
    exported={"when": "occurred_at", "action": "action", "outcome": "outcome"},
    exported_where=_ABOUT_PERSON,
    of_organisation={"person": "actor"},
    withheld="id details request_id trace_id",
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it is about: a person of an organisation, or the whole of it."""

    org_id: str
    user_id: str | None = None

    def __post_init__(self) -> None:
        if not self.org_id or self.user_id == "":
            raise BadInput("nobody_named", "Name the organisation, and the person if it is about one.")

    def given(self, holding: Holding) -> dict[str, str]:
        """Readable name → column of what is exported of a table."""
        if self.user_id is not None:
            return dict(holding.exported)
        whose = {"person": "user_id"} if holding.person == OF_PERSON else {}
        return whose | dict(holding.exported) | dict(holding.of_organisation)

    @property
    def values(self) -> dict[str, str]:
        return {"org_id": self.org_id} | ({"user_id": self.user_id} if self.user_id is not None else {})

    def part_of(self, holding: Holding) -> Delete | Rewrite | None:
        return holding.organisation if self.user_id is None else holding.person


@dataclass(slots=True)
class Report:
    """Rows by table, and what stays."""

    erased: Counter[str] = field(default_factory=Counter)
    pseudonymised: Counter[str] = field(default_factory=Counter)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.erased.total() + self.pseudonymised.total()


class Erasure:
    """One run for one subject in one service."""

    def __init__(
        self, service: str, db: Database, holdings: Holdings, subject: Subject, provided: Mapping[str, Any]
    ) -> None:
        self._service = service
        self._db = db
        self._holdings = holdings
        self._subject = subject
        self._provided = provided
        self._values = subject.values | {"salt": secrets.token_hex(16), "batch": BATCH}
        before, after = engine_holdings(holdings)
        self._blocked = 0
        self._tables = [*before, *holdings.tables, *after]
        self.report = Report(kept={held.table: held.keeps for held in self._tables if held.keeps})

    async def run(self, *, force: bool = False) -> Report:
        """Erase. Raises ``Conflict`` while still connected, unless ``force``; ``Unavailable`` when rows are left."""
        if not force:
            await self._refuse_if_connected()
        for _ in range(PASSES):
            if not await self._pass():
                break
        else:
            raise Unavailable(
                "rows_left", "Rows are still added or referenced. Disconnect, then run the command again."
            )
        if self._subject.user_id is None:
            await self._shred()
        if self.report.total and self._holdings.audit_path:
            await self._note()
        return self.report

    async def _refuse_if_connected(self) -> None:
        person = self._subject.user_id is not None
        query = self._holdings.connected_person if person else self._holdings.connected_organisation
        async with self._db.operator_work(self._subject.org_id) as work:
            connected = (await work.session.execute(text(query), self._values)).first() is not None
        if connected:
            where = ACCOUNT_PLACE if person else CONNECTOR_PLACE
            raise Conflict(
                "still_connected",
                f"There is still a connection to Microsoft. Disconnect it first under {where}, and run this again when "
                "the news has arrived here; --force erases all the same.",
            )

    async def _pass(self) -> int:
        """Every table once. A service that runs may add rows behind us, so passes are made until one finds nothing."""
        changed = self._blocked = 0
        for held in self._tables:
            part = self._subject.part_of(held)
            if part is not None:
                changed += await self._empty(held, part)
        if self._subject.user_id is None and self._holdings.sweep is not None:
            found = await self._holdings.sweep(self._subject.org_id, self._provided)
            if found:
                self.report.erased["objects"] += found
            changed += found
        return changed + self._blocked

    async def _empty(self, held: Holding, part: Delete | Rewrite) -> int:
        """Batches until one is not full; what another row still points to is left for the next pass."""
        total = 0
        while True:
            found = await self._patiently(held, part)
            counts = self.report.erased if isinstance(part, Delete) else self.report.pseudonymised
            if found:
                counts[held.table] += found
                total += found
            if found < BATCH:
                return total

    async def _patiently(self, held: Holding, part: Delete | Rewrite) -> int:
        """One batch; what the running service locks, or a deadlock with it, is tried again."""
        for attempt in range(1, TRIES + 1):
            try:
                return await self._batch(held, part)
            except DBAPIError as error:
                if str(getattr(error.orig, "sqlstate", "")) == _FOREIGN_KEY:
                    self._blocked += 1
                    return 0
                if attempt == TRIES or not is_outage(error):
                    raise
                log.info("erasing.waits", table=held.table, error=type(error.orig).__name__)
            await asyncio.sleep(_WAIT_S * attempt)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _batch(self, held: Holding, part: Delete | Rewrite) -> int:
        if held.elsewhere is not None:
            return await self._batch_with_elsewhere(held, part)
        async with self._db.operator_work(self._subject.org_id) as work:
            rows = await self._execute(work, _statement(held.table, part))
            if isinstance(part, Delete) and part.tombstone is not None:
                for row in rows:
                    work.outbox.bury(part.tombstone[0], self._subject.org_id, row.key)
            return len(rows)

    async def _batch_with_elsewhere(self, held: Holding, part: Delete | Rewrite) -> int:
        """Closed, deleted elsewhere, then forgotten: a run that dies in between finds the row again."""
        org_id = self._subject.org_id
        async with self._db.operator_work(org_id) as work:
            rows = await self._execute(work, _statement(held.table, Rewrite(part.where, held.closing), "*"))
        for row in rows:
            assert held.elsewhere is not None  # noqa: S101 - asked by the caller
            await held.elsewhere(row, self._provided)
        async with self._db.operator_work(org_id) as work:
            gone = text(f"DELETE FROM {held.table} WHERE org_id = :org_id AND id = ANY(:ids)")
            await work.session.execute(gone, {"org_id": org_id, "ids": [row.id for row in rows]})
        return len(rows)

    async def _execute(self, work: UnitOfWork, statement: str) -> Sequence[Any]:
        await work.session.execute(_LOCK_WAIT)
        return (await work.session.execute(text(statement), self._values)).all()

    async def _shred(self) -> None:
        found = await self._empty(Holding("data_key"), OF_ORGANISATION)
        log.info("data_keys.destroyed", count=found)

    async def _note(self) -> None:
        action = "organisation.erase" if self._subject.user_id is None else "person.erase"
        async with self._db.operator_work(self._subject.org_id) as work:
            audit.note_command(work.session, self._subject.org_id, self._service, action, self.report.total)


def _statement(table: str, part: Delete | Rewrite, returning: str = "") -> str:
    batch = f"WITH batch AS MATERIALIZED (SELECT ctid FROM {table} WHERE {part.where} LIMIT :batch FOR UPDATE)"
    here = "WHERE ctid = ANY(ARRAY(SELECT ctid FROM batch)) RETURNING"
    if isinstance(part, Rewrite):
        return f"{batch} UPDATE {table} SET {part.to} {here} {returning or '1'}"
    key = f"{part.tombstone[1]} AS key" if part.tombstone else "1"
    return f"{batch} DELETE FROM {table} {here} {key}"


def declared(holdings: Holdings) -> dict[str, Holding]:
    """Table → what it is declared to hold; the engines' tables too."""
    before, after = engine_holdings(holdings)
    return {held.table: held for held in [*before, *holdings.tables, *after]}
