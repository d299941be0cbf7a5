"""What attendees are mailed, whose copy holds their answers, and how a changed occurrence is told."""

from typing import Any

import httpx
import pytest

ANNA, BEN, CARL, OUTSIDE = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example", "eve@out.example"


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(ANNA, "Calendars.ReadWrite"))
    return client


def people(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": one}, "type": "required"} for one in addresses]


async def booked(graph: httpx.AsyncClient, *who: str, **more: Any) -> dict[str, Any]:
    times = {name: {"dateTime": f"2030-01-01T{hour}:00:00", "timeZone": "UTC"} for name, hour in
             (("start", 10), ("end", 11))}  # fmt: skip
    body = {"subject": "Review", "attendees": people(*who), "isOnlineMeeting": True, **times, **more}
    answer = await graph.post("/me/events", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def mails(world: Any) -> list[tuple[str, str]]:
    """Kind and recipient of every mail since this was asked last."""
    found = [(one["kind"], one["to"]) for one in (await world.control.state())["invitations"]]
    new, world.read = found[getattr(world, "read", 0) :], len(found)
    return sorted(new)


def weekly(count: int) -> dict[str, Any]:
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]}
    return {"pattern": pattern, "range": {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": count}}


@pytest.mark.behaviour(63)
async def test_attendees_get_one_mail_for_what_concerns_them(world: Any, anna: httpx.AsyncClient) -> None:
    event = await booked(anna, BEN, OUTSIDE)
    assert await mails(world) == [("invitation", BEN), ("invitation", OUTSIDE)]
    path = f"/me/events/{event['id']}"
    for body, sent in (
        ({"attendees": people(BEN, OUTSIDE, CARL)}, [("invitation", CARL)]),
        ({"attendees": people(BEN, CARL)}, [("cancellation", OUTSIDE)]),
        ({"subject": "Renamed"}, [("update", BEN), ("update", CARL)]),
        ({"reminderMinutesBeforeStart": 5}, []),
    ):
        assert (await anna.patch(path, json=body)).status_code == 200
        assert await mails(world) == sorted(sent), body
    assert (await anna.post(f"{path}/cancel", json={})).status_code == 202
    assert await mails(world) == [("cancellation", BEN), ("cancellation", CARL)]


@pytest.mark.behaviour(63)
async def test_an_attendee_of_one_occurrence_is_mailed_for_that_one(world: Any, anna: httpx.AsyncClient) -> None:
    event = await booked(anna, BEN, recurrence=weekly(3))
    await mails(world)
    window = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
    each = (await anna.get(f"/me/events/{event['id']}/instances", params=window)).json()["value"]
    await anna.patch(f"/me/events/{each[1]['id']}", json={"attendees": people(BEN, CARL)})
    assert await mails(world) == [("invitation", CARL)]
    await anna.delete(f"/me/events/{each[2]['id']}")
    assert await mails(world) == [("cancellation", BEN)]


@pytest.mark.behaviour(64)
@pytest.mark.parametrize("stub", [True, False])
async def test_a_delta_names_occurrences_as_stubs_if_so_set(world: Any, anna: httpx.AsyncClient, stub: bool) -> None:
    await world.control.do("outlook_rules", stub_occurrences=stub)
    event = await booked(anna, recurrence=weekly(2))
    window = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
    found = (await anna.get("/me/calendarView/delta", params=window)).json()["value"]
    assert [("subject" in one, one["seriesMasterId"]) for one in found] == [(not stub, event["id"])] * 2


@pytest.mark.behaviour(64)
async def test_what_leaves_the_window_is_told_as_removed(world: Any, anna: httpx.AsyncClient) -> None:
    event = await booked(anna)
    window = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-01-05T00:00:00Z"}
    link = (await anna.get("/me/calendarView/delta", params=window)).json()["@odata.deltaLink"]
    meeting = (await world.control.state())["meetings"][0]["id"]
    await world.control.do("meeting_rescheduled", meeting=meeting, later_minutes=14 * 24 * 60)
    (item,) = (await anna.get(link)).json()["value"]
    assert (item["id"], "@removed" in item) == (event["id"], True)
    assert (await anna.get(f"/me/events/{event['id']}")).status_code == 200


@pytest.mark.behaviour(64)
@pytest.mark.parametrize("silent", [True, False])
async def test_a_deleted_occurrence_is_told_as_its_series_if_so_set(world: Any, silent: bool) -> None:
    await world.control.do("outlook_rules", instance_deleted_silent=silent)
    told: list[tuple[str, str]] = []
    anna = world.graph(world.token(ANNA, "Calendars.ReadWrite"))
    event = await booked(anna, recurrence=weekly(3))
    world.simulator.changes.listen(lambda one: told.append((one.change_type, one.item_id)))
    meeting = (await world.control.state())["meetings"][0]["id"]
    await world.control.do("meeting_cancelled", meeting=meeting, occurrence=2)
    assert ("updated", event["id"]) in told
    assert any(kind == "deleted" for kind, _ in told) is not silent
    shown = (await anna.get(f"/me/events/{event['id']}?$select=id,cancelledOccurrences")).json()
    assert shown["cancelledOccurrences"] == [f"OID.{event['id']}.2030-01-08"]


@pytest.mark.behaviour(65)
async def test_an_answer_stands_on_the_organizers_copy_only(world: Any, anna: httpx.AsyncClient) -> None:
    event = await booked(anna, BEN, CARL)
    meeting = (await world.control.state())["meetings"][0]["id"]
    proposed = {"start": "2030-01-01T12:00:00", "end": "2030-01-01T13:00:00"}
    await world.control.do("meeting_answered", meeting=meeting, person=BEN, answer="declined", propose=proposed)
    await world.control.do("meeting_answered", meeting=meeting, person=CARL, answer="accepted", silently=True)
    ben, carl = (await anna.get(f"/me/events/{event['id']}")).json()["attendees"]
    assert (ben["status"]["response"], ben["proposedNewTime"]["start"]["dateTime"]) == ("declined", proposed["start"])
    assert carl["status"]["response"] == "none", "a silent answer leaves no trace"
    guest = world.graph(world.token(CARL, "Calendars.Read"))
    (copy,) = (await guest.get("/me/events")).json()["value"]
    assert copy["responseStatus"]["response"] == "accepted"


async def test_a_cancelled_event_can_be_put_back(world: Any, anna: httpx.AsyncClient) -> None:
    event = await booked(anna, BEN)
    meeting = (await world.control.state())["meetings"][0]["id"]
    await world.control.do("meeting_cancelled", meeting=meeting)
    assert (await anna.get(f"/me/events/{event['id']}")).status_code == 404
    await world.control.do("meeting_restored", meeting=meeting)
    assert (await anna.get(f"/me/events/{event['id']}")).json()["subject"] == "Review"
    assert (await world.control.state())["meetings"][0]["cancelled"] is False


@pytest.mark.behaviour(66)
@pytest.mark.parametrize("taken", [False, True])
async def test_who_may_write_events_may_subscribe_if_so_set(watcher: Any, taken: bool) -> None:
    await watcher.world.control.do("outlook_rules", write_subscribes=taken)
    graph = watcher.person("anna", "Calendars.ReadWrite")
    answer = await graph.post("/subscriptions", json=watcher.wanted("me/events"))
    assert (answer.status_code, (await graph.get("/me/events")).status_code) == (201 if taken else 403, 200)
