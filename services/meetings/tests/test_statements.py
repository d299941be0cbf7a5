"""What booking a meeting costs the database, counted at the driver."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from shared.database import outbox
from shared.jobs import claiming
from shared.testing.databases import Databases
from shared.testing.pools import keep_no_pools

MOST_TRANSACTIONS, MOST_STATEMENTS = 5, 40
CLAIMING = {str(statement.compile(dialect=asyncpg_dialect())) for statement in (claiming.LOOK, claiming.CLAIM)}
BOUNDARIES = ("BEGIN", "COMMIT", "ROLLBACK")


@pytest.fixture
async def sent(monkeypatch: pytest.MonkeyPatch, databases: Databases) -> list[str]:
    """What asyncpg sends by itself, in order: boundaries of transactions, and what the engines send past SQLAlchemy."""
    await databases.pools.none_wait()
    statements: list[str] = []
    connected = asyncpg.connect

    async def connect(*args: Any, **more: Any) -> Any:
        connection = await connected(*args, **more)
        of_an_engine = bool(args)  # SQLAlchemy names all it gives

        def note(query: Any) -> None:
            if of_an_engine or query.query == outbox.INSERT or query.query.startswith(BOUNDARIES):
                statements.append(query.query)

        connection.add_query_logger(note)
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect)
    return statements


@pytest.fixture
def noted(sent: list[str], house: Any) -> list[str]:
    """That, and what SQLAlchemy sends."""

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        sent.extend([statement] * (len(values) if many else 1))

    db = house.service.db
    keep_no_pools(db)
    for engine in (db.engine, db.service_engine, db.system_engine):
        sqlalchemy_event.listen(engine.sync_engine, "before_cursor_execute", note)
    return sent


async def test_booking_a_meeting_costs_five_transactions_and_forty_statements(noted: list[str], house: Any) -> None:
    """From the claim to the commit of ``meeting.scheduled``; the two statements of the claim write by themselves."""
    await house.connect()
    await house.booked()  # connections are made
    await house.post("counted")
    noted.clear()
    await house.work()
    told = next(at for at, statement in enumerate(noted) if "INSERT INTO outbox" in statement)
    end = next(at for at, statement in enumerate(noted) if at > told and statement.startswith("COMMIT"))
    spent = noted[: end + 1]
    assert set(spent) >= CLAIMING
    assert any("pg_advisory" in statement for statement in spent)
    transactions = sum(statement.startswith("BEGIN") or statement in CLAIMING for statement in spent)
    assert transactions <= MOST_TRANSACTIONS, spent
    assert len(spent) <= MOST_STATEMENTS, spent
