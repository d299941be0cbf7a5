"""The audit trail of the services that keep one: reading it, forgetting who it names, and how long it is kept.

It is append-only for everybody, the tables' owner too: the database refuses every change but two. Lines older than
``audit_keep_days`` may be deleted, and an erasure may put a pseudonym in the place of a person. The service's role may
not do more by its grants either. Every line knows the request and the trace it was written in, and what is named like a
secret, or looks like a token, never gets into it: the database sees to both, whoever adds the line.
"""

import uuid
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import Column, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.outbox import uuid7
from shared.database.unit_of_work import Database
from shared.web.identity import Identity
from shared.web.limits import limited, take
from shared.web.routes import AdminCaller, Page, Work

Outcome = Literal["done", "refused", "failed"]
LEAST_KEEP_DAYS = 30
"""Whatever is configured, nothing younger is ever deleted: the trigger knows this number too."""

NEVER_KEPT = (
    "token|secret|password|passphrase|authorization|cookie|verifier|client_state|browser_key|nonce|upload_url"
    "|^state$|^assertion$|private_key"
)
"""Keys of ``details`` whose value is not kept; the same list as the log's."""

_SAME = "ROW({0}.org_id, {0}.id, {0}.occurred_at, {0}.action, {0}.outcome, {0}.request_id, {0}.trace_id)"
_GUARD = f"""CREATE OR REPLACE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
DECLARE keep_days integer := nullif(current_setting('app.audit_keep_days', true), '');
BEGIN
    IF TG_OP = 'DELETE' AND keep_days IS NOT NULL
        AND OLD.occurred_at < clock_timestamp() - make_interval(days => greatest(keep_days, {LEAST_KEEP_DAYS})) THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('app.audit_erasing', true) = 'on'
        AND {_SAME.format("NEW")} IS NOT DISTINCT FROM {_SAME.format("OLD")}
        AND (NEW.actor = OLD.actor OR NEW.actor ~ '^erased:[0-9a-f]{{12}}$')
        AND NEW.details ->> 'erased' ~ '^erased:[0-9a-f]{{12}}$' AND NEW.details - 'erased' = '{{}}'::jsonb THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit trail is append-only: it is only ever added to.';
END $guard$"""
_CLEAN = f"""CREATE OR REPLACE FUNCTION audit_clean() RETURNS trigger LANGUAGE plpgsql AS $clean$
BEGIN
    NEW.occurred_at := clock_timestamp();
    NEW.request_id := nullif(current_setting('app.request_id', true), '');
    NEW.trace_id := nullif(current_setting('app.trace_id', true), '');
    NEW.details := coalesce((SELECT jsonb_object_agg(key, CASE
        WHEN key ~* '{NEVER_KEPT}' OR value::text ~ 'eyJ[A-Za-z0-9_-]{{8,}}[.]'
            OR value::text ~* '"[^"]*({NEVER_KEPT})[^"]*" *:' THEN '"[redacted]"'::jsonb
        ELSE value END) FROM jsonb_each(NEW.details)), '{{}}'::jsonb);
    RETURN NEW;
END $clean$"""
_PRUNE = """CREATE OR REPLACE FUNCTION audit_prune(days integer, step integer) RETURNS integer LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $prune$
DECLARE deleted integer;
BEGIN
    PERFORM set_config('app.audit_keep_days', greatest(days, {keep_days})::text, true);
    DELETE FROM audit WHERE (org_id, id) IN (SELECT org_id, id FROM audit
        WHERE occurred_at < clock_timestamp() - make_interval(days => greatest(days, {keep_days})) LIMIT step);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $prune$"""
AFTER_MIGRATIONS = f"""DO $do$ BEGIN
    IF to_regclass('audit') IS NOT NULL THEN
        ALTER TABLE audit ADD COLUMN IF NOT EXISTS request_id text, ADD COLUMN IF NOT EXISTS trace_id text;
        {_GUARD};
        {_CLEAN};
        {_PRUNE};
        CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit
            FOR EACH ROW EXECUTE FUNCTION audit_guard();
        CREATE OR REPLACE TRIGGER never_emptied BEFORE TRUNCATE ON audit
            FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
        CREATE OR REPLACE TRIGGER clean BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_clean();
        REVOKE ALL ON FUNCTION audit_prune FROM PUBLIC;
    END IF;
END $do$"""
"""Run after a service's own migrations, each time, with ``{keep_days}``: the guard is one for all services."""
GRANTS = """DO $do$ BEGIN
    IF to_regclass('audit') IS NOT NULL THEN
        REVOKE ALL ON audit FROM "{role}";
        GRANT SELECT, INSERT ON audit TO "{role}";
        GRANT EXECUTE ON FUNCTION audit_prune TO "{role}";
    END IF;
END $do$"""
"""Run after what is granted on all tables: the service's login adds and reads, and prunes what is old enough."""

_PAGE = text(
    """SELECT id, occurred_at, actor, action, outcome, details, request_id, trace_id,
              coalesce(details ->> 'target', details ->> 'user_id', details ->> 'oid', details ->> 'tid',
                       details ->> 'claimed_tid', org_id) AS target FROM audit
       WHERE org_id = :org_id AND (CAST(:actor AS text) IS NULL OR actor = :actor)
         AND (CAST(:action AS text) IS NULL OR action = :action) AND (CAST(:cursor AS uuid) IS NULL OR id < :cursor)
       ORDER BY id DESC LIMIT :limit"""
)
READS = limited("audit", per_hour="audit_reads_per_hour")
Words = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")]


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process have tables of other names beside it."""


class AuditRow(Table, table=True):
    """A line as it is written; the database adds when, and in which request and trace."""

    __tablename__ = "audit"

    org_id: str = Field(primary_key=True)
    id: str = Field(sa_column=Column(Uuid(as_uuid=False), primary_key=True))
    actor: str
    action: str
    outcome: str
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class AuditLine(BaseModel):
    """Who did what to whom or what, when, and how it went.

    ``target`` is a person, a Microsoft account, a tenant, a route or the organisation. An erased person is a pseudonym,
    and the details of it are gone.
    """

    id: uuid.UUID
    occurred_at: datetime
    actor: str
    action: str
    outcome: str
    target: str
    details: dict[str, Any]
    request_id: str | None
    trace_id: str | None


@cache
def router(path: str) -> APIRouter:
    """The trail for Org Admins, at ``path`` where the gateway leads and at ``/v1/audit`` of the service itself."""
    routes = APIRouter()

    @routes.get("/v1/audit", include_in_schema=False, dependencies=[READS])
    @routes.get(path, name=path.removeprefix("/v1/").replace("/", "_"), tags=["audit"], dependencies=[READS])
    async def audit(
        caller: AdminCaller,
        work: Work,
        actor: Words = None,
        action: Words = None,
        cursor: uuid.UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Page[AuditLine]:
        """What was done in the organisation, newest first; of one person or one kind when asked.

        Reading it is done in the organisation too: the first page is noted, those after it belong to it.
        """
        values = {"org_id": caller.org_id, "actor": actor, "action": action, "cursor": cursor, "limit": limit + 1}
        rows = (await work.session.execute(_PAGE, values)).all()
        if cursor is None:
            who = caller.user_id
            note(work.session, caller.org_id, who, "audit.read", user_id=actor, of_action=action)
        shown = [AuditLine.model_validate(dict(row._mapping)) for row in rows[:limit]]  # noqa: SLF001 - its public name
        return Page[AuditLine](items=shown, next_cursor=str(shown[-1].id) if len(rows) > limit else None)

    return routes


def actor(caller: Identity) -> str:
    """The caller as a line of the trail names them."""
    return f"program:{caller.user_id}" if caller.is_program else caller.user_id


def note_read(
    session: AsyncSession, caller: Identity, action: str, target: str, owner: str | None, **details: Any
) -> None:
    """A program read ``target``, which belongs to the person ``owner``. What a person reads is theirs: no line."""
    if caller.is_program:
        note(session, caller.org_id, actor(caller), action, target=target, user_id=owner, **details)


async def note_attended(
    db: Database, session: AsyncSession, caller: Identity, action: str, target: str, owner: str | None
) -> None:
    """An attendee read what its owner shares with attendees: once an hour, for a video is read in hundreds of parts."""
    if await take(db, caller.org_id, caller.user_id, f"noted:{action}:{target}", 1) == 0:
        note(session, caller.org_id, actor(caller), action, target=target, user_id=owner, attends=True)


def note(
    session: AsyncSession, org_id: str, actor: str, action: str, outcome: Outcome = "done", **details: Any
) -> None:
    """One line, in the transaction of what it tells about; it takes that transaction's request and trace.

    ``details`` hold ids, codes and switches, never a state, a key or a token.
    """
    session.add(AuditRow(org_id=org_id, id=uuid7(), actor=actor, action=action, outcome=outcome, details=details))


async def note_refused(db: Database, org_id: str, actor: str, action: str, per_hour: int, **details: Any) -> None:
    """A refusal, in a transaction of its own, for the request's is rolled back.

    A person who keeps trying is noted ``per_hour`` times only.
    """
    if await take(db, org_id, actor, "refusal_noted", per_hour) == 0:
        async with db.unit_of_work(org_id) as work:
            note(work.session, org_id, actor, action, "refused", **details)


def note_command(session: AsyncSession, org_id: str, service: str, action: str, rows: int) -> None:
    """The fact that an operator erased or exported so many rows, without saying of whom."""
    note(session, org_id, f"service:{service}", action, rows=rows)
