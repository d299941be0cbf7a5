"""Finding due jobs, in constant time at any backlog.

A look marks the jobs whose time has come (``due_as``) and puts their organisations into the line of their priority
(``job_turn``). A claim takes the first jobs of the organisations at the front of each line. Both read by index and a
bounded number of rows, so neither 100,000 due jobs nor 50,000 for later make them slower. Only workers write the marks
and the lines: whoever queues a job takes no lock for it.

Fairness: the three priorities one after the other; within one, the organisation with the fewest running jobs first,
then the one served least recently. An organisation keeps its place in a line until it comes to the front without a due
job, so one that queues its jobs singly is not served before the others each time.
"""

from typing import Any, NamedTuple

from sqlalchemy import text

from shared.database.unit_of_work import Database
from shared.jobs.registry import Jobs

LEASE_S = 60
STEP = 1000
"""How many jobs of a kind one statement marks as due."""
BUSY_S = 0.05
"""Seconds between two claims while other workers hold the jobs that are due."""
LEFT_S = 0.5
"""Seconds to the next claim after one that took all that was due. What another worker had locked meanwhile, and does
not take, is claimed then."""

# Times are of the statement's start: a condition on clock_timestamp() cannot be answered by an index.
LOOK = text(
    """WITH kinds AS (SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:attempts AS int[])) AS k(kind, attempts)),
            lost AS (SELECT job.id, job.attempt >= kinds.attempts AS dead FROM job JOIN kinds USING (kind)
                     WHERE job.state = 'running' AND job.lease_until <= statement_timestamp()
                     ORDER BY job.lease_until LIMIT :step FOR UPDATE OF job SKIP LOCKED),
            come AS (SELECT job.id, false AS dead FROM kinds CROSS JOIN LATERAL
                        (SELECT id FROM job WHERE job.kind = kinds.kind AND state = 'waiting'
                           AND due_as IS DISTINCT FROM priority AND run_at <= statement_timestamp()
                         ORDER BY run_at LIMIT :step FOR UPDATE SKIP LOCKED) AS job),
            overdue AS (SELECT * FROM lost UNION ALL SELECT * FROM come),
            marked AS (UPDATE job SET lease_until = NULL,
                           state = CASE WHEN overdue.dead THEN 'failed' ELSE 'waiting' END,
                           due_as = CASE WHEN overdue.dead THEN NULL ELSE job.priority END,
                           last_error = CASE WHEN overdue.dead
                               THEN 'The worker died in each of ' || job.attempt || ' attempts.' ELSE job.last_error END
                       FROM overdue WHERE job.id = overdue.id RETURNING job.org_id, job.due_as),
            lined AS (INSERT INTO job_turn (org_id, priority)
                      SELECT DISTINCT org_id, due_as FROM marked WHERE due_as IS NOT NULL ORDER BY org_id, due_as
                      ON CONFLICT (org_id, priority) DO UPDATE SET version = job_turn.version + 1 RETURNING true)
       SELECT (SELECT count(*) FROM marked) AS marked,
              EXISTS (SELECT FROM lined) OR EXISTS (SELECT FROM job_turn) AS lined,
              coalesce(extract(epoch FROM least(
                  (SELECT min(first.run_at) FROM kinds CROSS JOIN LATERAL
                      (SELECT run_at FROM job WHERE job.kind = kinds.kind AND state = 'waiting'
                         AND due_as IS DISTINCT FROM priority ORDER BY run_at LIMIT 1) AS first),
                  (SELECT lease_until FROM job WHERE state = 'running' AND kind = ANY(CAST(:kinds AS text[]))
                   ORDER BY lease_until LIMIT 1)
              ) - statement_timestamp()), 'infinity')::float8 AS next_s"""
)

# Reads the organisations at the front of each line: as many as there is room for, those that may give way because
# they have running jobs, and some that have no due job any more. These leave the line when they lead it, if nobody has
# marked a job of them since this statement began (``version``). What this worker cannot do loses its mark, so that it
# holds nothing up: another worker marks it again.
CLAIM = text(
    """WITH busy AS MATERIALIZED (SELECT org_id, count(*) AS running FROM job
                                  WHERE state = 'running' AND lease_until > statement_timestamp() GROUP BY org_id),
            line AS MATERIALIZED (SELECT front.*, coalesce(busy.running, 0) AS running
                     FROM generate_series(0, 2) AS level CROSS JOIN LATERAL
                        (SELECT org_id, priority, served_at, version FROM job_turn WHERE priority = level
                         ORDER BY served_at, org_id
                         LIMIT CAST(:room AS bigint) + 16 + (SELECT count(*) FROM busy)) AS front
                     LEFT JOIN busy USING (org_id)),
            found AS MATERIALIZED (SELECT line.*, job.id, job.run_at, job.ours, line.running + job.nth AS turn,
                             bool_and(job.id IS NULL) OVER (PARTITION BY priority ORDER BY served_at, line.org_id)
                                 AS leads_empty
                      FROM line LEFT JOIN LATERAL
                        (SELECT first.*, row_number() OVER (ORDER BY run_at, id) AS nth FROM
                           (SELECT id, run_at,
                                   kind = ANY(CAST(:kinds AS text[])) AND run_at <= statement_timestamp() AS ours
                            FROM job WHERE state = 'waiting' AND due_as = line.priority AND org_id = line.org_id
                            ORDER BY run_at, id LIMIT CAST(:room AS bigint)) AS first) AS job ON true),
            chosen AS (SELECT job.id, job.org_id FROM job JOIN found USING (id)
                       WHERE found.ours AND job.state = 'waiting'
                       ORDER BY found.priority, found.turn, found.served_at, found.run_at, job.id
                       LIMIT CAST(:room AS bigint) FOR UPDATE OF job SKIP LOCKED),
            others AS (SELECT job.id FROM job JOIN found USING (id) WHERE NOT found.ours AND job.state = 'waiting'
                       FOR UPDATE OF job SKIP LOCKED),
            unmarked AS (UPDATE job SET due_as = NULL FROM others WHERE job.id = others.id RETURNING job.id),
            turns AS (SELECT job_turn.org_id, job_turn.priority
                      FROM (SELECT DISTINCT org_id FROM chosen) AS one JOIN job_turn USING (org_id)
                      FOR UPDATE OF job_turn SKIP LOCKED),
            served AS (UPDATE job_turn SET served_at = clock_timestamp() FROM turns
                       WHERE (job_turn.org_id, job_turn.priority) = (turns.org_id, turns.priority)),
            empty AS (SELECT job_turn.org_id, job_turn.priority FROM job_turn JOIN found USING (org_id, priority)
                      WHERE found.leads_empty AND job_turn.version = found.version
                        AND org_id NOT IN (SELECT org_id FROM chosen) FOR UPDATE OF job_turn SKIP LOCKED),
            gone AS (DELETE FROM job_turn USING empty
                     WHERE (job_turn.org_id, job_turn.priority) = (empty.org_id, empty.priority) RETURNING true),
            claimed AS (UPDATE job SET state = 'running', due_as = NULL, attempt = attempt + 1, fence = fence + 1,
                            again = false, tried_since = coalesce(tried_since, clock_timestamp()),
                            lease_until = clock_timestamp() + make_interval(secs => :lease_s)
                        FROM chosen WHERE job.id = chosen.id
                        RETURNING job.kind, job.id, job.org_id, job.payload, job.checkpoint, job.attempt, job.fence,
                                  job.traceparent, job.priority,
                                  extract(epoch FROM clock_timestamp() - job.tried_since)::float8 AS tried_s,
                                  job.cause, job.fence > job.sure_to + 1 AS unsure)
       SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM unmarked) AS tidied, claimed.*
       FROM (SELECT) AS one LEFT JOIN claimed ON true"""
)


class Claimed(NamedTuple):
    """The jobs of a claim, and in how many seconds the next claim is due unless a wake comes first."""

    rows: list[Any]
    rest_s: float


class Claims:
    """The claims of one worker: of the kinds of jobs that it does."""

    def __init__(self, db: Database, registry: Jobs) -> None:
        self._db = db
        kinds = registry.kinds
        self._kinds = {"kinds": list(kinds), "attempts": [kind.attempts for kind in kinds.values()]}

    async def take(self, room: int) -> Claimed:
        """Lease up to ``room`` jobs; first everything due is marked, so that the choice is among all of it."""
        while True:
            (look,) = await self._db.at_once(LOOK, {**self._kinds, "step": STEP})
            if look.marked >= STEP:
                continue
            if not look.lined:
                return Claimed([], max(BUSY_S, look.next_s))
            values = {"kinds": self._kinds["kinds"], "room": room, "lease_s": LEASE_S}
            rows: list[Any] = await self._db.at_once(CLAIM, values)
            claimed = [row[1:] for row in rows if row.id is not None]
            if not claimed and rows[0].tidied:
                continue
            if not claimed:
                return Claimed([], BUSY_S)
            if len(claimed) == room or rows[0].tidied:
                return Claimed(claimed, 0.0)
            # All that was due is here, so no second claim runs beside the first job. A look that has marked jobs
            # tells of these, with a time that is past, and not of the next.
            return Claimed(claimed, min(LEFT_S, look.next_s) if look.next_s > 0 else LEFT_S)
