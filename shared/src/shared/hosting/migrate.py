"""Migrations: Alembic without files of its own per service, the engines' tables, and row-level security."""

import importlib
from pathlib import Path
from typing import Any

import structlog
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.database.row_security import protecting, rights, role_of
from shared.hosting.engine_security import database_security
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings
from shared.web import audit

ENGINES = [
    "shared.database.outbox",
    "shared.eventing.inbox",
    "shared.eventing.deadletters",
    "shared.database.queue",
    "shared.secrets",
    "shared.subscriptions.subscriptions",
    "shared.connections.state",
    "shared.web.limits",
]
log = structlog.get_logger(__name__)
_LOCK = 0x70726F73706F  # one migration at a time per database


def engine_ddl() -> list[str]:
    """The statements of every engine's tables, in an order that runs.

    Each may be run again: ``migrate`` runs them all every time, before the service's own migrations. So a later change
    of an engine's table is one more statement in its ``DDL`` (``ADD COLUMN IF NOT EXISTS``), not seven migrations.
    """
    return [statement for name in ENGINES for statement in importlib.import_module(name).DDL]


def protect(op: Any, table: str) -> None:
    """Protect a table: a transaction sees its organisation's rows only, the owner too. The service's login sees all."""
    op.execute(protecting(table))


async def migrate(package: str, settings: ServiceSettings) -> None:
    """Bring the service's database to the newest revision and give its two roles what they may.

    One transaction: a migration that fails half-way leaves the database as it was. A database that a newer version has
    migrated stays as it is, so that after a rollback the older one can be installed anew; migrations only add what it
    does not mind. Raises ``ConfigurationError`` with a sentence when the owner of the tables is not let in, when the
    database refuses a step, or is at a revision of no version.
    """
    url = settings.migration_database_url or settings.database_url
    engine = create_async_engine(url, connect_args=database_security(settings))
    try:
        await _let_in(engine)
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            for statement in engine_ddl():
                await connection.execute(text(statement))
            await connection.run_sync(move, package, "head")
            await connection.execute(text(audit.AFTER_MIGRATIONS.replace("{keep_days}", str(settings.audit_keep_days))))
            await _grant(connection, role_of(settings.database_url), role_of(settings.request_database_url))
    except DBAPIError as error:
        raise ConfigurationError(
            f"The database refused a step of the migration of {package}, and nothing was changed: "
            f"{str(error.orig).splitlines()[0]} Mend that in the database of PROSPO_MIGRATION_DATABASE_URL "
            "(in the chart: owner-uri in the Secret of secrets.database) and migrate again."
        ) from error
    finally:
        await engine.dispose()


async def _let_in(engine: AsyncEngine) -> None:
    try:
        async with engine.connect():
            return
    except (OSError, DBAPIError) as error:
        raise ConfigurationError(
            f"The database does not let the owner of its tables in ({type(error).__name__}). Check "
            "PROSPO_MIGRATION_DATABASE_URL (in the chart: owner-uri in the Secret of secrets.database)."
        ) from error


def move(connection: Connection, package: str, to: str, *, back: bool = False) -> None:
    """Do the service's migrations up to the revision ``to``, or undo those after it."""
    module = importlib.import_module(package)
    folder = Path(str(module.__file__)).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    if to == "head" and _is_of_a_newer_version(connection, script, package):
        return
    steps = script._downgrade_revs if back else script._upgrade_revs  # noqa: SLF001 - as its env.py does
    context = MigrationContext.configure(connection, opts={"fn": lambda now, _context: steps(to, now)})
    with Operations.context(context):
        context.run_migrations()


def _is_of_a_newer_version(connection: Connection, script: ScriptDirectory, package: str) -> bool:
    """Revisions are numbers of four digits, one after another."""
    now, known = MigrationContext.configure(connection).get_current_revision(), script.get_current_head() or ""
    if now is None or now in {one.revision for one in script.walk_revisions()}:
        return False
    if not (now.isdecimal() and len(now) == len(known) and now > known):
        raise ConfigurationError(
            f"The database of PROSPO_MIGRATION_DATABASE_URL is at the revision {now!r}, which no version of {package} "
            "has. Is it the database of another service?"
        )
    log.warning("database.newer", package=package, revision=now, known=known)
    return True


async def _grant(connection: Any, service: str, request: str) -> None:
    """Raises ``ConfigurationError`` when the owner is one of those who may only be given rights."""
    if (await connection.execute(text("SELECT current_user"))).scalar() in {service, request}:
        raise ConfigurationError("PROSPO_MIGRATION_DATABASE_URL must name another role than the service's two.")
    for statement in [*rights(service, request), audit.GRANTS.format(role=service)]:
        await connection.execute(text(statement))
