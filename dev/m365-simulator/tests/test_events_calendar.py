"""Calendar events: made, read in the caller's zone, changed, cancelled, answered, in a series."""

from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM

ANNA, BEN, DANA = "anna@contoso.example", "ben@contoso.example", "dana@fabrikam.example"
UNFIT = "ErrorPropertyValidationFailure"
WRITE = "Calendars.ReadWrite OnlineMeetings.ReadWrite"
WEEKLY: dict[str, Any] = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
    "range": {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": 4},
}


def event(**more: Any) -> dict[str, Any]:
    return {
        "subject": "Offer",
        "start": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
        "end": {"dateTime": "2030-01-01T11:00:00", "timeZone": "UTC"},
        "attendees": [{"emailAddress": {"address": BEN}, "type": "required"}],
        "isOnlineMeeting": True,
        "onlineMeetingProvider": "teamsForBusiness",
        **more,
    }


async def made(graph: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await graph.post("/me/events", json=event(**more))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(ANNA, WRITE))
    return client


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(BEN, WRITE))
    return client


async def window(graph: httpx.AsyncClient, **more: Any) -> list[dict[str, Any]]:
    params = {"startDateTime": "2029-12-01T00:00:00Z", "endDateTime": "2030-03-01T00:00:00Z", "$top": 100, **more}
    answer = await graph.get("/me/calendarView", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


@pytest.mark.behaviour(24)
async def test_an_events_join_link_leads_to_its_teams_meeting(
    anna: httpx.AsyncClient,
) -> None:
    shown = await made(anna)
    link = shown["onlineMeeting"]["joinUrl"]
    assert shown["isOnlineMeeting"]
    assert "Join" in shown["body"]["content"]
    found = await anna.get("/me/onlineMeetings", params={"$filter": f"JoinWebUrl eq '{link}'"})
    assert [one["joinWebUrl"] for one in found.json()["value"]] == [link]


@pytest.mark.behaviour(24)
async def test_a_transaction_id_makes_one_event_in_each_mailbox(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient, world: Any
) -> None:
    first = await made(anna, transactionId="t-1")
    assert (await made(anna, transactionId="t-1"))["id"] == first["id"]
    assert len(world.simulator.store.all("meetings")) == 1
    assert (await made(ben, transactionId="t-1", attendees=[]))["id"] != first["id"]
    assert (await made(anna, transactionId="t-2"))["id"] != first["id"]


@pytest.mark.behaviour(24)
@pytest.mark.parametrize("whose", [CONTOSO, ANNA])
async def test_a_calendar_without_teams_gets_an_event_without_a_meeting(
    world: Any, anna: httpx.AsyncClient, whose: str
) -> None:
    await world.control.do("meeting_policy", whose=whose, online_meetings=False)
    shown = await made(anna)
    assert (shown["isOnlineMeeting"], shown["onlineMeeting"]) == (False, None)
    calendar = (await anna.get("/me/calendar")).json()
    assert calendar["allowedOnlineMeetingProviders"] == []


@pytest.mark.behaviour(24)
async def test_an_event_of_another_provider_gets_no_teams_meeting(anna: httpx.AsyncClient) -> None:
    assert (await made(anna, onlineMeetingProvider="skypeForBusiness"))["onlineMeeting"] is None


@pytest.mark.behaviour(24)
async def test_an_online_event_stays_online_and_a_plain_one_can_become_one(anna: httpx.AsyncClient) -> None:
    plain = await made(anna, isOnlineMeeting=False)
    assert plain["onlineMeeting"] is None
    path = f"/me/events/{plain['id']}"
    online = (
        await anna.patch(path, json={"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"})
    ).json()
    link = online["onlineMeeting"]["joinUrl"]
    back = (await anna.patch(path, json={"isOnlineMeeting": False, "onlineMeetingProvider": "unknown"})).json()
    assert (back["isOnlineMeeting"], back["onlineMeetingProvider"]) == (True, "teamsForBusiness")
    assert back["onlineMeeting"]["joinUrl"] == link


async def test_times_come_in_both_kinds_of_zones_and_go_out_in_the_one_asked(anna: httpx.AsyncClient) -> None:
    zoned = {"dateTime": "2030-07-01T10:00:00.1234567", "timeZone": "Pacific Standard Time"}
    later = {"dateTime": "2030-07-01T20:00:00", "timeZone": "Europe/Stockholm"}
    shown = await made(anna, start=zoned, end=later)
    assert shown["start"] == {"dateTime": "2030-07-01T17:00:00.1234560", "timeZone": "UTC"}
    assert shown["originalStartTimeZone"] == "Pacific Standard Time"
    headers = {"Prefer": 'outlook.timezone="W. Europe Standard Time", IdType="ImmutableId"'}
    read = await anna.get(f"/me/events/{shown['id']}", headers=headers)
    assert read.json()["end"] == {"dateTime": "2030-07-01T20:00:00.0000000", "timeZone": "W. Europe Standard Time"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"start": {"dateTime": "2030-01-01T12:00:00", "timeZone": "UTC"}}, UNFIT),
        ({"start": {"dateTime": "2030-01-01T09:00:00", "timeZone": "Mars Standard Time"}}, "ErrorInvalidRequest"),
        ({"start": {"dateTime": "soon", "timeZone": "UTC"}}, "ErrorInvalidRequest"),
        ({"start": {"dateTime": "2030-01-01T09:00:00", "zone": "UTC"}}, "BadRequest"),
        ({"recurrence": {"pattern": {"type": "weekly", "interval": 1}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "range": {"type": "endDate"}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "range": {**WEEKLY["range"], "numberOfOccurrences": -1}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "pattern": {**WEEKLY["pattern"], "interval": 10**9}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "pattern": {"type": "absoluteYearly", "dayOfMonth": 1, "month": 13}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "pattern": {"type": "absoluteMonthly", "dayOfMonth": -2}}}, UNFIT),
        ({"recurrence": {**WEEKLY, "range": {"type": "noEnd", "startDate": "9999-12-31"}}}, UNFIT),
        ({"start": {"dateTime": "0001-01-01T00:00:00", "timeZone": "UTC"}}, "ErrorInvalidRequest"),
        ({"end": {"dateTime": "9999-12-31T23:59:59", "timeZone": "Tokyo Standard Time"}}, "ErrorInvalidRequest"),
    ],
)
async def test_an_event_that_cannot_be_is_refused_and_nothing_is_kept(
    world: Any, anna: httpx.AsyncClient, body: dict[str, Any], code: str
) -> None:
    answer = await anna.post("/me/events", json=event(**body))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert world.simulator.store.all("events") == world.simulator.store.all("meetings") == []


async def test_an_attendee_that_is_null_or_has_no_address_is_passed_over(anna: httpx.AsyncClient) -> None:
    shown = await made(anna, attendees=[None, {}, {"emailAddress": None}, {"emailAddress": {"address": BEN}}])
    assert [one["emailAddress"]["address"] for one in shown["attendees"]] == ["", BEN]


async def test_words_of_a_choice_are_taken_in_any_case_and_answered_in_their_own(anna: httpx.AsyncClient) -> None:
    weekly = {**WEEKLY, "pattern": {"type": "Weekly", "interval": 1, "daysOfWeek": ["Tuesday"]}}
    body = {"contentType": "HTML", "content": "x"}
    shown = await made(anna, recurrence=weekly, body=body, showAs="TENTATIVE", onlineMeetingProvider="TeamsForBusiness")
    assert (shown["recurrence"]["pattern"]["type"], shown["showAs"]) == ("weekly", "tentative")
    assert shown["onlineMeeting"] is not None
    assert len(await window(anna)) == 4
    assert (await anna.post("/me/events", json=event(showAs="sometimes"))).status_code == 400


async def test_an_unknown_zone_in_the_prefer_header_is_refused(anna: httpx.AsyncClient) -> None:
    answer = await anna.get("/me/events", headers={"Prefer": 'outlook.timezone="Mars Standard Time"'})
    assert answer.status_code == 400


async def test_a_body_is_asked_for_as_text(anna: httpx.AsyncClient) -> None:
    shown = await made(anna, body={"contentType": "html", "content": "<p>Noon?</p>"})
    headers = {"Prefer": 'outlook.body-content-type="text"'}
    read = (await anna.get(f"/me/events/{shown['id']}", headers=headers)).json()
    assert read["body"]["contentType"] == "text"
    assert "<" not in read["body"]["content"]


async def test_lists_select_filter_sort_and_page_as_outlook_does_or_refuse(anna: httpx.AsyncClient) -> None:
    for number in range(12):
        await made(anna, subject=f"Number {number:02d}", attendees=[])
    first = (await anna.get("/me/events", params={"$select": "subject", "$orderby": "subject desc"})).json()
    assert [one["subject"] for one in first["value"]][:2] == ["Number 11", "Number 10"]
    assert set(first["value"][0]) == {"id", "subject", "@odata.etag"}
    rest = (await anna.get(first["@odata.nextLink"])).json()
    assert len(first["value"]) + len(rest["value"]) == 12
    found = (await anna.get("/me/calendar/events", params={"$filter": "subject eq 'Number 03'"})).json()["value"]
    assert len(found) == 1
    for bad in ({"$search": "x"}, {"$filter": "bodyPreview eq 'x'"}, {"$select": "subjekt"}, {"$top": "5000"}):
        assert (await anna.get("/me/events", params=bad)).status_code == 400


async def test_an_application_uses_calendars_of_its_own_tenant_only(world: Any) -> None:
    app = world.graph(world.app_token(CONTOSO, "Calendars.ReadWrite"))
    answer = await app.post(f"/users/{ANNA}/events", json=event())
    assert answer.status_code == 201
    assert (await app.get(f"/users/{ANNA}/calendar/events/{answer.json()['id']}")).status_code == 200
    assert (await app.get(f"/users/{BEN}/events/{answer.json()['id']}")).status_code == 404
    assert (await app.get(f"/users/{DANA}/events")).status_code == 404
    assert (await app.get("/me/events")).status_code == 400
    foreign = world.graph(world.app_token(FABRIKAM, "Calendars.ReadWrite"))
    assert (await foreign.get(f"/users/{ANNA}/events")).status_code == 404


@pytest.mark.parametrize("held", ["Calendars.Read", "Contacts.Read"])
async def test_writing_a_calendar_needs_the_permission_to_write(world: Any, held: str) -> None:
    reader = world.graph(world.token(ANNA, held))
    answer = await reader.post("/me/events", json=event())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    assert (await reader.get("/me/events")).status_code == (200 if held == "Calendars.Read" else 403)


async def test_another_persons_calendar_is_closed_to_a_signed_in_user(anna: httpx.AsyncClient) -> None:
    assert (await anna.get(f"/users/{BEN}/events")).status_code == 403
    assert (await anna.get("/me/calendars/AAMkCnobody=/events")).status_code == 404


async def test_an_invitation_in_the_attendees_calendar_follows_the_organizers(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    shown = await made(anna)
    (seen,) = await window(ben)
    assert (seen["isOrganizer"], seen["organizer"]["emailAddress"]["address"]) == (False, ANNA)
    assert (seen["iCalUId"], seen["onlineMeeting"]) == (shown["iCalUId"], shown["onlineMeeting"])
    await anna.patch(f"/me/events/{shown['id']}", json={"subject": "Offer, second round"})
    assert (await window(ben))[0]["subject"] == "Offer, second round"
    await anna.patch(f"/me/events/{shown['id']}", json={"attendees": []})
    assert (await window(ben))[0]["isCancelled"]


async def test_an_attendee_answers_and_the_organizer_sees_it(anna: httpx.AsyncClient, ben: httpx.AsyncClient) -> None:
    shown = await made(anna)
    (seen,) = await window(ben)
    assert (await ben.post(f"/me/events/{seen['id']}/accept", json={"sendResponse": True})).status_code == 202
    read = (await anna.get(f"/me/events/{shown['id']}")).json()
    assert read["attendees"][0]["status"]["response"] == "accepted"
    assert (await window(ben))[0]["responseStatus"]["response"] == "accepted"
    assert (await ben.post(f"/me/events/{seen['id']}/decline")).status_code == 202
    assert await window(ben) == []
    own = await anna.post(f"/me/events/{shown['id']}/accept", json={})
    assert own.status_code == 400
    assert (await ben.post(f"/me/events/{seen['id']}/accept", json={"sendReply": 1})).status_code == 404


@pytest.mark.behaviour(27)
async def test_an_attendee_cannot_cancel_and_the_organizer_cancels_for_everybody(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient, world: Any
) -> None:
    shown = await made(anna)
    (seen,) = await window(ben)
    refused = await ben.post(f"/me/events/{seen['id']}/cancel", json={"comment": "No."})
    assert refused.status_code == 400
    assert "You need to be an organizer to cancel a meeting." in refused.json()["error"]["message"]
    assert not (await window(anna))[0]["isCancelled"]
    assert (await anna.post(f"/me/events/{shown['id']}/cancel", json={"Comment": "Off."})).status_code == 202
    assert await window(anna) == []
    assert (await window(ben))[0]["isCancelled"]
    assert world.simulator.store.all("meetings")[0]["cancelled"]


@pytest.mark.behaviour(27)
async def test_what_happens_to_an_event_is_told_for_each_mailbox(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient, world: Any
) -> None:
    told: list[tuple[str, str]] = []
    oids = {user["id"]: user["address"] for user in world.simulator.store.all("users")}
    world.simulator.changes.listen(
        lambda change: (
            told.append((change.change_type, oids[change.covered_by[0].split("/")[1]]))
            if change.type_name.endswith(".event")
            else None
        )
    )
    shown = await made(anna)
    assert told == [("created", ANNA), ("created", BEN)]
    await anna.patch(f"/me/events/{shown['id']}", json={"subject": "x"})
    assert told[2:] == [("updated", ANNA), ("updated", BEN)]
    await anna.delete(f"/me/events/{shown['id']}")
    assert told[4:] == [("deleted", ANNA), ("updated", BEN)]


@pytest.mark.behaviour(27)
async def test_a_series_has_one_join_link_and_shows_its_occurrences(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient, world: Any
) -> None:
    master = await made(anna, recurrence=WEEKLY)
    assert master["type"] == "seriesMaster"
    each = await window(anna)
    assert [one["type"] for one in each] == ["occurrence"] * 4
    assert {one["onlineMeeting"]["joinUrl"] for one in each} == {master["onlineMeeting"]["joinUrl"]}
    assert len(world.simulator.store.all("meetings")) == 1
    later = {"dateTime": "2030-01-09T15:00:00", "timeZone": "UTC"}
    end = {"dateTime": "2030-01-09T16:00:00", "timeZone": "UTC"}
    moved = (await anna.patch(f"/me/events/{each[1]['id']}", json={"start": later, "end": end})).json()
    assert (moved["type"], moved["seriesMasterId"]) == ("exception", master["id"])
    assert moved["originalStart"].startswith("2030-01-08T10:00:00")
    assert (await anna.delete(f"/me/events/{each[2]['id']}")).status_code == 204
    days = [one["start"]["dateTime"][:13] for one in await window(anna)]
    assert days == ["2030-01-01T10", "2030-01-09T15", "2030-01-22T10"]
    assert [one["start"]["dateTime"][:13] for one in await window(ben)] == days
    slots = world.simulator.store.all("meetings")[0]["slots"]
    assert [slot[0][:13] for slot in slots] == days
    listed = (await anna.get("/me/events")).json()["value"]
    assert [one["type"] for one in listed] == ["seriesMaster"]
    params = {"startDateTime": "2030-01-05T00:00:00Z", "endDateTime": "2030-01-15T00:00:00Z"}
    instances = (await anna.get(f"/me/events/{master['id']}/instances", params=params)).json()["value"]
    assert [one["id"] for one in instances] == [moved["id"]]


@pytest.mark.parametrize(
    ("pattern", "reach", "days"),
    [
        ({"type": "daily", "interval": 2}, {"type": "endDate", "endDate": "2030-01-06"}, ["01-01", "01-03", "01-05"]),
        (
            {"type": "weekly", "interval": 2, "daysOfWeek": ["monday", "tuesday"], "firstDayOfWeek": "monday"},
            {"type": "numbered", "numberOfOccurrences": 4},
            ["01-01", "01-14", "01-15", "01-28"],
        ),
        (
            {"type": "absoluteMonthly", "interval": 1, "dayOfMonth": 31},
            {"type": "numbered", "numberOfOccurrences": 2},
            ["01-31", "02-28"],
        ),
        (
            {"type": "relativeMonthly", "interval": 1, "daysOfWeek": ["friday"], "index": "last"},
            {"type": "numbered", "numberOfOccurrences": 2},
            ["01-25", "02-22"],
        ),
        (
            {"type": "absoluteYearly", "interval": 1, "dayOfMonth": 5, "month": 2},
            {"type": "numbered", "numberOfOccurrences": 1},
            ["02-05"],
        ),
        (
            {"type": "absoluteYearly", "interval": 999, "dayOfMonth": 5, "month": 2},
            {"type": "noEnd"},
            ["02-05"],
        ),
        (
            {"type": "relativeYearly", "interval": 1, "daysOfWeek": ["monday"], "index": "second", "month": 2},
            {"type": "numbered", "numberOfOccurrences": 1},
            ["02-11"],
        ),
    ],
)
async def test_patterns_give_the_days_they_say(
    anna: httpx.AsyncClient, pattern: dict[str, Any], reach: dict[str, Any], days: list[str]
) -> None:
    await made(anna, recurrence={"pattern": pattern, "range": {"startDate": "2030-01-01", **reach}})
    assert [one["start"]["dateTime"][5:10] for one in await window(anna)] == days


async def test_an_occurrence_keeps_its_hour_over_a_change_of_the_clocks(anna: httpx.AsyncClient) -> None:
    start = {"dateTime": "2030-03-26T09:00:00", "timeZone": "W. Europe Standard Time"}
    end = {"dateTime": "2030-03-26T10:00:00", "timeZone": "W. Europe Standard Time"}
    reach = {"type": "numbered", "startDate": "2030-03-26", "numberOfOccurrences": 2}
    await made(anna, start=start, end=end, recurrence={**WEEKLY, "range": reach})
    each = await window(anna, endDateTime="2030-05-01T00:00:00Z")
    assert [one["start"]["dateTime"][11:16] for one in each] == ["08:00", "07:00"]


async def test_a_body_without_the_join_information_is_noted(world: Any, anna: httpx.AsyncClient) -> None:
    shown = await made(anna)
    path = f"/me/events/{shown['id']}"
    kept = {"contentType": "html", "content": f"<p>Agenda</p>{shown['body']['content']}"}
    await anna.patch(path, json={"body": kept})
    assert await world.control.findings() == []
    await anna.patch(path, json={"body": {"contentType": "html", "content": "<p>Agenda</p>"}})
    assert [one["kind"] for one in await world.control.findings()] == ["join_information_lost"]
