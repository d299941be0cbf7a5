"""Calendars beside the default one, what $expand brings of a series, places and bodies of events."""

from typing import Any

import httpx
import pytest

ANNA = "anna@contoso.example"
AT = {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"}
LATER = {"dateTime": "2030-01-01T11:00:00", "timeZone": "UTC"}
WINDOW = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
    "range": {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": 4},
}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Calendars.ReadWrite"))


async def made(anna: httpx.AsyncClient, path: str = "/me/events", **more: Any) -> dict[str, Any]:
    got = await anna.post(path, json={"subject": "Offer", "start": AT, "end": LATER, **more})
    assert got.status_code == 201, got.text
    return got.json()


async def ids(anna: httpx.AsyncClient, path: str, **params: str) -> list[str]:
    got = await anna.get(path, params=params)
    assert got.status_code == 200, got.text
    return [one["id"] for one in got.json()["value"]]


async def test_a_calendar_is_made_filled_renamed_and_deleted(anna: httpx.AsyncClient) -> None:
    got = await anna.post("/me/calendars", json={"name": "Projects", "color": "lightBlue"})
    assert got.status_code == 201, got.text
    calendar = got.json()
    assert (calendar["name"], calendar["isDefaultCalendar"], calendar["isRemovable"]) == ("Projects", False, True)
    path = f"/me/calendars/{calendar['id']}"
    mine, usual = await made(anna, f"{path}/events"), await made(anna)
    assert await ids(anna, f"{path}/events") == await ids(anna, f"{path}/calendarView", **WINDOW) == [mine["id"]]
    assert await ids(anna, "/me/calendar/events") == await ids(anna, "/me/calendarView", **WINDOW) == [usual["id"]]
    assert (await anna.get(f"/me/events/{mine['id']}")).status_code == 200, "an id is enough"
    assert (await anna.get(f"{path}/events/{usual['id']}")).status_code == 404
    assert (await anna.patch(path, json={"name": "Plans"})).json()["name"] == "Plans"
    assert [one["name"] for one in (await anna.get("/me/calendars")).json()["value"]] == ["Calendar", "Plans"]
    assert (await anna.delete(path)).status_code == 204
    for gone in (path, f"{path}/events", f"/me/events/{mine['id']}"):
        assert (await anna.get(gone)).status_code == 404


async def test_calendars_of_no_name_or_a_taken_one_are_refused(anna: httpx.AsyncClient, world: Any) -> None:
    for body, status in ({}, 400), ({"name": " "}, 400), ({"name": "calendar"}, 409), ({"colour": "x"}, 400):
        assert (await anna.post("/me/calendars", json=body)).status_code == status
    default = (await anna.get("/me/calendar")).json()["id"]
    assert (await anna.delete(f"/me/calendars/{default}")).status_code == 403
    reader = world.graph(world.token(ANNA, "Calendars.Read"))
    assert (await reader.post("/me/calendars", json={"name": "x"})).status_code == 403


async def test_a_series_tells_its_exceptions_and_cancelled_occurrences(anna: httpx.AsyncClient) -> None:
    master = f"/me/events/{(await made(anna, recurrence=WEEKLY))['id']}"
    each = await ids(anna, f"{master}/instances", **WINDOW)
    await anna.patch(f"/me/events/{each[1]}", json={"subject": "Moved"})
    await anna.delete(f"/me/events/{each[2]}")
    found = (await anna.get(master, params={"$expand": "exceptionOccurrences"})).json()
    assert [(one["subject"], one["type"]) for one in found["exceptionOccurrences"]] == [("Moved", "exception")]
    assert "cancelledOccurrences" not in found, "only when it is selected"
    asked = {"$select": "subject,cancelledOccurrences", "$expand": "exceptionOccurrences($select=id,subject)"}
    found = (await anna.get(master, params=asked)).json()
    assert [one.endswith(".2030-01-15") for one in found["cancelledOccurrences"]] == [True]
    (changed,) = found["exceptionOccurrences"]
    assert {name for name in changed if not name.startswith("@")} == {"id", "subject"}


async def test_a_place_has_an_id_and_is_the_first_of_the_places(anna: httpx.AsyncClient) -> None:
    event = await made(anna, location={"displayName": "Harry's Bar"})
    bar = {
        "displayName": "Harry's Bar",
        "locationType": "default",
        "uniqueId": "Harry's Bar",
        "uniqueIdType": "private",
    }
    assert (event["location"], event["locations"]) == (bar, [bar])
    two = [{"displayName": "Hall", "uniqueId": "h", "uniqueIdType": "directory"}, {"displayName": "Yard"}]
    event = (await anna.patch(f"/me/events/{event['id']}", json={"locations": two})).json()
    assert [one["uniqueId"] for one in event["locations"]] == ["h", "Yard"]
    assert event["location"] == event["locations"][0]
    event = (await anna.patch(f"/me/events/{event['id']}", json={"location": {"displayName": "Home"}})).json()
    assert [one["displayName"] for one in event["locations"]] == ["Home"]


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize(("kind", "content"), [("html", "Bring <i>cake</i>."), ("text", "Bring cake & tea.")])
async def test_an_events_html_is_one_document(anna: httpx.AsyncClient, online: bool, kind: str, content: str) -> None:
    more = {"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"} if online else {}
    event = await made(anna, body={"contentType": kind, "content": content}, **more)
    body = event["body"]["content"]
    if kind == "text" and not online:
        assert event["body"] == {"contentType": "text", "content": content}
        return
    assert (body.count("<html"), body.count("</body>"), "me-email-headline" in body) == (1, 1, online)
    changed = await anna.patch(f"/me/events/{event['id']}", json={"body": event["body"]})
    assert changed.json()["body"]["content"] == body
