"""Connections that nobody uses are kept alive, and one that died is told on the day it died."""

from datetime import UTC, datetime, timedelta
from typing import Any

KEEP_ALIVE = "keep_alive"


async def a_day_later(house: Any, *, idle_days: int) -> None:
    """Time goes by for the connection, and its job is due."""
    await house.sql(f"UPDATE connection SET token_expires_at = clock_timestamp() - interval '{idle_days} days'")
    await house.hurry(KEEP_ALIVE)
    await house.work()


async def almost_spent(house: Any) -> None:
    """As after nineteen days that each cost the job one of its attempts."""
    await house.sql("UPDATE job SET attempt = 19 WHERE kind = 'keep_alive'")


async def looked_after_tomorrow(house: Any) -> bool:
    (job,) = [job for job in await house.jobs(KEEP_ALIVE) if job["state"] == "waiting"]
    return bool(job["run_at"] > datetime.now(UTC) + timedelta(hours=23))


async def test_an_idle_connection_is_refreshed_and_looked_after_again_tomorrow(house: Any) -> None:
    await house.connect()
    await a_day_later(house, idle_days=6)
    assert house.microsoft.door.refreshes == 0, "it was used a few days ago"
    await a_day_later(house, idle_days=8)
    assert house.microsoft.door.refreshes == 1
    await house.hurry(KEEP_ALIVE)
    await house.work()
    assert house.microsoft.door.refreshes == 1, "it is fresh now"
    assert await looked_after_tomorrow(house)


async def test_one_that_died_is_told_once_and_not_looked_after_any_more(house: Any) -> None:
    await house.connect()
    await house.microsoft.client.fault("token_invalid_grant")
    await a_day_later(house, idle_days=40)
    assert (await house.connection())["status"] == "expired"
    assert len(await house.published("user.connection_expired")) == 1
    assert [job for job in await house.jobs(KEEP_ALIVE) if job["state"] == "waiting"] == []
    await house.connect()
    assert await looked_after_tomorrow(house)


async def test_a_tenant_that_does_not_know_us_for_a_day_ends_no_looking_after(house: Any) -> None:
    await house.connect()
    house.microsoft.door.refuse_with = (400, {"error": "unauthorized_client", "error_codes": [7000112]})
    await a_day_later(house, idle_days=20)
    house.microsoft.door.refuse_with = None
    assert (await house.connection())["status"] == "connected"
    house.service.settings.refusal_kept_s = 0
    await a_day_later(house, idle_days=20)
    assert house.microsoft.door.refreshes == 2
    assert await looked_after_tomorrow(house)


async def test_a_connection_that_cannot_be_opened_is_looked_after_later(house: Any) -> None:
    await house.connect()
    await house.sql("UPDATE data_key SET ring_key_id = 'x' || ring_key_id")
    other = await house.make()
    await almost_spent(house)
    for _ in range(2):
        await house.sql("UPDATE connection SET token_expires_at = clock_timestamp() - interval '8 days'")
        await house.hurry(KEEP_ALIVE)
        await other.runner.drain()
    assert await looked_after_tomorrow(house)
    await house.sql("UPDATE data_key SET ring_key_id = substr(ring_key_id, 2)")
    await a_day_later(house, idle_days=8)
    assert house.microsoft.door.refreshes == 1


async def test_an_outage_at_microsoft_ends_nothing_however_many_days_it_lasts(house: Any) -> None:
    await house.connect()
    house.microsoft.door.refuse_with = (503, {"error": "temporarily_unavailable"})
    await almost_spent(house)
    for _ in range(2):
        await a_day_later(house, idle_days=20)
    house.microsoft.door.refuse_with = None
    assert (await house.connection())["status"] == "connected"
    assert await looked_after_tomorrow(house)
    await a_day_later(house, idle_days=20)
    assert (await house.connection())["status"] == "connected"
    assert (await house.token()).status_code == 200
