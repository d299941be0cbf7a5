"""Connections that nobody uses are kept alive, and one that died is told on the day it died."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text


async def run(house: Any, statement: str) -> None:
    async with house.service.db.system_work() as work:
        await work.session.execute(text(statement))


async def a_day_later(house: Any, *, idle_days: int) -> None:
    """Time goes by for the connection, and its job is due."""
    await run(house, f"UPDATE connection SET token_expires_at = clock_timestamp() - interval '{idle_days} days'")
    await run(house, "UPDATE job SET run_at = clock_timestamp() WHERE kind = 'keep_alive'")
    await house.service.runner.drain()


async def jobs(house: Any) -> list[Any]:
    async with house.service.db.system_work() as work:
        found = await work.session.execute(text("SELECT state, run_at FROM job WHERE kind = 'keep_alive'"))
        return [tuple(row) for row in found]


async def test_an_idle_connection_is_refreshed_and_looked_after_again_tomorrow(house: Any) -> None:
    await house.connect()
    await a_day_later(house, idle_days=6)
    assert house.microsoft.door.refreshes == 0, "it was used a few days ago"
    await a_day_later(house, idle_days=8)
    assert house.microsoft.door.refreshes == 1
    await run(house, "UPDATE job SET run_at = clock_timestamp() WHERE kind = 'keep_alive'")
    await house.service.runner.drain()
    assert house.microsoft.door.refreshes == 1, "it is fresh now"
    ((state, run_at),) = await jobs(house)
    assert state == "waiting"
    assert run_at > datetime.now(UTC) + timedelta(hours=23)


async def test_one_that_died_is_told_once_and_not_looked_after_any_more(house: Any) -> None:
    await house.connect()
    await house.microsoft.client.fault("token_invalid_grant")
    await a_day_later(house, idle_days=40)
    assert (await house.connection())["status"] == "expired"
    assert len(await house.published("user.connection_expired")) == 1
    assert not [job for job in await jobs(house) if job[0] == "waiting"]
    await house.connect()
    ((_, run_at),) = [job for job in await jobs(house) if job[0] == "waiting"]
    assert run_at > datetime.now(UTC) + timedelta(hours=23)


async def test_a_tenant_that_does_not_know_us_for_a_day_ends_no_looking_after(house: Any) -> None:
    await house.connect()
    house.microsoft.door.refuse_with = (400, {"error": "unauthorized_client", "error_codes": [7000112]})
    await a_day_later(house, idle_days=20)
    house.microsoft.door.refuse_with = None
    assert (await house.connection())["status"] == "connected"
    house.service.settings.refusal_kept_s = 0
    await a_day_later(house, idle_days=20)
    assert house.microsoft.door.refreshes == 2
    assert [state for state, _ in await jobs(house)] == ["waiting"]


async def test_a_connection_that_cannot_be_opened_is_looked_after_when_it_can_be_again(house: Any) -> None:
    await house.connect()
    await run(house, "UPDATE data_key SET ring_key_id = 'x' || ring_key_id")
    other = await house.make()
    for _ in range(22):
        await run(house, "UPDATE connection SET token_expires_at = clock_timestamp() - interval '8 days'")
        await run(house, "UPDATE job SET run_at = clock_timestamp() WHERE kind = 'keep_alive'")
        await other.runner.drain()
    assert [state for state, _ in await jobs(house)] == ["waiting"]
    await run(house, "UPDATE data_key SET ring_key_id = substr(ring_key_id, 2)")
    await a_day_later(house, idle_days=8)
    assert house.microsoft.door.refreshes == 1


async def test_an_outage_at_microsoft_ends_nothing_however_many_days_it_lasts(house: Any) -> None:
    await house.connect()
    house.microsoft.door.refuse_with = (503, {"error": "temporarily_unavailable"})
    for _ in range(25):
        await a_day_later(house, idle_days=20)
    house.microsoft.door.refuse_with = None
    assert (await house.connection())["status"] == "connected"
    ((state, _),) = await jobs(house)
    assert state == "waiting"
    await a_day_later(house, idle_days=20)
    assert (await house.connection())["status"] == "connected"
    assert (await house.token()).status_code == 200
