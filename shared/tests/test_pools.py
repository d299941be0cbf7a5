"""Pools of connections that outlive a test: the next one gets them, unless something is wrong with them."""

from typing import Any

import pytest
from sqlalchemy import event, text

from shared.database.unit_of_work import Database
from shared.testing.databases import Databases, TestDatabase, connect
from shared.testing.pools import keep_no_pools
from shared.testing.waiting import until

NAME = "pools"


async def one_table(made: TestDatabase) -> None:
    owner = await connect(made.owner_url)
    await owner.execute("CREATE TABLE note (id int)")
    await owner.close()


async def opened(databases: Databases) -> Database:
    """As a service of the next test opens it."""
    made = await databases.empty(NAME, one_table)
    return Database(made.url, request_url=made.request_url)


async def ours(db: Database, statement: str = "SELECT pg_backend_pid()") -> Any:
    async with db.system_work() as work:
        return (await work.session.execute(text(statement))).scalar()


async def by_sqlalchemy(db: Database) -> None:
    async with db.service_engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def test_a_connection_outlives_its_database_object(databases: Databases) -> None:
    first = await opened(databases)
    pid = await ours(first)
    await first.close()
    second = await opened(databases)
    third = Database(second.url, request_url=databases.named(NAME).request_url)
    assert (await ours(second), await ours(third) == pid) == (pid, False)
    await second.close()
    await third.close()


@pytest.mark.parametrize("harm", ["killed", "in a transaction", "changed"])
async def test_a_harmed_connection_is_nobody_else_s(databases: Databases, harm: str) -> None:
    first = await opened(databases)
    pid = await ours(first)
    left = None
    if harm == "in a transaction":
        left = first.service_engine.connect()
        await left.__aenter__()
    if harm == "changed":
        keep_no_pools(first)
    await first.close()
    if harm == "killed":
        other = Database(databases.named(NAME).url)
        await ours(other, f"SELECT pg_terminate_backend({pid})")
        await other.close()
    second = await opened(databases)
    assert await ours(second) != pid

    async def ended() -> bool:
        return not await ours(second, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")

    await until(ended, within_s=10)
    await second.close()
    if left is not None:
        await left.invalidate()
        await left.close()


async def test_what_listens_to_one_hears_no_other(databases: Databases) -> None:
    heard: list[str] = []
    first = await opened(databases)
    event.listen(first.service_engine.sync_engine, "before_cursor_execute", lambda *told: heard.append(told[2]))
    await by_sqlalchemy(first)
    counted = len(heard)
    await first.close()
    second = await opened(databases)
    await by_sqlalchemy(second)
    assert counted > 0
    assert len(heard) == counted
    await second.close()
