"""All artefacts of one person's meetings: functions with their parameters, and their delta."""

from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO, find_user

ANNA = "anna@contoso.example"
SCOPES = "OnlineMeetings.Read OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
ROLES = "OnlineMeetings.Read.All OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"


class Held:
    """An organizer with one meeting that took place."""

    def __init__(self, world: Any) -> None:
        self.world, store = world, world.simulator.store
        self.organizer = str((find_user(store, ANNA) or {})["id"])
        self.ids = {row["kind"]: str(row["id"]) for row in store.all("artefacts")}
        self.anna: httpx.AsyncClient = world.graph(world.token(ANNA, SCOPES))
        self.app: httpx.AsyncClient = world.graph(world.app_token(CONTOSO, ROLES))


@pytest.fixture
async def held(make_world: Any) -> Held:
    world = make_world(frozen_at="2026-11-01T09:00:00Z")
    meeting = await world.control.do("meeting_booked", organizer=ANNA)
    await world.control.let_meeting_happen(meeting["id"])
    return Held(world)


def every(held: Held, kind: str, given: str = "", tail: str = "") -> str:
    user = f"meetingOrganizerUserId='{held.organizer}'"
    return f"/users/{held.organizer}/onlineMeetings/getAll{kind}({user}{given}){tail}"


@pytest.mark.behaviour(36)
async def test_get_all_is_for_applications_and_needs_the_organizer(held: Held) -> None:
    found = (await held.app.get(every(held, "Recordings"))).json()["value"]
    assert [one["id"] for one in found] == [held.ids["recordings"]]
    assert (await held.anna.get(every(held, "Recordings"))).status_code == 403
    base = f"/users/{held.organizer}/onlineMeetings"
    for bad in ("getAllRecordings", "getAllRecordings()", "getAllRecordings(meetingOrganizerUserId='x')"):
        assert (await held.app.get(f"{base}/{bad}")).status_code == 400
    assert (await held.app.get(every(held, "Recordings", ",from=2020-01-01T00:00:00Z"))).status_code == 400
    assert (await held.app.get(every(held, "Recordings", ",startDateTime=soon"))).status_code == 400
    older = {"$filter": f"MeetingOrganizer/User/Id eq '{held.organizer}'"}
    found = (await held.app.get(f"{base}/getAllTranscripts", params=older)).json()["value"]
    assert [one["id"] for one in found] == [held.ids["transcripts"]]


@pytest.mark.behaviour(36)
async def test_get_all_gives_nothing_of_another_organizers_meetings(held: Held) -> None:
    other = await held.world.control.do("meeting_booked", organizer="ben@contoso.example", attendees=[ANNA])
    await held.world.control.let_meeting_happen(other["id"])
    for tail in ("", "/delta"):
        found = (await held.app.get(every(held, "Recordings", tail=tail))).json()["value"]
        assert [one["id"] for one in found] == [held.ids["recordings"]]


@pytest.mark.behaviour(36)
async def test_get_all_takes_a_window(held: Held) -> None:
    inside = ", startDateTime=2026-11-01T00:00:00Z, endDateTime=2026-11-02T00:00:00Z"
    outside = ",startDateTime=2020-01-01T00:00:00Z,endDateTime=2020-01-02T00:00:00Z"
    assert len((await held.app.get(every(held, "Recordings", inside))).json()["value"]) == 1
    assert (await held.app.get(every(held, "Recordings", outside))).json()["value"] == []


async def more_meetings(held: Held, count: int) -> None:
    for _ in range(count):
        meeting = await held.world.control.do("meeting_booked", organizer=ANNA)
        await held.world.control.let_meeting_happen(meeting["id"])


async def delta_round(held: Held, url: str) -> tuple[list[str], str]:
    ids: list[str] = []
    while True:
        answer = await held.app.get(url)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        ids += [one["id"] for one in body["value"]]
        if "@odata.deltaLink" in body:
            return ids, body["@odata.deltaLink"]
        url = body["@odata.nextLink"]


@pytest.mark.behaviour(36)
async def test_the_delta_gives_each_once_and_at_times_the_old_ones_again(held: Held) -> None:
    await more_meetings(held, 2)
    first, link = await delta_round(held, every(held, "Recordings", tail="/delta"))
    assert len(first) == len(set(first)) == 3
    assert (await delta_round(held, link))[0] == []
    await more_meetings(held, 1)
    await held.world.control.fault("delta_repeats")
    again, link = await delta_round(held, link)
    assert (again[:3], len(again)) == (first, 4)
    assert (await delta_round(held, link))[0] == []
    lost = await held.app.get(link + "x")
    assert (lost.status_code, lost.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert (await held.anna.get(link)).status_code == 403


@pytest.mark.behaviour(36)
async def test_top_may_come_without_a_next_link(held: Held) -> None:
    await more_meetings(held, 2)
    params = {"$top": 2}
    assert "@odata.nextLink" in (await held.app.get(every(held, "Recordings"), params=params)).json()
    await held.world.control.fault("top_without_next_link")
    cut = (await held.app.get(every(held, "Recordings"), params=params)).json()
    assert len(cut["value"]) == 2
    assert "@odata.nextLink" not in cut
