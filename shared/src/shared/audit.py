"""The audit trail of the services that keep one: reading it, forgetting who it names, and how long it is kept.

It is append-only for everybody, the tables' owner too: the database refuses every change but two. Lines older than
``audit_keep_days`` may be deleted, and an erasure may put a pseudonym in the place of a person.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.outbox import uuid7
from shared.web import AdminCaller, Page, Work

LEAST_KEEP_DAYS = 30
"""Whatever is configured, nothing younger is ever deleted: the trigger knows this number too."""

_GUARD = f"""CREATE OR REPLACE FUNCTION audit_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
DECLARE keep_days integer := nullif(current_setting('app.audit_keep_days', true), '');
BEGIN
    IF TG_OP = 'DELETE' AND keep_days IS NOT NULL
        AND OLD.occurred_at < clock_timestamp() - make_interval(days => greatest(keep_days, {LEAST_KEEP_DAYS})) THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND current_setting('app.audit_erasing', true) = 'on'
        AND (NEW.org_id, NEW.id, NEW.occurred_at, NEW.action, NEW.outcome)
            = (OLD.org_id, OLD.id, OLD.occurred_at, OLD.action, OLD.outcome)
        AND (NEW.actor = OLD.actor OR NEW.actor ~ '^erased:[0-9a-f]{{12}}$')
        AND NEW.details ->> 'erased' ~ '^erased:[0-9a-f]{{12}}$' AND NEW.details - 'erased' = '{{}}'::jsonb THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit trail is append-only: it is only ever added to.';
END $guard$"""
AFTER_MIGRATIONS = f"""DO $do$ BEGIN
    IF to_regclass('audit') IS NOT NULL THEN
        {_GUARD};
        CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit
            FOR EACH ROW EXECUTE FUNCTION audit_guard();
        CREATE OR REPLACE TRIGGER never_emptied BEFORE TRUNCATE ON audit
            FOR EACH STATEMENT EXECUTE FUNCTION audit_guard();
    END IF;
END $do$"""
"""Run after a service's own migrations, each time: the guard is one for all services."""

_PAGE = text(
    """SELECT id, occurred_at, actor, action, outcome, details FROM audit
       WHERE org_id = :org_id AND (CAST(:actor AS text) IS NULL OR actor = :actor)
         AND (CAST(:action AS text) IS NULL OR action = :action) AND (CAST(:cursor AS uuid) IS NULL OR id < :cursor)
       ORDER BY id DESC LIMIT :limit"""
)
_ADD = text(
    """INSERT INTO audit (org_id, id, actor, action, outcome, details)
       VALUES (:org_id, CAST(:id AS uuid), :actor, :action, 'done',
               jsonb_build_object('rows', CAST(:rows AS integer)))"""
)
Words = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$")]


class AuditLine(BaseModel):
    """Who did what, when, and how it went. An erased person is a pseudonym, and the details of it are gone."""

    id: uuid.UUID
    occurred_at: datetime
    actor: str
    action: str
    outcome: str
    details: dict[str, Any]


def router(path: str) -> APIRouter:
    """The trail for Org Admins, at ``path`` where the gateway leads and at ``/v1/audit`` of the service itself."""
    routes = APIRouter()

    @routes.get("/v1/audit", include_in_schema=False)
    @routes.get(path, tags=["audit"])
    async def audit(
        caller: AdminCaller,
        work: Work,
        actor: Words = None,
        action: Words = None,
        cursor: uuid.UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> Page[AuditLine]:
        """What was done in the organisation, newest first; of one person or one kind when asked."""
        values = {"org_id": caller.org_id, "actor": actor, "action": action, "cursor": cursor, "limit": limit + 1}
        rows = (await work.session.execute(_PAGE, values)).all()
        shown = [AuditLine.model_validate(dict(row._mapping)) for row in rows[:limit]]  # noqa: SLF001 - its public name
        return Page[AuditLine](items=shown, next_cursor=str(shown[-1].id) if len(rows) > limit else None)

    return routes


async def note_command(session: AsyncSession, org_id: str, service: str, action: str, rows: int) -> None:
    """The fact that an operator erased or exported so many rows, without saying of whom."""
    values = {"org_id": org_id, "id": uuid7(), "actor": f"service:{service}", "action": action, "rows": rows}
    await session.execute(_ADD, values)
