"""What a meeting leaves behind, and when; what leaves nothing; calls followed as they happen."""

from typing import Any
from urllib.parse import quote

import pytest

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of
from m365_simulator.directory import CONTOSO

ANNA, BEN, DANA, UNLICENSED = (
    "anna@contoso.example",
    "ben@contoso.example",
    "dana@fabrikam.example",
    "unlicensed@contoso.example",
)
SCOPES = "OnlineMeetings.Read OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"


@pytest.fixture
def world(make_world: Any) -> Any:
    made = make_world(frozen_at="2026-11-01T09:00:00Z")
    made.told = []
    made.simulator.changes.listen(made.told.append)
    return made


async def booked(world: Any, **more: Any) -> str:
    found = await world.control.do("meeting_booked", organizer=ANNA, **{"attendees": [BEN], **more})
    world.told.clear()
    return str(found["id"])


def told(world: Any, kind: str) -> list[Change]:
    return [change for change in world.told if change.type_name.endswith(kind)]


def artefacts(world: Any, kind: str) -> list[dict[str, Any]]:
    return [row for row in world.simulator.store.all("artefacts") if row["kind"] == kind]


async def held(world: Any, meeting: str, people: list[str], *, minutes: float = 30) -> None:
    """A call of these people, now, until everything of it is over."""
    await world.control.do("meeting_starts", meeting=meeting, people=people)
    await world.control.advance(minutes * 60)
    await world.control.do("meeting_ends", meeting=meeting)
    await world.control.advance(3600)


@pytest.mark.behaviour(29)
async def test_a_booked_meeting_takes_place_and_its_artefacts_come_after_its_end(world: Any) -> None:
    await booked(world, in_minutes=30, minutes=30)
    await world.control.advance(3600 + 299)
    assert told(world, "callRecording") == artefacts(world, "recordings") == []
    await world.control.advance(1)
    (recording,), (transcript,) = artefacts(world, "recordings"), artefacts(world, "transcripts")
    assert recording["createdDateTime"] == transcript["createdDateTime"] == "2026-11-01T09:30:00.000000Z"
    assert recording["endDateTime"] == "2026-11-01T10:00:00.000000Z"
    assert len(told(world, "callRecording")) == len(told(world, "callTranscript")) == 1


@pytest.mark.behaviour(29)
async def test_artefacts_and_their_news_come_when_told_to_or_never(world: Any) -> None:
    meeting = await booked(world)
    timing = {"recordings": 600, "transcripts": "never", "notify": 3000}
    await world.control.do("artefact_timing", meeting=meeting, **timing)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA])
    await world.control.advance(600)
    await world.control.do("meeting_ends", meeting=meeting)
    await world.control.advance(600)
    assert len(artefacts(world, "recordings")) == 1
    await world.control.advance(2999)
    assert told(world, "callRecording") == []
    await world.control.advance(1)
    assert len(told(world, "callRecording")) == 1
    await world.control.advance(30 * 86400)
    assert artefacts(world, "transcripts") == []
    quiet = await booked(world)
    await world.control.do("artefact_timing", meeting=quiet, notify="never")
    await held(world, quiet, [ANNA])
    assert len(artefacts(world, "recordings")) == 2
    assert told(world, "callRecording") == []


@pytest.mark.behaviour(29)
async def test_a_fault_delays_the_artefacts_of_one_call(world: Any) -> None:
    meeting = await booked(world)
    await world.control.fault("delay_artefacts", seconds=7200)
    await held(world, meeting, [ANNA])
    assert artefacts(world, "recordings") == []
    await world.control.advance(4000)
    assert len(artefacts(world, "recordings")) == 1


@pytest.mark.behaviour(30)
@pytest.mark.parametrize("people", [[DANA], [UNLICENSED], ["guest@elsewhere.example"]])
async def test_nothing_is_recorded_when_nobody_eligible_joins(world: Any, people: list[str]) -> None:
    meeting = await booked(world)
    await held(world, meeting, people)
    assert world.simulator.store.all("artefacts") == []
    await held(world, meeting, [*people, BEN])
    assert len(world.simulator.store.all("artefacts")) == 2


@pytest.mark.behaviour(30)
async def test_nobody_comes_and_there_is_no_call_at_all(world: Any) -> None:
    meeting = await booked(world)
    await world.control.do("meeting_attended_by", meeting=meeting, people=[])
    await world.control.let_meeting_happen(meeting)
    assert world.simulator.store.all("calls") == world.simulator.store.all("artefacts") == []
    assert world.simulator.store.get("meetings", meeting)["happened"]


@pytest.mark.behaviour(30)
@pytest.mark.parametrize("whose", [CONTOSO, ANNA])
async def test_a_policy_forbids_recording_or_transcription(world: Any, whose: str) -> None:
    await world.control.do("meeting_policy", whose=whose, recording=False)
    await held(world, await booked(world), [ANNA])
    assert [row["kind"] for row in world.simulator.store.all("artefacts")] == ["transcripts"]
    await world.control.do("meeting_policy", whose=whose, transcription=False)
    await held(world, await booked(world), [ANNA])
    assert len(world.simulator.store.all("artefacts")) == 1


@pytest.mark.behaviour(30)
async def test_a_recording_without_transcription_needs_the_tenants_leave(world: Any) -> None:
    await held(world, await booked(world, transcribe=False), [ANNA])
    assert world.simulator.store.all("artefacts") == []
    await world.control.do("meeting_policy", whose=CONTOSO, recordings_alone=True)
    await held(world, await booked(world, transcribe=False), [ANNA])
    assert [row["kind"] for row in world.simulator.store.all("artefacts")] == ["recordings"]


@pytest.mark.behaviour(31)
async def test_a_meeting_recorded_twice_has_two_pairs_of_one_call(world: Any) -> None:
    meeting = await booked(world, record=False)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA, BEN])
    for _ in range(2):
        await world.control.do("recording_starts", meeting=meeting)
        await world.control.advance(600)
        await world.control.do("recording_stops", meeting=meeting)
    await world.control.do("meeting_ends", meeting=meeting)
    await world.control.advance(3600)
    recordings, transcripts = artefacts(world, "recordings"), artefacts(world, "transcripts")
    assert {row["callId"] for row in [*recordings, *transcripts]} == {world.simulator.store.all("calls")[0]["id"]}
    pairs = [row["contentCorrelationId"] for row in recordings]
    assert len(set(pairs)) == 2
    assert pairs == [row["contentCorrelationId"] for row in transcripts]
    anna = world.graph(world.token(ANNA, SCOPES))
    found = await anna.get(
        f"/me/onlineMeetings/{meeting}/transcripts", params={"$filter": f"contentCorrelationId eq '{pairs[1]}'"}
    )
    assert [one["id"] for one in found.json()["value"]] == [transcripts[1]["id"]]


@pytest.mark.behaviour(31)
async def test_a_recording_longer_than_four_hours_goes_on_in_the_next(world: Any) -> None:
    meeting = await booked(world)
    await held(world, meeting, [ANNA], minutes=9 * 60)
    rows = artefacts(world, "recordings")
    hours = [(moment_of(r["endDateTime"]) - moment_of(r["createdDateTime"])).total_seconds() / 3600 for r in rows]
    assert hours == [4, 4, 1]


@pytest.mark.behaviour(31, 45)
async def test_a_meeting_joined_again_after_its_end_has_two_calls_that_both_end(world: Any) -> None:
    meeting = await booked(world)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA, BEN])
    await world.control.advance(600)
    await world.control.do("person_leaves", meeting=meeting, person=ANNA)
    await world.control.do("person_leaves", meeting=meeting, person=BEN)
    await world.control.advance(600)
    await world.control.do("person_joins", meeting=meeting, person=BEN)
    await world.control.advance(600)
    await world.control.do("meeting_ends", meeting=meeting)
    await world.control.advance(3600)
    rows = artefacts(world, "recordings")
    assert len({row["callId"] for row in rows}) == len(rows) == 2
    events = [change.data["eventType"] for change in told(world, "callEvent")]
    assert events.count("callStarted") == events.count("callEnded") == 2
    assert events.count("rosterUpdated") == 5


@pytest.mark.behaviour(45)
async def test_call_events_are_covered_by_the_join_link_encoded_once_more(world: Any) -> None:
    meeting = await booked(world)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA])
    started, joined = told(world, "callEvent")
    link = quote(world.simulator.store.get("meetings", meeting)["join_url"], safe="")
    assert started.covered_by[0] == f"communications/onlineMeetings(joinWebUrl='{link}')/meetingCallEvents"
    assert (started.change_type, started.resource) == ("updated", started.covered_by[0])
    (person,) = joined.data["participants@delta"]
    assert person["info"]["identity"]["user"]["displayName"] == "Anna Andersson"
    await world.control.do("person_joins", meeting=meeting, person=BEN)
    await world.control.do("person_leaves", meeting=meeting, person=BEN)
    assert "removedState" in told(world, "callEvent")[-1].data["participants@delta"][0]


@pytest.mark.behaviour(45)
async def test_a_call_is_told_only_to_subscriptions_older_than_its_beginning(watcher: Any) -> None:
    do = watcher.world.control.do
    meeting = (await do("meeting_booked", organizer=ANNA, attendees=[BEN]))["id"]
    link = quote(watcher.simulator.store.get("meetings", meeting)["join_url"], safe="")
    resource = f"communications/onlineMeetings(joinWebUrl='{link}')/meetingCallEvents"
    await do("meeting_starts", meeting=meeting, people=[ANNA])
    await watcher.subscribe(resource, changeType="updated")
    await do("meeting_ends", meeting=meeting)
    await watcher.after()
    assert watcher.told() == [], "it began before"
    await do("person_joins", meeting=meeting, person=ANNA)
    await do("meeting_ends", meeting=meeting)
    await watcher.after()
    assert len(watcher.told()) == 3, "started, who came, ended"


@pytest.mark.behaviour(27, 31)
async def test_occurrences_of_a_series_share_one_list_each_with_its_own_call(world: Any) -> None:
    meeting = await booked(world, weeks=3)
    for _ in range(3):
        await world.control.let_meeting_happen(meeting)
    rows = artefacts(world, "recordings")
    days = [row["createdDateTime"][:10] for row in rows]
    assert days == ["2026-11-01", "2026-11-08", "2026-11-15"]
    assert len({row["callId"] for row in rows}) == 3
    anna = world.graph(world.token(ANNA, SCOPES))
    listed = (await anna.get(f"/me/onlineMeetings/{meeting}/recordings", params={"$top": 10})).json()["value"]
    assert [one["id"] for one in listed] == [row["id"] for row in rows]


@pytest.mark.behaviour(46)
async def test_an_artefact_may_be_announced_before_it_can_be_read(world: Any) -> None:
    meeting = await booked(world)
    await world.control.do("artefact_timing", readable=600, content=300)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA])
    await world.control.advance(60)
    await world.control.do("meeting_ends", meeting=meeting)
    await world.control.advance(300)
    (news,) = told(world, "callTranscript")
    anna = world.graph(world.token(ANNA, SCOPES))
    path = f"/me/onlineMeetings/{meeting}/transcripts"
    for later, statuses in ((0, (404, 404)), (600, (200, 404)), (300, (200, 200))):
        await world.control.advance(later)
        one = await anna.get(f"{path}/{news.item_id}")
        assert (one.status_code, (await anna.get(f"{path}/{news.item_id}/content")).status_code) == statuses
        assert len((await anna.get(path)).json()["value"]) == (statuses[0] == 200)


@pytest.mark.behaviour(46)
async def test_content_may_be_empty_for_a_while(world: Any) -> None:
    meeting = await booked(world)
    await held(world, meeting, [ANNA])
    anna = world.graph(world.token(ANNA, SCOPES))
    path = f"/me/onlineMeetings/{meeting}/transcripts/{artefacts(world, 'transcripts')[0]['id']}/content"
    await world.control.fault("empty_content")
    assert (await anna.get(path)).content == b""
    assert (await anna.get(path)).text.startswith("WEBVTT")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("recording_starts", {}),
        ("recording_stops", {}),
        ("meeting_ends", {}),
        ("meeting_starts", {"people": []}),
        ("meeting_rescheduled", {"later_minutes": 5, "occurrence": 4}),
        ("artefact_timing", {"recordings": "soon"}),
        ("transcript_form", {"form": "verse"}),
    ],
)
async def test_what_cannot_happen_is_refused_with_a_sentence(world: Any, verb: str, arguments: dict[str, Any]) -> None:
    meeting = await booked(world)
    answer = await world.http.post(f"/control/do/{verb}", json={"meeting": meeting, **arguments})
    assert answer.status_code == 400
    assert len(answer.json()["detail"]) > 20


async def test_a_recording_that_runs_cannot_be_started_twice(world: Any) -> None:
    meeting = await booked(world)
    await world.control.do("meeting_starts", meeting=meeting, people=[ANNA])
    answer = await world.http.post("/control/do/recording_starts", json={"meeting": meeting})
    assert answer.status_code == 400


async def test_a_call_whose_event_is_cancelled_goes_on_and_is_recorded(world: Any) -> None:
    meeting = await booked(world, in_minutes=30, minutes=30)
    await world.control.advance(2000)
    await world.control.do("meeting_cancelled", meeting=meeting)
    await world.control.advance(3600)
    assert len(artefacts(world, "recordings")) == 1
    cancelled = await booked(world)
    await world.control.do("meeting_cancelled", meeting=cancelled)
    await world.control.let_meeting_happen(cancelled)
    assert len(artefacts(world, "recordings")) == 1
