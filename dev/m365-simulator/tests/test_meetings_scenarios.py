"""The scenario files about meetings: what each leaves, and that a run can be repeated exactly."""

import datetime
import functools
import json
from collections import Counter
from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.steering import scenarios
from m365_simulator.verbs import VERBS

ANNA = "anna@contoso.example"
SCOPES = "OnlineMeetings.Read OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
ROLES = "OnlineMeetings.Read.All OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
LEFT = {  # calls, recordings, transcripts, notifications of either
    "recorded-twice-transcript-late": (1, 2, 2, 4),
    "nobody-joins": (0, 0, 0, 0),
    "only-guests-join": (1, 0, 0, 0),
    "transcript-switch-off": (1, 1, 1, 2),
    "speaker-names-off": (1, 1, 1, 2),
    "rescheduled-in-outlook": (1, 1, 1, 2),
    "series-with-exception": (3, 3, 3, 6),
    "rejoined-after-the-end": (2, 2, 2, 4),
    "recording-never-comes": (1, 0, 1, 1),
    "news-never-comes": (1, 1, 1, 0),
    "announced-before-readable": (1, 1, 1, 2),
    "organizer-leaves": (1, 1, 1, 2),
    "recording-without-transcription": (1, 0, 0, 0),
    "recording-forbidden-by-policy": (1, 0, 0, 0),
    "cancelled-in-outlook": (0, 0, 0, 0),
}


@functools.cache
def soon() -> str:
    """The same for all runs that are compared."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=59)).isoformat()


class Run:
    """A world whose organizer's artefacts are subscribed to; ``posted`` is what was notified."""

    def __init__(self, make_world: Any, seed: str) -> None:
        self.posted: list[Any] = []
        outbound = httpx.AsyncClient(transport=httpx.MockTransport(self.receive))
        self.world = make_world(outbound=outbound, frozen_at="2026-11-01T09:00:00Z", seed=seed)
        self.store = self.world.simulator.store

    async def receive(self, request: httpx.Request) -> httpx.Response:
        if "validationToken" in request.url.params:
            return httpx.Response(200, text=request.url.params["validationToken"])
        self.posted += json.loads(request.content)["value"]
        return httpx.Response(202)

    async def play(self, name: str) -> dict[str, Any]:
        oid = (find_user(self.store, ANNA) or {})["id"]
        app = self.world.graph(self.world.app_token(CONTOSO, ROLES))
        for every in ("getAllRecordings", "getAllTranscripts"):
            body = {"changeType": "created", "notificationUrl": "https://receiver.example/hook"}
            body |= {"resource": f"users/{oid}/onlineMeetings/{every}", "expirationDateTime": soon()}
            made = await app.post("/subscriptions", json=body)
            assert made.status_code == 201, made.text
        done: dict[str, Any] = await self.world.control.run(name)
        await self.world.control.settle()
        return done

    def meeting(self) -> dict[str, Any]:
        (row,) = self.store.all("meetings")
        found: dict[str, Any] = row
        return found

    def left(self) -> tuple[int, int, int, int]:
        kinds = Counter(row["kind"] for row in self.store.all("artefacts"))
        return len(self.store.all("calls")), kinds["recordings"], kinds["transcripts"], len(self.posted)


@pytest.mark.behaviour(29, 30, 31)
@pytest.mark.parametrize("name", LEFT)
async def test_each_scenario_leaves_what_its_name_says(make_world: Any, name: str) -> None:
    run = Run(make_world, "prospo")
    await run.play(name)
    assert run.left() == LEFT[name]


def test_every_scenario_file_about_meetings_alone_is_run() -> None:
    about = {name for name, one in scenarios.known().items() if _about_meetings(one)}
    assert about == set(LEFT)
    assert all(scenarios.known()[name].says for name in about)


def _about_meetings(scenario: scenarios.Scenario) -> bool:
    verbs = {step["do"] for step in scenario.steps if "do" in step} - {"tenant_change"}
    return bool(verbs) and all(VERBS[name].call.__module__ == "m365_simulator.teams.happenings" for name in verbs)


@pytest.mark.parametrize("name", ["recorded-twice-transcript-late", "rejoined-after-the-end", "series-with-exception"])
async def test_the_same_seed_twice_gives_the_same_ids_calls_and_notifications(make_world: Any, name: str) -> None:
    first, second, other = (Run(make_world, seed) for seed in ("one", "one", "two"))
    for run in (first, second, other):
        await run.play(name)
    for kind in ("meetings", "events", "event_copies", "calls", "artefacts", "subscriptions"):
        rows = [[_steady(row) for row in run.store.all(kind)] for run in (first, second)]
        assert rows[0] == rows[1], kind
        assert rows[0]
    assert first.posted == second.posted
    graph = [[(r["method"], r["path"], r["status"]) for r in run.world.simulator.calls.rows] for run in (first, second)]
    assert graph[0] == graph[1]
    assert first.posted != other.posted


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """Without the moment that callers' own clocks decide."""
    return {key: value for key, value in row.items() if key != "expires"}


async def test_a_transcript_comes_forty_minutes_after_the_recording(make_world: Any) -> None:
    run = Run(make_world, "prospo")
    told: list[tuple[str, datetime.datetime]] = []
    run.world.simulator.changes.listen(lambda change: told.append((change.type_name, run.world.simulator.now())))
    await run.play("recorded-twice-transcript-late")
    times = {name.rpartition(".")[2]: at for name, at in told}
    assert times["callTranscript"] - times["callRecording"] == datetime.timedelta(seconds=2100)


@pytest.mark.behaviour(27)
async def test_a_moved_meeting_is_recorded_at_its_new_time(make_world: Any) -> None:
    run = Run(make_world, "prospo")
    await run.play("rescheduled-in-outlook")
    (call,) = run.store.all("calls")
    assert call["started"] == "2026-11-01T10:30:00.000000Z"
    weekly = Run(make_world, "prospo")
    await weekly.play("series-with-exception")
    days = [call["started"][:10] for call in weekly.store.all("calls")]
    assert days == ["2026-11-01", "2026-11-09", "2026-11-22"]


@pytest.mark.behaviour(32)
async def test_the_transcript_cannot_be_read_only_while_the_switch_is_off(make_world: Any) -> None:
    run = Run(make_world, "prospo")
    steps = list(scenarios.known()["transcript-switch-off"].steps)
    await run.world.http.post("/control/scenarios/run", json={"name": "first", "steps": steps[:-1]})
    anna = run.world.graph(run.world.token(ANNA, SCOPES))
    path = f"/me/onlineMeetings/{run.meeting()['id']}/transcripts"
    assert (await anna.get(path)).status_code == 403
    await run.world.http.post("/control/scenarios/run", json={"name": "last", "steps": steps[-1:]})
    assert len((await anna.get(path)).json()["value"]) == 1


async def test_who_left_early_is_still_among_those_who_came(make_world: Any) -> None:
    run = Run(make_world, "prospo")
    await run.play("organizer-leaves")
    (call,) = run.store.all("calls")
    (recording,) = [row for row in run.store.all("artefacts") if row["kind"] == "recordings"]
    assert len(call["came"]) == 2
    assert (recording["createdDateTime"], recording["endDateTime"]) == (call["started"], call["ended"])
