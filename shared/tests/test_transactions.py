"""How a transaction ends, whatever happens in it, and what is left of its connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.database.driver import Driver
from shared.database.unit_of_work import Database, UnitOfWork, is_outage
from shared.hosting.service import Service
from shared.testing.databases import TestDatabase, connect
from shared.testing.pools import keep_no_pools
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
STATES = text("SELECT state FROM pg_stat_activity WHERE pid = ANY(:pids)")
SLEEPING = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")


@pytest.fixture
async def db(make_service: MakeService) -> Database:
    made = (await make_service()).db
    keep_no_pools(made)
    return made


async def write(work: UnitOfWork, words: str) -> None:
    await work.session.execute(text("INSERT INTO note (org_id, words) VALUES ('acme', :words)"), {"words": words})


async def words(db: Database) -> list[str]:
    async with db.unit_of_work("acme") as work:
        return list((await work.session.execute(text("SELECT words FROM note"))).scalars())


async def server_process(work: UnitOfWork) -> int:
    return int((await work.session.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def test_a_refused_statement_is_no_success_though_its_error_was_caught(db: Database) -> None:
    async def go_on() -> None:
        async with db.unit_of_work("acme") as work:
            await write(work, "lost")
            with suppress(DBAPIError):
                await work.session.execute(text("SELECT 1 / 0"))

    with pytest.raises(RuntimeError, match="ROLLBACK"):
        await go_on()
    assert await words(db) == []


@pytest.mark.parametrize(
    ("asleep", "cancelled"), [("active", 1), ("idle in transaction", 1), ("idle in transaction", 4)]
)
async def test_what_is_cancelled_leaves_no_transaction_open(db: Database, asleep: str, cancelled: int) -> None:
    """Whoever is in a hurry cancels again while the transaction is rolled back."""
    pids: list[int] = []

    async def wait_long() -> None:
        async with db.unit_of_work("acme") as work:
            pids.append(await server_process(work))
            await write(work, "lost")
            if asleep == "active":
                await work.session.execute(text("SELECT pg_sleep(60)"))
            await asyncio.Event().wait()

    async def states() -> set[str]:
        return {state for (state,) in await db.at_once(STATES, {"pids": pids})}

    async def waits() -> bool:
        return await states() == {asleep}

    async def has_ended() -> bool:
        return await states() <= {"idle"}

    waiting = asyncio.create_task(wait_long())
    await until(waits)
    for _ in range(cancelled):
        waiting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(has_ended)
    assert await words(db) == []
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_connection_that_the_server_closed_is_not_lent(db: Database) -> None:
    async with db.unit_of_work("acme") as work:
        pid, lent = await server_process(work), work.session
        driver: Any = (await (await lent.connection()).get_raw_connection()).driver_connection
    await db.at_once(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    async def closed() -> bool:
        return bool(driver.is_closed())

    await until(closed)
    async with db.unit_of_work("acme") as work:
        await write(work, "kept")
    assert await words(db) == ["kept"]


async def test_a_connection_whose_statement_was_cancelled_is_not_lent(db: Database) -> None:
    """The driver would wait for that statement before the next one, however long, where a server is gone."""
    asking = asyncio.create_task(db.at_once(text("SELECT pg_sleep(60)"), {}))
    pids: list[int] = []

    async def asleep() -> bool:
        pids.extend(pid for (pid,) in await db.at_once(SLEEPING, {}))
        return bool(pids)

    async def gone() -> bool:
        return await db.at_once(STATES, {"pids": pids}) == []

    await until(asleep)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(gone, within_s=20)


async def test_a_table_that_was_changed_under_a_statement_is_no_bug(db: Database, database: TestDatabase) -> None:
    """A migration of a newer version; who asks again is answered."""

    async def read() -> int:
        async with db.unit_of_work("acme") as work:
            return len((await work.session.execute(text("SELECT * FROM note"))).all())

    assert await read() == 0
    owner = await connect(database.owner_url)
    await owner.execute("ALTER TABLE note ADD COLUMN more int")
    await owner.close()
    with pytest.raises(DBAPIError) as refused:
        await read()
    assert is_outage(refused.value)
    assert await read() == 0


async def test_a_server_that_does_not_answer_a_rollback_keeps_nobody(db: Database, monkeypatch: Any) -> None:
    """It is gone without a word: the error is told, and the place in the pool is free."""
    execute = Driver.execute

    async def silent(driver: Driver, statement: str) -> str:
        if statement == "ROLLBACK":
            await asyncio.Event().wait()
        return await execute(driver, statement)

    async def fail() -> None:
        async with db.unit_of_work("acme") as work:
            await write(work, "lost")
            raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Driver, "execute", silent)
        patch.setattr("shared.database.driver.ROLLBACK_S", 0.1)
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(20):
                await fail()
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert await words(db) == []
