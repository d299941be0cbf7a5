"""A service at rest asks its database for almost nothing; what needs a session goes to the database itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from shared.database import wakes as wakes_module
from shared.database import watch as watch_module
from shared.eventing import relay as relay_module
from shared.hosting.service import Service
from shared.jobs import runner as runner_module
from shared.testing.databases import TestDatabase, connect
from shared.testing.statements import statements_of
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
FASTER = 50
"""Every pause of a service at rest is so many times shorter here, so that a second stands for nearly a minute."""
PASSES_S = 1.0
MOST = 2.0


async def test_a_service_at_rest_sends_two_statements_a_second_at_most(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (relay_module, runner_module, wakes_module):
        monkeypatch.setattr(module, "POLL_S", module.POLL_S / FASTER)
    monkeypatch.setattr(watch_module, "EVERY_S", watch_module.EVERY_S / FASTER)
    monkeypatch.setattr(wakes_module, "_PING_S", wakes_module._PING_S / FASTER)
    monkeypatch.setattr(relay_module, "STANDBY_S", tuple(pause / FASTER for pause in relay_module.STANDBY_S))
    sent: list[str] = []
    sent_by = [sent]
    connected = asyncpg.connect

    async def noted(*args: Any, **more: Any) -> Any:
        connection = await connected(*args, **more)
        if more.get("server_settings", {}).get("application_name") in {"relay", "wakes"}:
            connection.add_query_logger(lambda query: sent.append(query.query))
        return connection

    monkeypatch.setattr(asyncpg, "connect", noted)
    processes = [await make_service() for _ in range(3)]
    for service, worker in zip(processes, (False, True, True), strict=True):
        service.settings.metrics_port = 1  # gauges are read; nobody listens there
        sent_by.append(statements_of(service.db, monkeypatch))
        await service.start(api=not worker, worker=worker)
    await asyncio.sleep(PASSES_S / 2)  # connections are made and the standby has found its pace
    for by_one in sent_by:
        by_one.clear()
    await asyncio.sleep(PASSES_S)
    statements = [statement for by_one in sent_by for statement in by_one]
    assert {"BEGIN", "COMMIT"} <= set(statements)
    per_second = len(statements) / (PASSES_S * FASTER)
    assert per_second <= MOST, sorted(statements)


async def test_what_needs_a_session_goes_past_the_pooler(make_service: MakeService, database: TestDatabase) -> None:
    """The pooler is told by its role: here transactions come as the service, the engines as the owner."""
    service = await make_service(direct_url=database.owner_url)
    await service.start(api=False, worker=True)
    async with service.db.unit_of_work("acme") as work:
        business = (await (await work.session.connection()).exec_driver_sql("SELECT current_user")).scalar_one()
    owner = await connect(database.owner_url)
    name = await owner.fetchval("SELECT current_user")

    async def users() -> dict[str, set[str]]:
        rows = await owner.fetch(
            "SELECT application_name, usename FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1",
            owner.get_server_pid(),
        )
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row["application_name"], set()).add(row["usename"])
        return found

    async def all_there() -> bool:
        return {"relay", "wakes"} <= set(await users())

    await until(all_there)
    found = await users()
    assert business != name
    assert found["relay"] == found["wakes"] == {name}
    assert await service.db.at_once(relay_module.text("SELECT current_user"), {}) == [(name,)]
    await owner.close()


async def test_statements_at_a_time_open_no_connection_again(make_service: MakeService) -> None:
    """A connection costs more than its statement, and the one used last has its statements planned."""
    db, pid = (await make_service()).db, relay_module.text("SELECT pg_backend_pid()")

    async def by(many: int) -> set[int]:
        return {rows[0][0] for rows in await asyncio.gather(*(db.at_once(pid, {}) for _ in range(many)))}

    opened = await by(5)
    assert len(opened) == 5
    assert await by(5) == opened
    assert len({number for _ in range(10) for number in await by(1)}) == 1
