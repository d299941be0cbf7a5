"""A disconnect removes at Microsoft what the service set there, while the person's token still serves for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meetings.main import create_service
from meetings.settings import Settings
from shared.testing.examples import leaving
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers

from .conftest import BEN

WEEKLY = {"every": "week", "count": 4}


async def set_up(house: Any) -> list[str]:
    """Two meetings that record by themselves, and a subscription to the calendar."""
    await house.microsoft.do("outlook_rules", write_subscribes=True)
    await house.connect()
    made: list[str] = await house.booked(2)
    await house.look()
    assert (await house.at_microsoft(), len(await subscriptions(house))) == ([True, True], 1)
    return made


async def subscriptions(house: Any) -> list[Any]:
    found: list[Any] = (await house.microsoft.state())["subscriptions"]
    return found


async def leave(house: Any, version: int = 2, for_s: float = 600) -> None:
    await house.hear(leaving(house.person(version), for_s))
    await house.work()


async def told(house: Any) -> list[Any]:
    found = await house.published("meeting.traces_removed")
    return [{name: one[name] for name in ("removed", "left")} for one in found]


async def test_a_disconnect_takes_back_recording_and_subscription(house: Any) -> None:
    first, _ = await set_up(house)
    await leave(house)
    assert (await house.at_microsoft(), await subscriptions(house)) == ([False, False], [])
    assert await told(house) == [{"removed": 3, "left": []}]
    shown = await house.record(first)
    assert (shown["auto_recording"], shown["status"]) == (False, "scheduled")
    assert "set again after a reconnect" in shown["auto_recording_reason"]
    changed = await house.published("meeting.recording_changed")
    assert [(one["auto_recording"], one["code"]) for one in changed[-2:]] == [(False, "disconnected")] * 2
    assert await house.sql("SELECT 1 FROM graph_subscription") == []
    assert len(await house.events()) == 2  # they stay in the calendar


async def test_a_series_records_by_itself_no_more_with_all_its_occurrences(house: Any) -> None:
    await house.connect()
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = {"subject": "Weekly", "start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    body |= {"attendees": [], "repeats": WEEKLY}
    made = await house.call("POST", "/v1/meetings/series", json=body, headers={"Idempotency-Key": "s1"})
    assert made.status_code in {201, 202}, made.text
    await house.work()
    assert (await house.at_microsoft(), len(await house.sql("SELECT 1 FROM meeting"))) == ([True], 5)
    await leave(house)
    assert await house.at_microsoft() == [False]
    assert {row.auto_recording for row in await house.sql("SELECT auto_recording FROM meeting")} == {False}


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"path": "*/subscriptions/*", "status": 403}, [("subscription", 1, "refused")]),
        ({"path": "*/onlineMeetings/*", "status": 403}, [("automatic_recording", 2, "refused")]),
        ({"path": "*/onlineMeetings/*", "status": 400}, [("automatic_recording", 2, "refused")]),
        ({"path": "*/onlineMeetings/*", "status": 404}, []),
        ("no token", [("automatic_recording", 2, "no_access"), ("subscription", 1, "no_access")]),
        ("no time", [("automatic_recording", 2, "no_answer"), ("subscription", 1, "no_answer")]),
        ("expired long ago", [("automatic_recording", 2, "no_access"), ("subscription", 1, "no_access")]),
    ],
)
async def test_what_stays_is_told_with_its_reason_and_its_end(house: Any, answer: Any, left: list[Any]) -> None:
    await set_up(house)
    calls = await house.asked()
    if answer == "expired long ago":  # user-auth has no token for it, and says no time
        await house.hear(house.person(2, connected=False))
    else:
        if answer == "no token":
            house.user_auth.broken = True
        elif answer != "no time":
            await house.refuse(answer["status"], answer["path"])
        await leave(house, for_s=-1 if answer == "no time" else 600)
    (said,) = await told(house)
    assert [(one["kind"], one["count"], one["code"]) for one in said["left"]] == left
    assert said["removed"] == (3 - sum(one["count"] for one in said["left"]))
    assert all(one["until"] is not None for one in said["left"])
    assert await house.sql("SELECT 1 FROM graph_subscription") == []  # what it still brings is dropped
    if isinstance(answer, str):
        assert await house.asked() == calls
    assert await house.jobs("leave") == []


async def test_while_microsoft_is_away_it_is_tried_again_until_the_time_is_over(house: Any) -> None:
    await set_up(house)
    await house.microsoft.fault("server_error", status=503, retry_after=30, times=None, match={"path": "*/onlineMeet*"})
    await leave(house)
    assert await told(house) == []
    assert len(await house.jobs("leave")) == 1
    await house.sql(
        """UPDATE job SET payload = payload || '{"until": "2020-01-01T00:00:00Z"}', run_at = clock_timestamp()
           WHERE kind = 'leave'"""
    )
    await house.work()
    (said,) = await told(house)
    assert [(one["kind"], one["count"], one["code"]) for one in said["left"]] == [
        ("automatic_recording", 2, "no_answer")
    ]
    assert said["removed"] == 1  # the subscription was there no more
    assert await house.jobs("leave") == []


async def test_who_connects_meanwhile_keeps_what_there_is(house: Any) -> None:
    await set_up(house)
    await house.microsoft.fault("server_error", status=503, retry_after=30, times=None, match={"method": "DELETE"})
    await leave(house)
    await house.microsoft.clear_faults()
    await house.hear(house.person(3))
    await house.hurry("leave")
    await house.try_again()
    assert (await house.at_microsoft(), len(await subscriptions(house))) == ([True, True], 1)
    assert await told(house) == []
    assert len(await house.sql("SELECT 1 FROM graph_subscription WHERE subscription_id IS NOT NULL")) == 1


async def test_who_connects_as_a_recording_is_taken_back_has_it_set_again(house: Any) -> None:
    await set_up(house)
    house.wire.during("PATCH", "/onlineMeetings/", lambda: house.hear(house.person(3)))
    await leave(house)
    await house.try_again()
    assert await house.at_microsoft() == [True, True]
    assert {(await house.record(one.id))["auto_recording"] for one in await house.sql("SELECT id FROM meeting")} == {
        True
    }


async def test_after_a_reconnect_everything_is_as_it_was(house: Any) -> None:
    await set_up(house)
    await leave(house)
    await house.hear(house.person(3))
    await house.try_again()
    await house.look()
    assert (await house.at_microsoft(), len(await subscriptions(house))) == ([True, True], 1)
    reasons = {row.auto_recording_reason for row in await house.sql("SELECT auto_recording_reason FROM meeting")}
    assert reasons == {None}


async def test_a_switch_moved_meanwhile_is_not_reported_for_what_was_undone(house: Any) -> None:
    first, _ = await set_up(house)
    await leave(house)
    await house.hear(house.tenant(2, on=False), house.tenant(3, on=True))
    await house.try_again()
    assert (await house.record(first))["problem"]["code"] == "account_not_connected"  # of the record's own look


async def test_a_meeting_of_another_account_is_told_as_out_of_reach(house: Any) -> None:
    """The person had connected another account since; its token would change nothing of the first one's meetings."""
    await set_up(house)
    house.user_auth.tokens["acme", "anna"] = house.accounts[BEN]
    await house.hear(house.person(2, account=BEN))
    await house.work()
    asked = await house.asked("PATCH", "/onlineMeetings")
    await house.hear(leaving(house.person(3, account=BEN)))
    await house.work()
    (said,) = await told(house)
    assert ("automatic_recording", 2, "no_access") in [(one["kind"], one["count"], one["code"]) for one in said["left"]]
    assert await house.asked("PATCH", "/onlineMeetings") == asked


async def test_death_at_every_commit_of_leaving_ends_the_same(house: Any, start_service: StartService) -> None:
    await set_up(house)
    workers = MortalWorkers(lambda: start_service(create_service, Settings, "meetings"))
    await house.hear(leaving(house.person(2)))
    while await workers.live():
        await house.sql(LEASES_END)
        await house.hurry("leave")
    points = " ".join(workers.survived)
    assert "job leave" in points
    assert "update meeting" in points
    assert (await house.at_microsoft(), await subscriptions(house)) == ([False, False], [])
    assert await told(house) == [{"removed": 3, "left": []}]
