"""Every service's migrations can be undone, and done again, with the same outcome."""

import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from shared.hosting.migrate import migrate
from shared.problems import ConfigurationError
from shared.testing.databases import connect
from shared.testing.migrating import back_to

from .conftest import Hosted

_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2"""
_CHECKS = """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""
_LONG = {"varchar": "text", "text[]": "ARRAY"}
"""PostgreSQL has one type for both, and its catalogue one word for every array."""


async def shape(owner_url: str) -> list[tuple[Any, ...]]:
    owner = await connect(owner_url)
    rows = [tuple(row) for query in (_COLUMNS, _CHECKS) for row in await owner.fetch(query)]
    await owner.close()
    return rows


async def test_migrations_are_undone_and_done_again(hosted: Hosted) -> None:
    settings, package = hosted.service.settings, hosted.service.package
    before = await shape(settings.migration_database_url)
    await back_to("0001", package, settings.migration_database_url)
    await migrate(package, settings)
    assert await shape(settings.migration_database_url) == before


@pytest.mark.parametrize(("revision", "refused"), [("9999", False), ("0000", True), ("abcd", True)])
async def test_an_older_version_leaves_a_newer_ones_database_as_it_is(
    hosted: Hosted, revision: str, refused: bool
) -> None:
    """After a rollback the older version is installed anew, with other values for instance."""
    settings, package = hosted.service.settings, hosted.service.package
    owner = await connect(settings.migration_database_url)
    (known,) = await owner.fetchrow("SELECT version_num FROM alembic_version")
    await owner.execute("UPDATE alembic_version SET version_num = $1", revision)
    before = await shape(settings.migration_database_url)
    with pytest.raises(ConfigurationError, match="another service") if refused else nullcontext():
        await migrate(package, settings)
    assert await owner.fetchval("SELECT version_num FROM alembic_version") == revision
    assert await shape(settings.migration_database_url) == before
    await owner.execute("UPDATE alembic_version SET version_num = $1", known)
    await owner.close()


_RENAMED = {
    "meetings": (
        "0002",
        """INSERT INTO meeting (org_id, id, user_id, organizer_name, organizer_oid, subject, starts_at, ends_at,
                                attendees, status, version, auto_recording, problem)
           VALUES ('acme', 'm', 'anna', '', '', '', now(), now(), '[]', 'scheduling', 1, false,
                   '{"code": "connection_required", "detail": "Connect."}')""",
        "SELECT array[problem ->> 'code', problem ->> 'detail'] FROM meeting",
        ["account_not_connected", "Connect."],
    ),
    "recording-ingest": (
        "0002",
        """WITH meeting AS (
               INSERT INTO ledger_meeting (org_id, meeting_id, subject, auto_recording, status, meeting_version,
                                           revision, version, absences)
               VALUES ('acme', 'm', '', true, 'ended', 1, 1, 1, '{"recording": {"code": "connection_broken"}}')
               RETURNING org_id, meeting_id)
           INSERT INTO artefact (org_id, id, meeting_id, kind, graph_id, created_at, status, code)
           SELECT org_id, 'a', meeting_id, 'transcript', 'g', now(), 'paused', 'auto_recording_switched_off'
           FROM meeting""",
        "SELECT array[absences -> 'recording' ->> 'code', code] FROM ledger_meeting JOIN artefact USING (org_id)",
        ["account_not_connected", "feature_off"],
    ),
    "user-auth": (
        "0006",
        """INSERT INTO connection (org_id, user_id, status, version, problem, notices)
           VALUES ('acme', 'anna', 'expired', 1, '{"code": "admin_must_act", "detail": "Ask."}', '[]')""",
        "SELECT array[problem ->> 'code', problem ->> 'detail'] FROM connection",
        ["admin_required", "Ask."],
    ),
}
"""Service → revision, a row as it was then, what is read of it now, and what that is."""


@pytest.mark.parametrize("hosted", _RENAMED, indirect=True)
async def test_rows_with_a_former_code_say_the_new_one(hosted: Hosted) -> None:
    """The owner of the tables is bound by row-level security as well."""
    revision, insert, read, expected = _RENAMED[hosted.service.name]
    settings, package = hosted.service.settings, hosted.service.package
    await back_to(revision, package, settings.migration_database_url)
    owner = await connect(settings.migration_database_url)
    await owner.execute("SELECT set_config('app.scope', 'system', false)")
    await owner.execute(insert)
    await migrate(package, settings)
    assert await owner.fetchval(read) == expected
    await owner.close()


_TYPES = """SELECT table_name || '.' || column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'public'"""


def bound(package: str) -> dict[str, str]:
    """The type by which PostgreSQL is sent each column of the service's mapped classes."""
    folder, found = Path(str(importlib.import_module(package).__file__)).parent, {}
    for module in (importlib.import_module(f"{package}.{path.stem}") for path in folder.glob("*tables.py")):
        for table in (getattr(mapped, "__table__", None) for mapped in vars(module).values()):
            for column in table.columns if isinstance(table, Table) else ():
                found[f"{column.table.name}.{column.name}"] = column.type.compile(postgresql.dialect()).lower()
    return found


async def test_a_value_is_bound_as_what_its_column_holds(hosted: Hosted) -> None:
    """A bigint that is bound as an integer ends at 2^31."""
    owner = await connect(hosted.service.settings.migration_database_url)
    kept = dict(await owner.fetch(_TYPES))
    await owner.close()
    said = {name: _LONG.get(kind, kind) for name, kind in bound(hosted.service.package).items()}
    assert said == {name: kept[name] for name in said}
