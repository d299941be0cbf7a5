"""The job table, and enqueueing in the business transaction."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from opentelemetry.propagate import inject
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.row_security import protecting

Priority = Literal["interactive", "fresh", "backfill"]
PRIORITIES: dict[Priority, int] = {"interactive": 0, "fresh": 1, "backfill": 2}

DDL = [
    """CREATE TABLE IF NOT EXISTS job (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, org_id text NOT NULL, kind text NOT NULL,
        payload jsonb NOT NULL, checkpoint jsonb NOT NULL DEFAULT '{}', dedupe_key text,
        priority smallint NOT NULL, run_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'failed')),
        attempt integer NOT NULL DEFAULT 0, fence bigint NOT NULL DEFAULT 0, lease_until timestamptz,
        again boolean NOT NULL DEFAULT false,
        last_error text, traceparent text, created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE UNIQUE INDEX IF NOT EXISTS job_dedupe ON job (org_id, kind, dedupe_key)
        WHERE dedupe_key IS NOT NULL AND state IN ('waiting', 'running')""",
    "CREATE TABLE IF NOT EXISTS job_turn (org_id text PRIMARY KEY, served_at timestamptz NOT NULL)",
    "CREATE INDEX IF NOT EXISTS job_due ON job (priority, run_at) WHERE state IN ('waiting', 'running')",
    protecting("job"),
    protecting("job_turn"),
]

_INSERT = text(
    """INSERT INTO job (org_id, kind, payload, dedupe_key, priority, run_at, traceparent)
       VALUES (:org_id, :kind, CAST(:payload AS jsonb), :dedupe_key, :priority,
               coalesce(CAST(:run_at AS timestamptz), clock_timestamp()), :traceparent)
       ON CONFLICT (org_id, kind, dedupe_key) WHERE dedupe_key IS NOT NULL AND state IN ('waiting', 'running')
       DO UPDATE SET again = job.state = 'running', priority = least(job.priority, excluded.priority),
           run_at = CASE job.state WHEN 'running' THEN excluded.run_at ELSE least(job.run_at, excluded.run_at) END"""
)


# Of several failed jobs with one dedupe key the newest goes on, and none while another lives.
_REDRIVE = text(
    """UPDATE job SET state = 'waiting', attempt = 0, run_at = clock_timestamp()
       WHERE id IN (SELECT max(f.id) FROM job f
           WHERE f.state = 'failed' AND (CAST(:key AS text) IS NULL OR :key IN (f.kind, f.dedupe_key))
             AND NOT EXISTS (SELECT FROM job l WHERE (l.org_id, l.kind, l.dedupe_key) = (f.org_id, f.kind, f.dedupe_key)
                             AND l.state IN ('waiting', 'running'))
           GROUP BY f.org_id, f.kind, coalesce(f.dedupe_key, f.id::text))"""
)


async def write(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Queue the rows that ``JobQueue`` collected."""
    if rows:
        await session.execute(_INSERT, rows)


async def redrive(session: AsyncSession, key: str | None = None) -> int:
    """Make failed jobs due again, with all their tries: all, or those of a kind or with a dedupe key."""
    result = await session.execute(_REDRIVE, {"key": key})
    return int(getattr(result, "rowcount", 0))


class JobQueue:
    """Collects the jobs of one unit of work; they exist exactly when its transaction commits."""

    def __init__(self, org_id: str | None) -> None:
        self._org_id = org_id
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        org_id: str | None = None,
        dedupe_key: str | None = None,
        priority: Priority = "fresh",
        run_at: datetime | None = None,
    ) -> None:
        """Queue a job. While one with the same kind and ``dedupe_key`` waits, this makes it earlier or more urgent.

        One that runs may have read too early what this is about, so it is done once more afterwards.
        """
        owner = org_id or self._org_id
        if owner is None:
            raise ValueError("A job belongs to an organisation: give org_id outside a unit of work of one.")
        carrier: dict[str, str] = {}
        inject(carrier)
        self.rows.append(
            {
                "org_id": owner,
                "kind": kind,
                "payload": json.dumps(payload),
                "dedupe_key": dedupe_key,
                "priority": PRIORITIES[priority],
                "run_at": run_at,
                "traceparent": carrier.get("traceparent"),
            }
        )
