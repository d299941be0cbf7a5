"""SQL of plan rows and source records, a page or a chunk at a time.

PostgreSQL's planner takes the rows of a run that was read just now for one row, and would join them by a nested loop
that reads the run once for each row. So no statement joins a whole run: it says between which keys (``ends``), looks
one key up in a subquery of its own (a scalar one, or ``LATERAL … OFFSET 0``), or asks ``IN`` a hashed set.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts.queries import in_columns
from contacts.tables import ImportRun
from shared.database.values import as_json

_RUN = "r.org_id = :org_id AND r.run_id = :run_id"
_KNOWN = text(
    """SELECT id, digest, contact_id IS NOT NULL AND removed_at IS NULL AND dropped_at IS NULL AS alive, folder_id
       FROM source_record WHERE org_id = :org_id AND id = ANY(:ids)"""
)
_READ = (
    *("source_id", "graph_id", "folder_id", "status", "change_key", "digest", "name", "sort_name", "words"),
    *("code", "field", "sentence", "action", "record", "payload", "emails", "phones"),
)
_AS_STORED = {name: f"CAST(g.{name} AS jsonb)" for name in ("record", "payload")}
_AS_STORED |= {name: f"string_to_array(g.{name}, E'\\n')" for name in ("emails", "phones")}
_PUT = text(
    f"""INSERT INTO import_row (org_id, run_id, user_id, {", ".join(_READ)})
       SELECT :org_id, :run_id, :user_id, {", ".join(_AS_STORED.get(name, f"g.{name}") for name in _READ)}
       FROM unnest({", ".join(f"CAST(:{name} AS text[])" for name in _READ)}) AS g({", ".join(_READ)})
       ORDER BY g.source_id"""
)
_TAKE_OUT = text("DELETE FROM import_row AS r WHERE " + _RUN + " AND r.source_id = ANY(:ids)")
_FORGET_FOLDER = text("DELETE FROM import_row AS r WHERE " + _RUN + " AND r.folder_id = :folder_id")
_LEFT = """INSERT INTO import_row (org_id, run_id, user_id, source_id, graph_id, folder_id, status, name, sort_name)
       SELECT s.org_id, :run_id, s.user_id, s.id, s.graph_id, s.folder_id, 'left', coalesce(c.name, ''),
              coalesce(c.sort_name, '')
       FROM source_record s LEFT JOIN contact c ON c.org_id = s.org_id AND c.id = s.contact_id
       WHERE s.org_id = :org_id AND s.user_id = :user_id AND s.account = :account AND s.folder_id = :folder_id
           AND s.removed_at IS NULL AND s.dropped_at IS NULL AND {which}
       ORDER BY s.id ON CONFLICT (org_id, run_id, source_id) DO NOTHING"""
_LEFT_NAMED = text(_LEFT.format(which="s.id = ANY(:ids)"))
_NAMED = "(SELECT r.source_id FROM import_row r WHERE " + _RUN + ")"
_GONE_ONES = "(SELECT r.source_id FROM import_row r WHERE " + _RUN + " AND r.status = 'gone')"
_LEFT_UNNAMED = text(_LEFT.format(which="s.id NOT IN " + _NAMED))
_TO_VERIFY = text(
    "SELECT source_id, graph_id FROM import_row AS r WHERE " + _RUN + " AND status = 'left' ORDER BY source_id LIMIT :n"
)
_GONE = text("UPDATE import_row AS r SET status = 'gone' WHERE " + _RUN + " AND source_id = ANY(:ids)")
# A row that was read is new until something else is decided of it, so that a first import writes no decisions.
_AS_READ = "CASE WHEN r.status = 'valid' THEN 'new' END"
_ANEW = text(
    f"""UPDATE import_row AS r SET action = {_AS_READ}, contact_id = NULL, why = NULL, changed = NULL
        WHERE {_RUN} AND outcome IS NULL AND (num_nonnulls(record, reading) > 0 OR status = 'gone')
            AND (action IS DISTINCT FROM {_AS_READ} OR num_nonnulls(contact_id, why, changed) > 0)"""
)
_SETTLE = text(
    f"""UPDATE import_row AS r SET
           contact_id = (SELECT s.contact_id FROM source_record s WHERE s.org_id = r.org_id AND s.id = r.source_id),
           action = CASE WHEN r.status IN ('invalid', 'skipped') THEN r.status
                         WHEN r.status = 'gone' THEN 'removed' ELSE 'skipped' END
       WHERE {_RUN} AND (r.action IS NULL OR (r.action = 'new' AND r.source_id IN (
           SELECT s.id FROM source_record s WHERE s.org_id = :org_id AND s.user_id = :user_id
               AND s.account = :account AND s.dropped_at IS NOT NULL)))"""
)
_TO_MERGE = text(
    f"""SELECT r.source_id, r.change_key, r.record AS read, r.reading, s.contact_id, s.record, s.was_removed
       FROM import_row r CROSS JOIN LATERAL (
            SELECT c.id AS contact_id, c.record, s.removed_at IS NOT NULL AS was_removed
            FROM source_record s JOIN contact c ON c.org_id = s.org_id AND c.id = s.contact_id
            WHERE s.org_id = r.org_id AND s.id = r.source_id OFFSET 0) s
       WHERE {_RUN} AND r.action = 'new' AND r.source_id > :after ORDER BY r.source_id LIMIT :n"""
)
_SCOPE = "(c.user_id = :user_id OR (:share AND c.shared))"
_PRESENT = text(
    f"""SELECT c.id, c.record,
           EXISTS (SELECT FROM source_record s WHERE s.org_id = c.org_id AND s.contact_id = c.id
                   AND s.user_id = :user_id AND s.account = :account AND s.removed_at IS NULL
                   AND s.id NOT IN {_GONE_ONES}) AS taken
        FROM contact c
        WHERE c.org_id = :org_id AND {_SCOPE} AND c.emails && ARRAY(
            SELECT DISTINCT unnest(r.emails) FROM import_row r WHERE {_RUN} AND r.action = 'new')"""
)
_SHARING_AN_ADDRESS = text(
    f"""SELECT r.source_id, r.change_key, r.record AS read, r.reading, r.action = 'new' AS open FROM import_row r
        WHERE {_RUN} AND r.emails && CAST(:emails AS text[]) AND num_nonnulls(r.record, r.reading) > 0
            AND r.status = 'valid'"""
)
_DECIDE = text(
    """UPDATE import_row AS r SET action = g.action, contact_id = g.contact_id, why = g.why,
           changed = ARRAY(SELECT jsonb_array_elements_text(g.changed))
       FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS g(source_id text, action text, contact_id text, why text,
           changed jsonb)
       WHERE """
    + _RUN
    + " AND r.source_id BETWEEN :first AND :last AND r.source_id = g.source_id"
)
_APART = text("SELECT one, other FROM not_same WHERE org_id = :org_id AND (user_id = :user_id OR :share)")
_COUNT = text("SELECT action, count(*) AS n FROM import_row AS r WHERE " + _RUN + " GROUP BY action")
_HELD = """FROM source_record s WHERE org_id = :org_id AND user_id = :user_id AND account = :account
           AND folder_id = ANY(:folder_ids) AND removed_at IS NULL AND dropped_at IS NULL"""
_UNNAMED = text(f"SELECT count(*) {_HELD} AND s.id NOT IN {_NAMED}")
_ALIVE = text(
    f"""SELECT folder_id, count(*) AS n, count(*) FILTER (WHERE s.id IN {_GONE_ONES}) AS gone
        {_HELD} GROUP BY folder_id"""
)


def of_run(run: ImportRun) -> dict[str, Any]:
    """The values that say which run, of whom."""
    return {
        "org_id": run.org_id,
        "run_id": run.id,
        "user_id": run.user_id,
        "account": run.account,
        "share": run.share,
    }


def ends(keys: Sequence[str]) -> dict[str, str]:
    """The first and the last key of a chunk; keys are hex digits, which every collation orders alike."""
    return {"first": min(keys), "last": max(keys)}


async def known(session: AsyncSession, org_id: str, ids: Sequence[str]) -> dict[str, Any]:
    """Source records by id: ``digest``, ``folder_id``, and whether it is ``alive`` (in Outlook and in Prospo)."""
    return {row.id: row for row in await session.execute(_KNOWN, {"org_id": org_id, "ids": list(ids)})}


async def put(session: AsyncSession, run: ImportRun, rows: list[dict[str, Any]]) -> None:
    """Rows of the plan as they were read, ``record`` and ``payload`` as JSON; of one source the last counts."""
    if rows:
        last = {row["source_id"]: row for row in rows}
        await session.execute(_TAKE_OUT, {**of_run(run), "ids": list(last)})
        await session.execute(_PUT, of_run(run) | in_columns(list(last.values()), *_READ))


async def forget_folder(session: AsyncSession, run: ImportRun, folder_id: str) -> None:
    """A round over the folder begins anew."""
    await session.execute(_FORGET_FOLDER, {**of_run(run), "folder_id": folder_id})


async def put_left(session: AsyncSession, run: ImportRun, folder_id: str, ids: Sequence[str] | None) -> None:
    """Sources that left the folder: those of ``ids``, or (None) whatever the round did not name."""
    values = {**of_run(run), "folder_id": folder_id}
    if ids is None:
        await session.execute(_LEFT_UNNAMED, values)
    elif ids:
        await session.execute(_LEFT_NAMED, values | {"ids": list(ids)})


async def to_verify(session: AsyncSession, run: ImportRun, n: int) -> list[Any]:
    """Sources that left their folder and of which nobody knows yet where they are."""
    return list(await session.execute(_TO_VERIFY, {**of_run(run), "n": n}))


async def gone(session: AsyncSession, run: ImportRun, ids: Sequence[str]) -> None:
    await session.execute(_GONE, {**of_run(run), "ids": list(ids)})


async def plan_anew(session: AsyncSession, run: ImportRun) -> None:
    """Forget what was decided of the rows; what was read stays."""
    await session.execute(_ANEW, of_run(run))


async def settle(session: AsyncSession, run: ImportRun) -> None:
    """Decide the rows that need no look at a contact."""
    await session.execute(_SETTLE, of_run(run))


async def to_merge(session: AsyncSession, run: ImportRun, after: str, n: int) -> list[Any]:
    """Rows that are new so far and whose source belongs to a contact, with its record."""
    return list(await session.execute(_TO_MERGE, {**of_run(run), "after": after, "n": n}))


async def present(session: AsyncSession, run: ImportRun) -> list[Any]:
    """Contacts that have an address of a row that is new so far: ``id``, ``record``, and whether another source of
    the same account has it already (``taken``)."""
    return list(await session.execute(_PRESENT, of_run(run)))


async def sharing_an_address(session: AsyncSession, run: ImportRun, emails: Sequence[str]) -> list[Any]:
    """Rows with one of these addresses: ``source_id``, what was ``read``, and whether it is new so far (``open``)."""
    return list(await session.execute(_SHARING_AN_ADDRESS, {**of_run(run), "emails": list(emails)}))


async def decide(session: AsyncSession, run: ImportRun, rows: list[dict[str, Any]]) -> None:
    if rows:
        between = ends([row["source_id"] for row in rows])
        await session.execute(_DECIDE, {**of_run(run), **between, "rows": as_json(rows)})


async def counts(session: AsyncSession, run: ImportRun) -> dict[str, int]:
    """Action → rows. What is in the chosen folders and was not named, because nothing changed, is the same too."""
    found = {row.action: int(row.n) for row in await session.execute(_COUNT, of_run(run))}
    ids = [folder["id"] for folder in run.folders]
    unnamed = (await session.execute(_UNNAMED, {**of_run(run), "folder_ids": ids})).scalar_one()
    return found | ({"same": found.get("same", 0) + unnamed} if unnamed else {})


async def alive(session: AsyncSession, run: ImportRun) -> list[Any]:
    """Count for each chosen folder the sources that it had before this run (``n``) and those of them ``gone`` since."""
    ids = [folder["id"] for folder in run.folders]
    return list(await session.execute(_ALIVE, {**of_run(run), "folder_ids": ids}))


async def apart(session: AsyncSession, run: ImportRun) -> set[tuple[str, str]]:
    """Pairs of which the person, or for shared contacts anybody, said that they are not the same person."""
    return {(row.one, row.other) for row in await session.execute(_APART, of_run(run))}
