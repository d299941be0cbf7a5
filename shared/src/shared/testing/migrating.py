"""A database as it was before later migrations, for tests of what these make of what is there."""

import importlib
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine


async def back_to(revision: str, package: str, owner_url: str) -> None:
    """Undo the service's migrations after ``revision``, newest first; ``migrate`` does them again."""
    engine = create_async_engine(owner_url)
    async with engine.begin() as connection:
        await connection.run_sync(_downgrade, package, revision)
    await engine.dispose()


def _downgrade(connection: Connection, package: str, revision: str) -> None:
    config = Config()
    folder = Path(str(importlib.import_module(package).__file__)).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    steps = {"fn": lambda now, _context: script._downgrade_revs(revision, now)}  # noqa: SLF001 - as its env.py does
    context = MigrationContext.configure(connection, opts=steps)
    with Operations.context(context):
        context.run_migrations()
