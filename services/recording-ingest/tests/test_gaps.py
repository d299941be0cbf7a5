"""What was missed while nothing could be fetched is named, fetched and announced."""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response

from shared.events import GapRepaired


async def repaired(house: Any) -> list[GapRepaired]:
    return [GapRepaired.model_validate(one) for one in await house.published("gap.repaired")]


async def held_meanwhile(house: Any) -> None:
    """A meeting takes place, and nobody hears of it."""
    booked = await house.book()
    times = {"start": datetime.now(UTC) - timedelta(hours=2), "end": datetime.now(UTC) - timedelta(hours=1)}
    await house.hear(house.scheduled(booked | times))
    await house.microsoft.fault("drop_notifications", times=None)
    await house.happen(booked)


async def settled(house: Any) -> None:
    for _ in range(2):
        await house.settle()
        await house.hurry("announce_gap")
    await house.settle()


async def test_a_reconnect_names_its_gap_and_what_was_found(house: Any) -> None:
    await house.connect()
    begun = datetime.now(UTC)
    await house.connect(connected=False, version=2)
    await held_meanwhile(house)
    await house.settle()
    assert await repaired(house) == []
    await house.connect(version=3)
    await settled(house)
    (gap,) = await repaired(house)
    assert (gap.user_id, gap.cause, gap.meetings, gap.found) == ("anna", "account_not_connected", 1, 2)
    assert begun <= gap.began_at < gap.ended_at <= datetime.now(UTC)
    assert len(await house.published("recording.imported")) == 1
    steps = (await house.call("GET", "/v1/ledger/m1/story")).json()["steps"]
    assert [step["details"]["cause"] for step in steps if step["what"] == "gap_repaired"] == ["account_not_connected"]


async def test_a_switch_that_was_off_is_a_gap_too(house: Any) -> None:
    await house.connect()
    await house.tenant(2, on=False)
    await house.settle()
    await held_meanwhile(house)
    await house.tenant(3, on=True)
    await settled(house)
    (gap,) = await repaired(house)
    assert (gap.cause, gap.found) == ("feature_off", 2)


async def test_an_outage_of_prospo_is_a_gap_too(house: Any) -> None:
    await house.connect()
    await held_meanwhile(house)
    await house.sql("UPDATE job SET run_at = run_at + interval '1 day' WHERE kind = 'reconcile'")
    await house.hurry("watch_user")
    await house.settle()
    assert await repaired(house) == []  # it was followed all the time
    await house.sql("UPDATE watch SET watched_at = watched_at - interval '5 hours'")
    await house.hurry("watch_user")
    await settled(house)
    (gap,) = await repaired(house)
    assert (gap.cause, gap.meetings, gap.found) == ("outage", 1, 2)
    assert (gap.ended_at - gap.began_at).total_seconds() > 4 * 3600
    await house.hurry("watch_user")
    await settled(house)
    assert len(await repaired(house)) == 1


async def test_a_gap_is_announced_after_its_meetings_were_looked_at(house: Any) -> None:
    await house.connect()
    await house.connect(connected=False, version=2)
    await held_meanwhile(house)
    house.graph_wire.instead = lambda _method, path: Response(status_code=503) if "/onlineMeetings/" in path else None
    await house.connect(version=3)
    await settled(house)
    assert await repaired(house) == []
    house.graph_wire.instead = None
    await house.hurry()
    await settled(house)
    assert [gap.found for gap in await repaired(house)] == [2]


async def test_each_gap_has_its_number_and_a_first_connection_is_none(house: Any) -> None:
    await house.connect()
    for version in (2, 4):
        await house.connect(connected=False, version=version)
        await house.connect(connected=False, version=version)
        await house.connect(version=version + 1)
        await settled(house)
    assert [gap.aggregate_version for gap in await repaired(house)] == [1, 2]
    assert [gap.meetings for gap in await repaired(house)] == [0, 0]
