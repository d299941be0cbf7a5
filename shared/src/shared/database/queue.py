"""The job table, and queueing in the business transaction."""

import json
from datetime import datetime
from typing import Any

from opentelemetry.propagate import inject
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.database.outbox import Cause
from shared.database.row_security import protecting
from shared.database.work import PRIORITIES, Priority, Work

# Every job is a few dead rows soon; the indexes that a claim reads must not fill with them.
_VACUUMED = "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0"
DDL = [
    """CREATE TABLE IF NOT EXISTS job (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id text NOT NULL, kind text NOT NULL,
        payload jsonb NOT NULL, checkpoint jsonb NOT NULL DEFAULT '{}', dedupe_key text,
        priority smallint NOT NULL, run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'failed')),
        attempt integer NOT NULL DEFAULT 0, fence bigint NOT NULL DEFAULT 0, lease_until timestamptz,
        again boolean NOT NULL DEFAULT false,
        last_error text, traceparent text, created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "ALTER TABLE job ADD COLUMN IF NOT EXISTS tried_since timestamptz",
    "ALTER TABLE job ADD COLUMN IF NOT EXISTS cause jsonb",
    # Runs up to this fence left nothing behind that is not in the checkpoint or in the service's own tables.
    "ALTER TABLE job ADD COLUMN IF NOT EXISTS sure_to bigint NOT NULL DEFAULT 0",
    """CREATE UNIQUE INDEX IF NOT EXISTS job_dedupe ON job (org_id, kind, dedupe_key)
        WHERE dedupe_key IS NOT NULL AND state IN ('waiting', 'running')""",
    # The priority at which a worker found the job due, until it is claimed.
    "ALTER TABLE job ADD COLUMN IF NOT EXISTS due_as smallint",
    "DROP INDEX IF EXISTS job_due",
    """CREATE INDEX IF NOT EXISTS job_unmarked ON job (kind, run_at)
        WHERE state = 'waiting' AND due_as IS DISTINCT FROM priority""",
    """CREATE INDEX IF NOT EXISTS job_marked ON job (due_as, org_id, run_at, id)
        WHERE state = 'waiting' AND due_as IS NOT NULL""",
    "CREATE INDEX IF NOT EXISTS job_leased ON job (lease_until) WHERE state = 'running'",
    f"ALTER TABLE job SET ({_VACUUMED})",
    # The previous shape had every organisation that was ever served, once.
    """DO $do$ BEGIN
        IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_schema = current_schema()
                       AND table_name = 'job_turn' AND column_name = 'priority') THEN
            DROP TABLE IF EXISTS job_turn;
        END IF;
    END $do$""",
    f"""CREATE TABLE IF NOT EXISTS job_turn (
        org_id text NOT NULL, priority smallint NOT NULL, served_at timestamptz NOT NULL DEFAULT '-infinity',
        version bigint NOT NULL DEFAULT 0, PRIMARY KEY (org_id, priority)) WITH ({_VACUUMED})""",
    "CREATE INDEX IF NOT EXISTS job_turn_line ON job_turn (priority, served_at, org_id)",
    protecting("job"),
    protecting("job_turn"),
]

ON_CONFLICT = """ON CONFLICT (org_id, kind, dedupe_key) WHERE dedupe_key IS NOT NULL AND state IN ('waiting', 'running')
       DO UPDATE SET again = job.state = 'running', priority = least(job.priority, excluded.priority),
           payload = excluded.payload, cause = coalesce(excluded.cause, job.cause),
           run_at = CASE job.state WHEN 'running' THEN excluded.run_at ELSE least(job.run_at, excluded.run_at) END"""
"""What happens to an existing job when one with the same dedupe key is inserted."""
INSERT = f"""INSERT INTO job (org_id, kind, payload, dedupe_key, priority, run_at, traceparent, cause)
       VALUES ($1, $2, $3, $4, $5, coalesce($6, clock_timestamp()), $7, $8)
       {ON_CONFLICT}"""
"""Inserts rows of ``row``, or refreshes the jobs that live under their keys."""

# When several failed jobs share a dedupe key, the newest is run again, and none while another one lives.
_REDRIVE = text(
    """UPDATE job SET state = 'waiting', due_as = NULL, attempt = 0, tried_since = NULL, run_at = clock_timestamp()
       WHERE id IN (SELECT max(f.id) FROM job f
           WHERE f.state = 'failed' AND (CAST(:key AS text) IS NULL OR :key IN (f.kind, f.dedupe_key))
             AND NOT EXISTS (SELECT FROM job l WHERE (l.org_id, l.kind, l.dedupe_key) = (f.org_id, f.kind, f.dedupe_key)
                             AND l.state IN ('waiting', 'running'))
           GROUP BY f.org_id, f.kind, coalesce(f.dedupe_key, f.id::text))
       RETURNING id"""
)


def row(
    work: Work, org_id: str, run_at: datetime | None, priority: Priority | None, cause: Cause | None = None
) -> tuple[Any, ...]:
    """The job's row, in the trace of who queues it and in the chain of the event that led to it."""
    return (
        org_id,
        work.kind,
        work.model_dump_json(),
        work.key,
        PRIORITIES[priority or work.priority],
        run_at,
        traceparent(),
        json.dumps([cause.id, cause.correlation_id]) if cause else None,
    )


def begun(request_id: str) -> str:
    """A job's ``cause`` where no event led to it: the chain begins with this request."""
    return json.dumps([None, request_id])


def traceparent() -> str | None:
    """The W3C ``traceparent`` of the current span, kept with a job so that its run joins the same trace."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier.get("traceparent")


async def redrive(session: AsyncSession, key: str | None = None) -> int:
    """Make failed jobs due again, with all their attempts: all, or those of a kind or with a dedupe key."""
    return len((await session.execute(_REDRIVE, {"key": key})).all())
