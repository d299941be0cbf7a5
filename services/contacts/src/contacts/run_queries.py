"""SQL of carrying out a plan and of undoing it, a chunk at a time."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts.queries import in_columns
from contacts.row_queries import ends, of_run
from contacts.tables import ImportRun
from shared.database.values import as_json

_RUN = "r.org_id = :org_id AND r.run_id = :run_id"
_DUE = text(
    f"""SELECT r.source_id, r.action, r.change_key, r.record AS read, r.reading, r.contact_id,
               EXISTS (SELECT FROM source_record s WHERE s.org_id = r.org_id AND s.id = r.source_id
                       AND s.dropped_at IS NOT NULL) AS dropped
        FROM import_row r WHERE {_RUN} AND r.outcome IS NULL AND r.action = ANY(:actions) AND r.source_id > :after
        ORDER BY r.source_id LIMIT :n"""
)
# A UUIDv7 (RFC 9562) but for the fraction of its millisecond, so that new ids are written at the end of their index.
_NEW_ID = """substr(m.t, 1, 8) || '-' || substr(m.t, 9) || '-7' || substr(gen_random_uuid()::text, 16)"""
_NOW_MS = "lpad(to_hex(CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)), 12, '0')"
_SOURCE = "graph_id, folder_id, change_key, digest, payload, contact_id"
_AGAIN = """folder_id = excluded.folder_id, digest = excluded.digest, change_key = excluded.change_key,
    payload = excluded.payload, contact_id = excluded.contact_id, read_at = clock_timestamp(), removed_at = NULL"""
# The record is the journal. The version before fails at this one in its place, and leaves the undo to this version.
_CREATE = text(
    f"""WITH due AS MATERIALIZED (
            SELECT r.ctid AS place, r.source_id, r.graph_id, r.folder_id, r.change_key, r.digest, r.name, r.sort_name,
                r.record, r.payload, r.emails, r.phones, r.words, {_NEW_ID} AS contact_id,
                (SELECT to_jsonb(s) FROM source_record s WHERE s.org_id = r.org_id AND s.id = r.source_id) AS prior
            FROM import_row r CROSS JOIN (SELECT {_NOW_MS} AS t) m
            WHERE {_RUN} AND r.outcome IS NULL AND r.action = 'new' AND r.record IS NOT NULL AND r.source_id > :after
            ORDER BY r.source_id LIMIT :n),
        made AS (INSERT INTO contact (org_id, id, user_id, shared, record, name, sort_name, company, job_title, emails,
                phones, words)
            SELECT :org_id, contact_id, :user_id, :share, record, name, sort_name,
                left(coalesce(record #>> '{{fields,company,value}}', ''), 255),
                left(coalesce(record #>> '{{fields,job_title,value}}', ''), 255), emails, phones, words
            FROM due ORDER BY contact_id),
        stored AS (INSERT INTO source_record (org_id, id, user_id, account, {_SOURCE}, why)
            SELECT :org_id, source_id, :user_id, :account, {_SOURCE}, 'imported' FROM due WHERE prior IS NULL),
        again AS (INSERT INTO source_record (org_id, id, user_id, account, {_SOURCE}, why)
            SELECT :org_id, source_id, :user_id, :account, {_SOURCE}, 'imported' FROM due WHERE prior IS NOT NULL
            ON CONFLICT (org_id, id) DO UPDATE SET {_AGAIN}),
        done AS (UPDATE import_row r SET outcome = 'done', contact_id = due.contact_id, created = true,
                journal = '{{}}', prior = due.prior, payload = NULL FROM due
            WHERE r.ctid = due.place AND {_RUN} RETURNING r.source_id)
       SELECT count(*) AS n, max(source_id) AS last FROM done"""
)
_UNFINISHED = text(
    f"""SELECT r.source_id, r.reading FROM import_row r
        WHERE {_RUN} AND r.outcome IS NULL AND r.action = 'new' AND r.record IS NULL ORDER BY r.source_id LIMIT :n"""
)
_FINISH = text(
    f"""UPDATE import_row r SET record = g.record, reading = NULL, words = g.words,
            phones = ARRAY(SELECT jsonb_array_elements_text(g.phones))
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS g(source_id text, record jsonb, words text, phones jsonb)
        WHERE {_RUN} AND r.source_id BETWEEN :first AND :last AND r.source_id = g.source_id"""
)
# All parts see the rows as they were before the statement: ``prior`` is the source record that it replaces.
_CARRIED = text(
    f"""WITH given AS (SELECT * FROM unnest(CAST(:source_id AS text[]), CAST(:contact_id AS text[]),
                CAST(:outcome AS text[]), CAST(:journal AS text[]), CAST(:store AS boolean[]),
                CAST(:removed AS boolean[])) AS g(source_id, contact_id, outcome, journal, store, removed)),
            stored AS (INSERT INTO source_record (org_id, id, user_id, account, graph_id, folder_id, change_key, digest,
                    payload, contact_id, why)
                SELECT r.org_id, r.source_id, r.user_id, :account, r.graph_id, r.folder_id, r.change_key, r.digest,
                    r.payload, g.contact_id, coalesce(r.why, 'imported')
                FROM import_row r JOIN given g ON g.source_id = r.source_id AND g.store
                WHERE {_RUN} AND r.source_id BETWEEN :first AND :last ORDER BY r.source_id
                ON CONFLICT (org_id, id) DO UPDATE SET {_AGAIN}),
            gone AS (UPDATE source_record s SET removed_at = clock_timestamp() FROM given g
                WHERE s.org_id = :org_id AND s.id BETWEEN :first AND :last AND s.id = g.source_id AND g.removed)
       UPDATE import_row r SET outcome = g.outcome, contact_id = g.contact_id, journal = CAST(g.journal AS jsonb),
           prior = to_jsonb(s), payload = NULL, reading = NULL, record = NULL, phones = NULL, words = NULL
       FROM given g LEFT JOIN LATERAL (SELECT * FROM source_record s WHERE s.org_id = :org_id AND s.id = g.source_id
                OFFSET 0) s ON true
       WHERE {_RUN} AND r.source_id BETWEEN :first AND :last AND r.source_id = g.source_id"""
)
_REFRESH = text(
    f"""INSERT INTO source_record (org_id, id, user_id, account, graph_id, folder_id, change_key, digest, payload,
            contact_id, why)
        SELECT r.org_id, r.source_id, r.user_id, :account, r.graph_id, r.folder_id, r.change_key, r.digest,
            coalesce(r.payload, s.payload), s.contact_id, s.why
        FROM import_row r CROSS JOIN LATERAL (SELECT s.payload, s.contact_id, s.why FROM source_record s
            WHERE s.org_id = r.org_id AND s.id = r.source_id AND s.dropped_at IS NULL
                AND ((s.folder_id, s.change_key, s.digest) IS DISTINCT FROM (r.folder_id, r.change_key, r.digest)
                     OR s.removed_at IS NOT NULL) OFFSET 0) s
        WHERE {_RUN} AND r.action = 'same' ORDER BY r.source_id
        ON CONFLICT (org_id, id) DO UPDATE SET folder_id = excluded.folder_id, change_key = excluded.change_key,
            digest = excluded.digest, payload = excluded.payload, removed_at = NULL"""
)
_CLEAR = text(
    f"""UPDATE import_row r SET payload = NULL, reading = NULL, record = NULL, phones = NULL, words = NULL
        WHERE {_RUN} AND NOT created AND num_nonnulls(payload, reading, record) > 0"""
)
_LIVE_OTHERS = text(
    """SELECT DISTINCT contact_id FROM source_record WHERE org_id = :org_id AND contact_id = ANY(:ids)
           AND removed_at IS NULL AND NOT id = ANY(:but)"""
)
_TO_UNDO = text(
    f"""SELECT r.source_id, r.created, r.contact_id, r.record, r.journal, r.prior FROM import_row r
        WHERE {_RUN} AND r.outcome = 'done' AND r.undone IS NULL ORDER BY r.source_id LIMIT :n"""
)
_UNDONE = text(
    f"""UPDATE import_row r SET undone = g.undone, undone_why = g.why
        FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS g(source_id text, undone text, why text)
        WHERE {_RUN} AND r.source_id BETWEEN :first AND :last AND r.source_id = g.source_id"""
)
_FORGET_SOURCES = text("DELETE FROM source_record WHERE org_id = :org_id AND id = ANY(:ids)")
_PUT_BACK = text(
    """INSERT INTO source_record SELECT (jsonb_populate_record(NULL::source_record, prior)).*
       FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS prior
       ON CONFLICT (org_id, id) DO UPDATE SET folder_id = excluded.folder_id, change_key = excluded.change_key,
           digest = excluded.digest, payload = excluded.payload, contact_id = excluded.contact_id, why = excluded.why,
           removed_at = excluded.removed_at"""
)
_ROWS = f"""SELECT source_id, action, outcome, name, sort_name, code, field, sentence, contact_id, why, changed, undone,
        undone_why, folder_id FROM import_row r WHERE {_RUN}"""
_PAGE = text(
    _ROWS
    + """ AND (CAST(:action AS text) IS NULL OR action = :action)
        AND (CAST(:name AS text) IS NULL OR (sort_name, source_id) > (:name, :after))
        ORDER BY sort_name, source_id LIMIT :n"""
)
_PROBLEMS = text(
    _ROWS
    + """ AND (action IN ('invalid', 'skipped', 'conflict') OR code IS NOT NULL OR outcome = 'kept'
              OR undone IN ('kept', 'failed'))
        AND (sort_name, source_id) > (:name, :after) ORDER BY sort_name, source_id LIMIT :n"""
)


async def due(session: AsyncSession, run: ImportRun, actions: Sequence[str], after: str, n: int) -> list[Any]:
    """Rows of the plan that are still to be carried out, behind the row ``after``."""
    return list(await session.execute(_DUE, {**of_run(run), "actions": list(actions), "after": after, "n": n}))


async def create(session: AsyncSession, run: ImportRun, after: str, n: int) -> Any:
    """Make the contacts of new rows behind the row ``after``: how many (``n``), and the ``last`` row."""
    return (await session.execute(_CREATE, {**of_run(run), "after": after, "n": n})).one()


async def unfinished(session: AsyncSession, run: ImportRun, n: int) -> list[Any]:
    """Rows that the version before read, whose contact is not made yet: ``source_id`` and ``reading``."""
    return list(await session.execute(_UNFINISHED, {**of_run(run), "n": n}))


async def finish(session: AsyncSession, run: ImportRun, rows: list[dict[str, Any]]) -> None:
    """Give such rows what they have since: ``record``, ``phones`` and ``words``."""
    if rows:
        between = ends([row["source_id"] for row in rows])
        await session.execute(_FINISH, {**of_run(run), **between, "rows": as_json(rows)})


async def carried(session: AsyncSession, run: ImportRun, rows: list[dict[str, Any]]) -> None:
    """What was done with rows: the source records with it, and the journal that an undo reads."""
    given = in_columns(rows, "source_id", "contact_id", "outcome", "store", "removed")
    given["journal"] = [None if row["journal"] is None else as_json(row["journal"]) for row in rows]
    await session.execute(_CARRIED, of_run(run) | given | ends(given["source_id"]))


async def refresh_same(session: AsyncSession, run: ImportRun) -> None:
    """Sources of which only the change key or the folder is another; none in a round without changes."""
    await session.execute(_REFRESH, of_run(run))
    await session.execute(_CLEAR, of_run(run))


async def with_other_sources(session: AsyncSession, org_id: str, ids: Sequence[str], but: Sequence[str]) -> set[str]:
    """Which of these contacts are still in somebody's Outlook by a source that is not one of ``but``."""
    values = {"org_id": org_id, "ids": list(ids), "but": list(but)}
    return set((await session.execute(_LIVE_OTHERS, values)).scalars())


async def to_undo(session: AsyncSession, run: ImportRun, n: int) -> list[Any]:
    """Rows that were carried out and not undone."""
    return list(await session.execute(_TO_UNDO, {**of_run(run), "n": n}))


async def undone(session: AsyncSession, run: ImportRun, rows: list[dict[str, Any]]) -> None:
    between = ends([row["source_id"] for row in rows])
    await session.execute(_UNDONE, {**of_run(run), **between, "rows": as_json(rows)})


async def forget_sources(session: AsyncSession, org_id: str, ids: Sequence[str]) -> None:
    """As if they had never been imported."""
    await session.execute(_FORGET_SOURCES, {"org_id": org_id, "ids": list(ids)})


async def put_back(session: AsyncSession, priors: list[Any]) -> None:
    """Source records as they were before the run."""
    if priors:
        await session.execute(_PUT_BACK, {"rows": as_json(priors)})


async def page(
    session: AsyncSession, run: ImportRun, *, action: str | None, after: list[str] | None, n: int
) -> list[Any]:
    """Rows of the plan by name."""
    name, last = after or (None, "")
    return list(await session.execute(_PAGE, {**of_run(run), "action": action, "name": name, "after": last, "n": n}))


async def problems(session: AsyncSession, run: ImportRun, after: list[str], n: int) -> list[Any]:
    """Rows that were not imported, or not as they stand."""
    name, last = after
    return list(await session.execute(_PROBLEMS, {**of_run(run), "name": name, "after": last, "n": n}))
