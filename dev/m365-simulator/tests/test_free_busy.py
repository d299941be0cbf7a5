"""Free/busy by getSchedule: what is shown of whom, and what is refused."""

from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO

ANNA, BEN, CARL = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example"
LEFT_OUT = "unlicensed@contoso.example"
PATH = "/me/calendar/getSchedule"


def at(text: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": f"2030-01-{text}:00", "timeZone": zone}


def wanted(*addresses: str, **more: Any) -> dict[str, Any]:
    return {"schedules": list(addresses), "startTime": at("01T08:00"), "endTime": at("01T12:00"), **more}


async def made(graph: httpx.AsyncClient, begin: str, end: str, **more: Any) -> dict[str, Any]:
    got = await graph.post("/me/events", json={"subject": "Pay", "start": at(begin), "end": at(end), **more})
    assert got.status_code == 201, got.text
    found: dict[str, Any] = got.json()
    return found


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(ANNA, "Calendars.Read"))
    return client


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(BEN, "Calendars.ReadWrite"))
    return client


async def looked(graph: httpx.AsyncClient, *addresses: str, **more: Any) -> list[dict[str, Any]]:
    got = await graph.post(PATH, json=wanted(*addresses, **more))
    assert got.status_code == 200, got.text
    found: list[dict[str, Any]] = got.json()["value"]
    return found


async def test_a_colleague_sees_times_and_states_and_no_more(anna: httpx.AsyncClient, ben: httpx.AsyncClient) -> None:
    await made(ben, "01T09:00", "01T09:30")
    await made(ben, "01T10:00", "01T11:00", showAs="oof")
    await made(ben, "01T10:30", "01T12:00", showAs="tentative")
    (seen,) = await looked(anna, BEN)
    assert seen["availabilityView"] == "00203311"
    assert [item["status"] for item in seen["scheduleItems"]] == ["busy", "oof", "tentative"]
    assert all(set(item) == {"status", "start", "end"} for item in seen["scheduleItems"])
    assert seen["workingHours"]["startTime"] == "08:00:00.0000000"
    (own,) = await looked(ben, BEN, availabilityViewInterval="60")
    assert (own["availabilityView"], own["scheduleItems"][0]["subject"]) == ("0231", "Pay")


@pytest.mark.parametrize(
    ("level", "keys", "view"),
    [
        ("merged", None, "00200000"),
        ("times", {"status", "start", "end"}, "00200000"),
        ("details", {"status", "start", "end", "isPrivate", "subject", "location"}, "00200000"),
        ("none", None, None),
    ],
)
async def test_who_is_asked_about_decides_what_is_shown(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient, level: str, keys: set[str] | None, view: str | None
) -> None:
    await made(ben, "01T09:00", "01T09:30")
    await world.control.do("calendar_sharing", user=BEN, level=level)
    (seen,) = await looked(anna, BEN)
    assert seen.get("availabilityView") == view
    assert [set(item) for item in seen.get("scheduleItems", [])] == ([keys] if keys else [])
    assert ("error" in seen) == (level == "none")
    (own,) = await looked(ben, BEN)
    assert own["scheduleItems"][0]["subject"] == "Pay"


async def test_private_entries_show_no_words_to_whom_details_are_shown(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    await made(ben, "01T09:00", "01T09:30", sensitivity="private")
    await world.control.do("calendar_sharing", user=BEN, level="details")
    (seen,) = await looked(anna, BEN)
    assert [(item["isPrivate"], item.get("subject")) for item in seen["scheduleItems"]] == [(True, None)]


@pytest.mark.parametrize("address", [CARL, LEFT_OUT, "nobody@contoso.example", "no address"])
async def test_an_address_without_a_calendar_of_the_tenant_has_its_own_error(
    anna: httpx.AsyncClient, address: str
) -> None:
    first, second = await looked(anna, address, BEN)
    assert first == {
        "scheduleId": address,
        "error": {
            "message": f"Unable to resolve e-mail address {address} to an Active Directory object.",
            "responseCode": "5009",
        },
    }
    assert second["availabilityView"] == "00000000"


async def test_an_invitation_is_tentative_until_it_is_accepted(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    organizer = world.graph(world.token(ANNA, "Calendars.ReadWrite"))
    attendees = [{"emailAddress": {"address": BEN}, "type": "required"}]
    await made(organizer, "01T08:00", "01T09:00", attendees=attendees)
    (copy,) = (await ben.get("/me/events")).json()["value"]
    assert (await looked(anna, BEN))[0]["availabilityView"] == "11000000"
    await ben.post(f"/me/events/{copy['id']}/accept")
    assert (await looked(anna, BEN))[0]["availabilityView"] == "22000000"
    await ben.post(f"/me/events/{copy['id']}/decline")
    assert (await looked(anna, BEN))[0]["availabilityView"] == "00000000"


async def test_each_occurrence_counts_and_times_are_in_the_zone_asked_for(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    pattern = {"type": "daily", "interval": 1}
    days = {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": 3}
    await made(ben, "01T09:00", "01T09:30", recurrence={"pattern": pattern, "range": days})
    prefer = {"Prefer": 'outlook.timezone="Pacific Standard Time"'}
    body = wanted(BEN, startTime=at("01T00:00"), endTime=at("08T00:00"))
    (seen,) = (await anna.post(PATH, json=body, headers=prefer)).json()["value"]
    starts = [item["start"] for item in seen["scheduleItems"]]
    assert [one["dateTime"][:16] for one in starts] == [f"2030-01-0{day}T01:00" for day in (1, 2, 3)]
    assert {one["timeZone"] for one in starts} == {"Pacific Standard Time"}


MANY = [f"p{number}@contoso.example" for number in range(21)]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"schedules": MANY}, "ErrorMailboxDataArrayTooBig"),
        ({"schedules": []}, "ErrorInvalidRequest"),
        ({"schedules": [1]}, "ErrorInvalidRequest"),
        ({"startTime": None}, "ErrorInvalidRequest"),
        ({"startTime": at("01T08:00", "Nowhere")}, "ErrorInvalidRequest"),
        ({"startTime": at("01T12:00")}, "ErrorInvalidTimeInterval"),
        ({"endTime": {"dateTime": "2030-03-04T08:00:00", "timeZone": "UTC"}}, "ErrorInvalidTimeInterval"),
        ({"availabilityViewInterval": 4}, "ErrorInvalidMergedFreeBusyInterval"),
        ({"availabilityViewInterval": 1441}, "ErrorInvalidMergedFreeBusyInterval"),
        ({"availabilityViewInterval": 241}, "ErrorInvalidMergedFreeBusyInterval"),
        ({"mailboxes": []}, "RequestBodyRead"),
    ],
)
async def test_what_microsoft_does_not_take_is_refused(anna: httpx.AsyncClient, more: Any, code: str) -> None:
    got = await anna.post(PATH, json=wanted(BEN, **more))
    assert (got.status_code, got.json()["error"]["code"]) == (400, code)


async def test_a_slot_of_null_breaks_microsoft_and_names_come_in_any_case(anna: httpx.AsyncClient) -> None:
    got = await anna.post(PATH, json=wanted(BEN, availabilityViewInterval=None))
    assert got.status_code == 500
    body = {name.capitalize(): value for name, value in wanted(BEN).items()}
    assert (await anna.post(PATH, json=body)).status_code == 200


async def test_it_takes_a_permission_for_calendars(world: Any) -> None:
    for held, status in (("Contacts.Read", 403), ("Calendars.ReadWrite", 200)):
        graph = world.graph(world.token(ANNA, held))
        assert (await graph.post(PATH, json=wanted(BEN))).status_code == status
    app = world.graph(world.app_token(CONTOSO, "Calendars.Read"))
    assert (await app.post(f"/users/{ANNA}/calendar/getSchedule", json=wanted(BEN))).status_code == 200


async def test_working_hours_are_those_that_were_set(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("working_hours", user=BEN, days=["tuesday"], start="09:30", zone="W. Europe Standard Time")
    (seen,) = await looked(anna, BEN)
    assert seen["workingHours"] == {
        "daysOfWeek": ["tuesday"],
        "startTime": "09:30:00.0000000",
        "endTime": "17:00:00.0000000",
        "timeZone": {"name": "W. Europe Standard Time"},
    }
    for wrong in ({"zone": "Nowhere"}, {"start": "25:00"}, {"user": "nobody@contoso.example"}):
        answer = await world.http.post("/control/do/working_hours", json={"user": BEN, "days": [], **wrong})
        assert answer.status_code == 400, answer.text


async def test_a_calendar_of_more_than_a_thousand_entries_has_its_own_error(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    series = {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": 60}
    for _ in range(17):
        await made(
            ben, "01T09:00", "01T09:30", recurrence={"pattern": {"type": "daily", "interval": 1}, "range": series}
        )
    end = {"dateTime": "2030-03-01T08:00:00", "timeZone": "UTC"}
    (seen,) = await looked(anna, BEN, endTime=end)
    assert (seen["error"]["responseCode"], "actual size = 1003" in seen["error"]["message"]) == ("5006", True)
