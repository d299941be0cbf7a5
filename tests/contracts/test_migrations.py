"""Every service's migrations can be undone, and done again, with the same outcome."""

import importlib
from pathlib import Path
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from shared.migrate import migrate
from shared.testing.databases import connect
from shared.testing.migrating import back_to

from .conftest import Hosted

_COLUMNS = """SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2"""
_CHECKS = """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"""
_LONG = {"varchar": "text"}
"""PostgreSQL has one type for both."""


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
