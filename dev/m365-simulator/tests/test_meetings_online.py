"""Online meetings: looked up, made without an event, changed; and who may."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, find_user

ANNA, BEN, ADMIN, CARL = "anna@contoso.example", "ben@contoso.example", "admin@contoso.example", "carl@fabrikam.example"
READ, WRITE = "OnlineMeetings.Read", "OnlineMeetings.ReadWrite"
ARTEFACTS = "OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"


def oid(world: Any, address: str) -> str:
    return str((find_user(world.simulator.store, address) or {})["id"])


async def booked(world: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = await world.control.do("meeting_booked", organizer=ANNA, attendees=[BEN], **more)
    return found


async def find(graph: httpx.AsyncClient, link: str, path: str = "/me/onlineMeetings") -> httpx.Response:
    return await graph.get(path, params={"$filter": f"JoinWebUrl eq '{link}'"})


@pytest.mark.behaviour(25)
async def test_a_join_link_finds_exactly_one_meeting_however_it_is_encoded(world: Any) -> None:
    meeting = await booked(world)
    await booked(world)
    anna = world.graph(world.token(ANNA, READ))
    for link in (meeting["join_url"], quote(meeting["join_url"], safe="")):
        answer = await find(anna, link)
        assert [one["id"] for one in answer.json()["value"]] == [meeting["id"]]
    assert (await find(anna, "https://teams.microsoft.com/l/meetup-join/other")).status_code == 404


@pytest.mark.behaviour(25)
async def test_an_attendee_finds_the_meeting_and_nobody_else_does(world: Any) -> None:
    meeting = await booked(world)
    assert (await find(world.graph(world.token(BEN, READ)), meeting["join_url"])).status_code == 200
    refused = await find(world.graph(world.token(ADMIN, READ)), meeting["join_url"])
    assert refused.status_code == 403
    assert refused.json()["error"]["message"].startswith("3003: User does not have access to lookup meeting")
    foreign = world.graph(world.token(CARL, READ))
    assert (await find(foreign, meeting["join_url"])).status_code == 404


@pytest.mark.behaviour(25)
async def test_applications_name_the_user_by_object_id_not_by_address(world: Any) -> None:
    meeting = await booked(world)
    app = world.graph(world.app_token(CONTOSO, "OnlineMeetings.Read.All"))
    assert (await find(app, meeting["join_url"], f"/users/{ANNA}/onlineMeetings")).status_code == 400
    found = await find(app, meeting["join_url"], f"/users/{oid(world, ANNA)}/onlineMeetings")
    assert found.status_code == 200
    by_name = await app.get(f"/users/{ANNA}/onlineMeetings/{meeting['id']}")
    assert by_name.status_code == 400


@pytest.mark.behaviour(23, 25)
@pytest.mark.parametrize(("answer", "status"), [("empty", 200), ("404", 404)])
async def test_a_new_meeting_may_not_be_found_for_a_while(world: Any, answer: str, status: int) -> None:
    meeting = await booked(world)
    anna = world.graph(world.token(ANNA, READ))
    await world.control.fault("online_meeting_late", answer=answer, times=2)
    for _ in range(2):
        late = await find(anna, meeting["join_url"])
        assert late.status_code == status
        assert not late.json().get("value")
    assert (await find(anna, meeting["join_url"])).json()["value"]


async def test_meetings_are_found_by_their_join_id_and_conference_id(world: Any) -> None:
    meeting = await booked(world)
    anna = world.graph(world.token(ANNA, READ))
    by_join_id = {"$filter": f"joinMeetingIdSettings/joinMeetingId eq '{meeting['join_id']}'"}
    assert (await anna.get("/me/onlineMeetings", params=by_join_id)).json()["value"][0]["id"] == meeting["id"]
    app = world.graph(world.app_token(CONTOSO, "OnlineMeetings.Read.All"))
    by_vtc = {"$filter": f"VideoTeleconferenceId eq '{meeting['vtc']}'"}
    assert (await app.get("/communications/onlineMeetings/", params=by_vtc)).json()["value"][0]["id"] == meeting["id"]
    foreign = world.graph(world.app_token(FABRIKAM, "OnlineMeetings.Read.All"))
    assert (await foreign.get("/communications/onlineMeetings", params=by_vtc)).status_code == 404
    assert (await anna.get("/communications/onlineMeetings", params=by_vtc)).status_code == 403


@pytest.mark.parametrize(
    "filter_", ["", "subject eq 'x'", "JoinWebUrl ne 'x'", "JoinWebUrl eq 'x' or JoinWebUrl eq 'y'"]
)
async def test_a_look_up_without_a_filter_it_knows_is_refused(world: Any, filter_: str) -> None:
    anna = world.graph(world.token(ANNA, READ))
    assert (await anna.get("/me/onlineMeetings", params={"$filter": filter_})).status_code == 400


@pytest.mark.behaviour(25)
async def test_applications_without_an_access_policy_are_refused_in_teams_words(world: Any) -> None:
    meeting = await booked(world)
    app = world.graph(world.app_token(CONTOSO, f"OnlineMeetings.ReadWrite.All {ARTEFACTS}"))
    base = f"/users/{oid(world, ANNA)}/onlineMeetings"
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=False)
    for path in (f"{base}/{meeting['id']}", f"{base}/{meeting['id']}/recordings"):
        refused = await app.get(path)
        assert refused.status_code == 403
        assert refused.json()["error"]["message"] == "No application access policy found for this app"
    assert "is not authorized to Create meeting" in (await app.post(base, json={})).json()["error"]["message"]
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=True, user=BEN)
    other = (await app.get(f"{base}/{meeting['id']}")).json()["error"]["message"]
    assert other.startswith("Application is not allowed to perform operations on the user")
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=True, user=ANNA)
    assert (await app.get(f"{base}/{meeting['id']}")).status_code == 200
    anna = world.graph(world.token(ANNA, READ))
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=False, user=ANNA)
    assert (await anna.get(f"/me/onlineMeetings/{meeting['id']}")).status_code == 200


@pytest.mark.behaviour(25)
async def test_a_granted_access_policy_comes_into_force_later(make_world: Any) -> None:
    world = make_world(frozen_at="2026-11-01T09:00:00Z")
    meeting = await booked(world)
    app = world.graph(world.app_token(CONTOSO, "OnlineMeetings.Read.All"))
    path = f"/users/{oid(world, ANNA)}/onlineMeetings/{meeting['id']}"
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=False)
    await world.control.do("application_access_policy", tenant=CONTOSO, granted=True, after=1800)
    assert (await app.get(path)).status_code == 403
    await world.control.advance(1799, clock="service")
    assert (await app.get(path)).status_code == 403
    await world.control.advance(1, clock="service")
    assert (await app.get(path)).status_code == 200


@pytest.mark.behaviour(26)
async def test_options_are_changed_by_the_organizer_and_read_back(world: Any) -> None:
    meeting = await booked(world, record=False)
    path = f"/me/onlineMeetings/{meeting['id']}"
    anna = world.graph(world.token(ANNA, WRITE))
    wanted = {"recordAutomatically": True, "allowTranscription": True, "allowedPresenters": "organizer"}
    wanted |= {"joinMeetingIdSettings": {"isPasscodeRequired": False}}
    shown = (await anna.patch(path, json=wanted)).json()
    assert (shown["recordAutomatically"], shown["allowedPresenters"]) == (True, "organizer")
    assert (await anna.get(path)).json()["recordAutomatically"]
    assert (await world.graph(world.token(BEN, WRITE)).patch(path, json=wanted)).status_code == 403
    assert (await world.graph(world.token(ANNA, READ)).patch(path, json=wanted)).status_code == 403


@pytest.mark.behaviour(26)
@pytest.mark.parametrize(
    "body",
    [
        {"startDateTime": "2030-01-01T10:00:00Z"},
        {"endDateTime": "2030-01-01T10:00:00Z"},
        {"startDateTime": "2030-01-01T10:00:00Z", "endDateTime": "2030-01-01T09:00:00Z", "subject": "y"},
        {"joinWebUrl": "https://example.org", "subject": "y"},
        {"startDateTime": None, "endDateTime": "2030-01-01T10:00:00Z"},
        {"recordAutomaticaly": True},
        {"recordAutomatically": "yes"},
    ],
)
async def test_a_change_that_teams_does_not_take_changes_nothing(world: Any, body: dict[str, Any]) -> None:
    meeting = await booked(world, subject="x")
    anna = world.graph(world.token(ANNA, WRITE))
    before = (await anna.get(f"/me/onlineMeetings/{meeting['id']}")).json()
    assert (await anna.patch(f"/me/onlineMeetings/{meeting['id']}", json=body)).status_code == 400
    assert (await anna.get(f"/me/onlineMeetings/{meeting['id']}")).json() == before


@pytest.mark.behaviour(26)
async def test_times_change_together(world: Any) -> None:
    meeting = await booked(world)
    anna = world.graph(world.token(ANNA, WRITE))
    times = {"startDateTime": "2030-01-01T10:00:00+01:00", "endDateTime": "2030-01-01T11:00:00+01:00"}
    shown = (await anna.patch(f"/me/onlineMeetings/{meeting['id']}", json=times)).json()
    assert shown["startDateTime"].startswith("2030-01-01T09:00:00")


@pytest.mark.behaviour(26)
async def test_automatic_recording_cannot_be_turned_on_while_the_meeting_runs(world: Any) -> None:
    meeting = await booked(world, record=False)
    anna = world.graph(world.token(ANNA, WRITE))
    path = f"/me/onlineMeetings/{meeting['id']}"
    await world.control.do("meeting_starts", meeting=meeting["id"], people=[ANNA])
    running = (await anna.patch(path, json={"recordAutomatically": True, "allowedPresenters": "organizer"})).json()
    assert (running["recordAutomatically"], running["allowedPresenters"]) == (False, "organizer")
    await world.control.do("meeting_ends", meeting=meeting["id"])
    assert (await anna.patch(path, json={"recordAutomatically": True})).json()["recordAutomatically"]


@pytest.mark.behaviour(28)
@pytest.mark.parametrize("how", ["", "/createOrGet"])
async def test_a_meeting_without_an_event_has_no_artefacts_to_be_had(world: Any, how: str) -> None:
    anna = world.graph(world.token(ANNA, f"{WRITE} {ARTEFACTS} Calendars.Read"))
    body = {"subject": "Alone", "startDateTime": "2030-01-01T10:00:00Z", "endDateTime": "2030-01-01T10:30:00Z"}
    made = await anna.post(f"/me/onlineMeetings{how}", json=body | {"externalId": "e1"})
    assert made.status_code == 201
    assert (await anna.get("/me/events")).json()["value"] == []
    for kind in ("recordings", "transcripts"):
        refused = await anna.get(f"/me/onlineMeetings/{made.json()['id']}/{kind}")
        assert refused.status_code == 400
        assert refused.json()["error"]["message"].startswith("No iCalUid found for the meeting.")


async def test_create_or_get_gives_one_meeting_per_external_id_and_person(world: Any) -> None:
    anna, ben = (world.graph(world.token(who, WRITE)) for who in (ANNA, BEN))
    first = await anna.post("/me/onlineMeetings/createOrGet", json={"externalId": "e1", "subject": "x"})
    again = await anna.post("/me/onlineMeetings/createOrGet", json={"externalId": "e1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (await ben.post("/me/onlineMeetings/createOrGet", json={"externalId": "e1"})).status_code == 201
    assert (await anna.post("/me/onlineMeetings/createOrGet", json={})).status_code == 400


async def test_a_meeting_is_deleted_by_its_organizer(world: Any) -> None:
    anna = world.graph(world.token(ANNA, WRITE))
    made = (await anna.post("/me/onlineMeetings", json={"subject": "x"})).json()
    assert (await world.graph(world.token(BEN, WRITE)).delete(f"/me/onlineMeetings/{made['id']}")).status_code == 403
    assert (await anna.delete(f"/me/onlineMeetings/{made['id']}")).status_code == 204
    assert (await anna.get(f"/me/onlineMeetings/{made['id']}")).status_code == 404


@pytest.mark.behaviour(27)
async def test_a_series_rescheduled_in_outlook_takes_place_at_its_new_times(make_world: Any) -> None:
    world = make_world(frozen_at="2026-11-01T09:00:00Z")
    meeting = await booked(world, weeks=3)
    moved = await world.control.do("meeting_rescheduled", meeting=meeting["id"], later_minutes=60)
    assert [slot[0][11:16] for slot in moved["slots"]] == ["10:30"] * 3
    moved = await world.control.do("meeting_rescheduled", meeting=meeting["id"], later_minutes=15, occurrence=2)
    assert [slot[0][11:16] for slot in moved["slots"]] == ["10:30", "10:45", "10:30"]
    moved = await world.control.do("meeting_cancelled", meeting=meeting["id"], occurrence=3)
    assert len(moved["slots"]) == 2
    await world.control.let_meeting_happen(meeting["id"])
    await world.control.let_meeting_happen(meeting["id"])
    calls = world.simulator.store.all("calls")
    assert [call["started"] for call in calls] == [slot[0] for slot in moved["slots"]]
    assert len({call["id"] for call in calls}) == 2
    assert world.simulator.store.get("meetings", meeting["id"])["happened"]


async def test_a_change_of_the_lobby_keeps_what_it_does_not_name(world: Any) -> None:
    meeting = await booked(world)
    anna = world.graph(world.token(ANNA, WRITE))
    path = f"/me/onlineMeetings/{meeting['id']}"
    for given, shown in (
        ({"isDialInBypassEnabled": True}, {"scope": "organization", "isDialInBypassEnabled": True}),
        ({"scope": "everyone"}, {"scope": "everyone", "isDialInBypassEnabled": True}),
    ):
        got = await anna.patch(path, json={"lobbyBypassSettings": given})
        assert got.json()["lobbyBypassSettings"] == shown
    assert (await anna.get(path)).json()["lobbyBypassSettings"] == shown
