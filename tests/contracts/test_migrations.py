"""Every service's migrations can be undone, and done again, with the same outcome."""

from typing import Any

import pytest

from shared.migrate import migrate
from shared.testing.databases import connect
from shared.testing.migrating import back_to

from .conftest import Hosted

_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2"""
_CHECKS = """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""


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
