"""What booking a meeting costs the database, counted at the driver."""

from typing import Any

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from shared.jobs import claiming
from shared.testing.statements import statements_of

MOST_TRANSACTIONS, MOST_STATEMENTS = 5, 40
CLAIMING = {str(statement.compile(dialect=asyncpg_dialect())) for statement in (claiming.LOOK, claiming.CLAIM)}


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, house: Any) -> list[str]:
    """What the service's pools send, in order, and what engines send on connections of their own."""
    statements = statements_of(house.service.db, monkeypatch)
    connected = asyncpg.connect

    async def connect(*args: Any, **more: Any) -> Any:
        connection = await connected(*args, **more)
        if args:  # SQLAlchemy names all it gives
            connection.add_query_logger(lambda query: statements.append(query.query))
        return connection

    monkeypatch.setattr(asyncpg, "connect", connect)
    return statements


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
