"""Every service's migrations can be undone, and done again, with the same outcome."""

from typing import Any

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
