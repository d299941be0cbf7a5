"""What a connection that ends makes of meetings that are being scheduled, changed or cancelled, and what mends it."""

from datetime import datetime
from typing import Any

import pytest

from shared.events import ArtefactDetected

from .conftest import BEN

FAILED = "SELECT kind FROM job WHERE state = 'failed'"


async def cancel_the_meeting(house: Any) -> None:
    (row,) = await house.sql("SELECT id FROM meeting")
    assert (await house.call("DELETE", f"/v1/meetings/{row.id}")).status_code == 200


def disconnect_when_looked_up(house: Any, *, cancel: bool = False) -> None:
    async def gone() -> None:
        if cancel:
            await cancel_the_meeting(house)
        await house.hear(house.person(2, connected=False))

    house.wire.during("GET", "/onlineMeetings", gone)


BUSY = [
    ("POST", "/me/events", {"name": "done_but_error", "status": 503}),
    ("GET", "/onlineMeetings", {"name": "server_error", "status": 503, "retry_after": 90}),
    ("GET", "/onlineMeetings", None),
]


@pytest.mark.parametrize(("method", "path", "fault"), BUSY)
async def test_what_is_cancelled_while_microsoft_is_busy_is_cancelled_there(
    house: Any, method: str, path: str, fault: dict[str, Any] | None
) -> None:
    """The event exists, whether its answer was lost or came; a busy answer is no try that counts."""
    await house.connect()
    if fault:
        await house.microsoft.fault(**fault, match={"method": method, "path": f"*{path}"})
    house.wire.during(method, path, lambda: cancel_the_meeting(house))
    assert (await house.schedule()).json()["status"] == "cancelled"
    await house.try_again()
    assert (await house.microsoft.state())["faults"] == []  # it struck
    assert (await house.at_microsoft("cancelled"), await house.events()) == ([True], [])
    assert await house.sql("SELECT 1 FROM job") == []


async def finished(house: Any, meeting_id: str) -> None:
    """Scheduled with all that belongs to it, once."""
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"], shown["auto_recording"]) == ("scheduled", None, True)
    assert (await house.asked("POST", "/events"), len(await house.published("meeting.scheduled"))) == (1, 1)


@pytest.mark.parametrize("former", [None, "connection_required"])
async def test_what_is_booked_as_the_connection_ends_is_finished_later(house: Any, former: str | None) -> None:
    """``former`` is the code that a process of the previous version writes beside this one."""
    await house.connect()
    disconnect_when_looked_up(house)
    answer = await house.schedule()
    shown = answer.json()
    assert (answer.status_code, shown["status"]) == (202, "scheduling")
    assert shown["problem"]["code"] == "account_not_connected"
    assert shown["problem"]["detail"].endswith("; it is then finished by itself.")
    if former:
        renamed = "UPDATE meeting SET problem = problem || jsonb_build_object('code', CAST(:c AS text))"
        await house.sql(renamed, c=former)
    await house.hear(house.person(3))
    await house.work()
    await finished(house, shown["id"])


async def test_what_is_cancelled_as_the_connection_ends_is_cancelled_later(house: Any) -> None:
    await house.connect()
    disconnect_when_looked_up(house, cancel=True)
    meeting_id = (await house.schedule()).json()["id"]
    assert await house.at_microsoft("cancelled") == [False]
    await house.hear(house.person(3))
    await house.work()
    assert (await house.at_microsoft("cancelled"), await house.published("meeting.scheduled")) == ([True], [])
    assert (await house.record(meeting_id))["problem"] is None
    assert await house.sql("SELECT 1 FROM job WHERE kind <> 'follow_calls'") == []


async def test_what_waits_half_scheduled_is_undone_at_once_when_it_is_cancelled(house: Any) -> None:
    """Whatever kept it back may be over without anybody having told us."""
    await house.connect()

    await house.refuse(403, "*/onlineMeetings*")
    shown = (await house.schedule()).json()
    assert (shown["status"], shown["problem"]["code"]) == ("scheduling", "permission_missing")
    await house.microsoft.clear_faults()
    assert (await house.call("DELETE", f"/v1/meetings/{shown['id']}")).json()["status"] == "cancelled"
    await house.work()
    assert await house.at_microsoft("cancelled") == [True]


async def test_half_a_meeting_does_not_wait_beyond_its_end(house: Any) -> None:
    await house.connect()
    disconnect_when_looked_up(house)
    meeting_id = (await house.schedule()).json()["id"]
    await house.sql("UPDATE meeting SET starts_at = '2020-01-01', ends_at = '2020-01-02'")
    await house.try_again()
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("failed", "account_not_connected")
    assert "cancel its event, which is in your calendar already, in Outlook" in shown["problem"]["detail"]
    assert [job.kind for job in await house.sql(FAILED)] == ["schedule"]


async def test_what_failed_after_it_was_booked_is_finished_when_driven_again(house: Any) -> None:
    await house.connect()
    await house.refuse(400, "*/onlineMeetings")
    meeting_id = (await house.schedule()).json()["meeting_id"]
    assert (await house.record(meeting_id))["status"] == "failed"
    await house.microsoft.clear_faults()
    assert await house.service.runner.redrive() == 1
    await house.work()
    await finished(house, meeting_id)


@pytest.mark.parametrize(("method", "told"), [("PATCH", "change is then made"), ("DELETE", "then cancelled")])
async def test_what_waits_says_it_is_done_by_itself_and_leaves_no_failed_job(
    house: Any, method: str, told: str
) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.call(method, f"/v1/meetings/{meeting_id}", json={"subject": "Moved"})
    await house.hear(house.person(2, connected=False))
    await house.work()
    detail = (await house.record(meeting_id))["problem"]["detail"]
    assert f"{told} by itself" in detail
    assert "schedule the meeting" not in detail
    assert await house.sql(FAILED) == []
    await house.hear(house.person(3))
    await house.work()
    assert await house.service.runner.redrive() == 0
    assert len(await house.published("meeting.rescheduled" if method == "PATCH" else "meeting.cancelled")) == 1


@pytest.mark.parametrize("heard", [True, False])
async def test_another_account_does_nothing_to_a_meeting_of_the_former(house: Any, heard: bool) -> None:
    """Microsoft would say that the event is not there, as of one that is cancelled already."""
    await house.connect()
    (meeting_id,) = await house.booked()
    former, house.user_auth.tokens["acme", "anna"] = house.user_auth.tokens["acme", "anna"], house.accounts[BEN]
    asked = await house.asked()
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    if heard:
        await house.hear(house.person(2, connected=False), house.person(3, account=BEN))
    else:
        house.service.provided["tokens"].forget("acme", "anna")
    await house.work()
    assert (await house.asked(), await house.published("meeting.cancelled")) == (asked, [])
    shown = await house.record(meeting_id)
    assert shown["problem"]["code"] == "another_account"
    assert shown["problem"]["detail"].endswith("the meeting is then cancelled by itself.")
    house.user_auth.tokens["acme", "anna"] = former
    await house.hear(house.person(4, connected=False, account=BEN), house.person(5))
    await house.work()
    assert (await house.at_microsoft("cancelled"), len(await house.published("meeting.cancelled"))) == ([True], 1)


async def test_another_account_cannot_change_a_meeting_of_the_former(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.hear(house.person(2, connected=False), house.person(3, account=BEN))
    for method in ("PATCH", "DELETE"):
        refused = await house.call(method, f"/v1/meetings/{meeting_id}", json={"subject": "Moved"})
        assert (refused.status_code, refused.json()["code"]) == (409, "another_account")
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]["code"]) == ("scheduled", "another_account")


async def test_a_meeting_of_which_microsoft_surely_has_nothing_fails(house: Any) -> None:
    await house.connect()
    await house.refuse(403)
    refused = (await house.schedule()).json()
    assert (refused["status"], refused["code"]) == (409, "permission_missing")
    assert "; then schedule the meeting again." in refused["detail"]
    assert (await house.record(refused["meeting_id"]))["status"] == "failed"


async def test_what_a_withdrawn_permission_kept_back_is_done_later(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.refuse(403)
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    await house.work()
    shown = await house.record(meeting_id)
    assert shown["problem"]["code"] == "permission_missing"
    assert "Allow it again under Settings → Integrations → Microsoft Outlook" in shown["problem"]["detail"]
    await house.microsoft.clear_faults()
    await house.hear(house.person(2))
    await house.work()
    assert await house.at_microsoft("cancelled") == [True]
    assert (await house.record(meeting_id))["problem"] is None


async def test_a_meeting_moved_without_a_connection_ends_when_it_was_moved_to(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    moved = {"start": "2031-03-01T10:00:00Z", "end": "2031-03-01T10:30:00Z"}
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=moved)
    await house.hear(house.person(2, connected=False))
    await house.hurry("booked_end")
    await house.work()
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["ended"]["at"], shown["problem"]) == ("ended", moved["end"], None)


@pytest.mark.parametrize("waiting", ["change", "switch"])
async def test_a_meeting_that_ended_does_not_say_any_more_that_something_waits(house: Any, waiting: str) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.hear(house.person(2, connected=False))
    if waiting == "switch":
        await house.hear(house.tenant(2, on=False))
    else:
        await house.hear(house.person(3))
        await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Moved"})
        await house.hear(house.person(4, connected=False))
    await house.work()
    assert "by itself" in (await house.record(meeting_id))["problem"]["detail"]
    held = datetime.fromisoformat((await house.record(meeting_id))["start"])
    seen = {"org_id": "acme", "meeting_id": meeting_id, "artefact_id": "r1", "kind": "recording", "created_at": held}
    await house.hear(ArtefactDetected(**seen, aggregate_version=1))
    shown = await house.record(meeting_id)
    assert (shown["status"], shown["problem"]) == ("ended", None)


async def test_a_change_that_waited_until_the_meeting_was_over_is_not_sent(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "Moved"})
    await house.hear(house.person(2, connected=False))
    await house.work()
    await house.sql("UPDATE meeting SET starts_at = '2020-01-01', ends_at = '2020-01-02'")
    await house.hear(house.person(3))
    await house.work()
    (event,) = await house.events()
    assert event["body"]["subject"] == "Review"
