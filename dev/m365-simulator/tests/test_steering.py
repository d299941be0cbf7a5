"""Verbs, faults, scenarios and clocks: what does not exist is refused with what does, and a seed is a promise."""

from collections.abc import Callable
from typing import Any

import pytest

from m365_simulator.clock import moment_of
from m365_simulator.faults import KINDS
from m365_simulator.odata import Allows, BadQuery, read_query
from m365_simulator.schema import first_fault
from m365_simulator.timeline import action
from m365_simulator.verbs import VERBS

ANNA = "anna@contoso.example"
MAIL = {"address": "p@q.example"}
FROZEN = "2026-03-02T09:00:00+00:00"


async def refused(world: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    got = await world.http.post(path, json=body)
    assert got.status_code == 400, got.text
    found: dict[str, Any] = got.json()
    return found


async def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(world: Any) -> None:
    said = await refused(world, "/control/faults", {"name": "thunder"})
    assert set(said["known"]) == set(KINDS)
    assert all(name in said["detail"] for name in KINDS)


async def test_an_option_that_a_fault_does_not_have_is_refused(world: Any) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"retry_afterr": 1}, "retry_after"),
        ({"times": 0}, "times"),
        ({"times": "many"}, "times"),
        ({"skip": -1}, "skip"),
        ({"probability": 2}, "probability"),
        ({"match": "anna"}, "match"),
    ]
    for options, word in wrong:
        said = await refused(world, "/control/faults", {"name": "throttle", **options})
        assert word in said["detail"]
    assert world.simulator.store.all("faults") == []


async def test_an_unknown_verb_or_argument_is_refused_with_those_that_exist(world: Any) -> None:
    assert (await refused(world, "/control/do/sing", {}))["known"] == sorted(VERBS)
    assert "seconds" in (await refused(world, "/control/do/clock_advance", {"secs": 1}))["detail"]
    assert "seconds" in (await refused(world, "/control/do/clock_advance", {"seconds": "soon"}))["detail"]
    assert "forward" in (await refused(world, "/control/do/clock_advance", {"seconds": -1}))["detail"]
    assert "contoso.example" in (await refused(world, "/control/do/tenant_change", {"tenant": "x"}))["detail"]
    not_json = await world.http.post("/control/do/clock_advance", content=b"{")
    assert not_json.status_code == 400


async def test_a_scenario_that_does_not_exist_is_refused_with_those_that_do(world: Any) -> None:
    said = await refused(world, "/control/scenarios/run", {"name": "doomsday"})
    assert said["known"] == sorted((await world.http.get("/control/scenarios")).json())
    assert "Known:" in said["detail"]


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ({"do": "sing"}, "clock_advance"),
        ({"after": "soon"}, "10 min"),
        ({"after": "1 min", "do": "faults_clear"}, "exactly one"),
        ({"do": "clock_advance", "seconds": "$nobody"}, "$nobody"),
        ({}, "exactly one"),
        ({"after": "1 min", "seconds": 4}, "alone"),
    ],
)
async def test_a_bad_step_is_refused_by_its_number(world: Any, step: dict[str, Any], word: str) -> None:
    said = await refused(world, "/control/scenarios/run", {"steps": [{"do": "faults_clear"}, step]})
    assert "Step 2" in said["detail"]
    assert word in said["detail"]


async def test_faults_strike_by_path_person_and_the_nth_call(world: Any) -> None:
    anna = world.graph(world.token(ANNA, "User.Read"))
    ben = world.graph(world.token("ben@contoso.example", "User.Read"))
    await world.control.fault("throttle", skip=1, times=1, match={"user": ANNA, "path": "/me", "method": "GET"})
    got = [(await who.get(path)).status_code for who in (anna, ben) for path in ("/organization", "/me")]
    assert got == [200, 200, 200, 200], "the first of Anna's passes, Ben is not meant, nor is another path"
    assert [(await anna.get("/me")).status_code for _ in range(2)] == [429, 200]


async def test_faults_by_chance_are_the_same_for_the_same_seed(make_world: Callable[..., Any]) -> None:
    async def struck(seed: str) -> list[int]:
        world = make_world(seed=seed)
        me = world.graph(world.token(ANNA, "User.Read"))
        await world.control.fault("throttle", times=None, probability=0.5, retry_after=0)
        return [(await me.get("/me")).status_code for _ in range(40)]

    first = await struck("a")
    assert first == await struck("a")
    assert first != await struck("b")
    assert set(first) == {200, 429}


async def test_ids_are_the_same_for_the_same_seed_and_never_given_twice(make_world: Callable[..., Any]) -> None:
    one, same, other = (make_world(seed=seed).simulator.ids for seed in ("a", "a", "b"))
    assert [one.guid("x"), one.text("x")] == [same.guid("x"), same.text("x")]
    assert one.guid("y") != other.guid("y")
    assert len({one.guid("x") for _ in range(100)}) == 100


async def test_a_frozen_world_moves_when_pushed_and_things_happen_in_time(
    make_world: Callable[..., Any],
) -> None:
    world = make_world(frozen_at=moment_of(FROZEN))
    simulator, seen = world.simulator, []

    @action
    def note(_simulator: Any, payload: dict[str, Any]) -> None:
        seen.append((payload["name"], _simulator.now().isoformat()))

    simulator.timeline.at(moment_of("2026-03-02T09:30:00Z"), note, {"name": "second"}, key="b")
    simulator.timeline.at(moment_of("2026-03-02T09:10:00Z"), note, {"name": "first"}, key="a")
    simulator.timeline.at(moment_of("2026-03-02T09:20:00Z"), note, {"name": "never"}, key="c")
    simulator.timeline.cancel("c")
    simulator.tick()
    assert seen == []
    await world.control.advance(3600)
    assert seen == [("first", "2026-03-02T09:10:00+00:00"), ("second", "2026-03-02T09:30:00+00:00")]
    assert simulator.now() == moment_of("2026-03-02T10:00:00Z")
    assert simulator.clock.service() == moment_of(FROZEN), "the other clock was not pushed"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("name eq 'x' and size gt 3", ["b"]),
        ("not (name eq 'x') or size le 1", ["a", "c"]),
        ("startswith(name, 'Y')", ["c"]),
        ("contains(name,'x')", ["a", "b"]),
        ("mails/any(m:m/address eq 'P@q.example')", ["b"]),
        ("made ge 2026-01-02T00:00:00Z", ["b", "c"]),
        ("name ne null", ["a", "b", "c"]),
        ("name eq 'it''s'", []),
    ],
)
def test_filters_read_as_odata_has_them(text: str, kept: list[str]) -> None:
    filters = ("name", "size", "made", "mails/any/address")
    rows: list[dict[str, Any]] = [
        {"id": "a", "name": "x", "size": 1, "made": "2026-01-01T00:00:00Z"},
        {
            "id": "b",
            "name": "X",
            "size": 4,
            "made": "2026-01-02T00:00:00.0000000Z",
            "mails": [MAIL],
        },
        {"id": "c", "name": "y", "size": 9, "made": "2026-01-03T00:00:00Z"},
    ]
    query = read_query({"$filter": text}, "graph.contact", Allows(filters=filters))
    assert [row["id"] for row in query.apply(rows)[0]] == kept


@pytest.mark.parametrize(
    "text", ["name", "name is 'x'", "other eq 1", "name eq 'x' and", "(name eq 'x'", "name eq 'x' 4"]
)
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadQuery):
        read_query({"$filter": text}, "graph.contact", Allows(filters=("name",)))


@pytest.mark.parametrize("token", ["x", "", "YXQ6eA", "b2Y6NQ"])
def test_a_forged_skip_token_is_refused(token: str) -> None:
    with pytest.raises(BadQuery):
        read_query({"$skiptoken": token}, "graph.contact", Allows())


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("graph.event", {"subjekt": "x"}, "subjekt"),
        ("graph.event", {"subject": 3}, "subject"),
        ("graph.event", {"start": {"dateTime": "x", "zone": "UTC"}}, "zone"),
        ("graph.event", {"importance": "huge"}, "huge"),
        ("graph.event", {"attendees": {}}, "collection"),
        ("graph.subscription", {"resource": None}, "null"),
        ("graph.subscription", {"expirationDateTime": "tomorrow"}, "DateTimeOffset"),
        ("graph.contact", {"birthday": 5}, "birthday"),
        ("graph.message", {"attachments": [{"@odata.type": "#microsoft.graph.user"}]}, "is not a"),
        ("graph.driveItem", {"size": True}, "size"),
        ("graph.event", [], "object"),
    ],
)
def test_a_body_is_held_against_the_metadata(kind: str, body: Any, word: str) -> None:
    assert word in (first_fault(body, kind) or "")


async def test_state_survives_a_restart(make_world: Callable[..., Any]) -> None:
    first = make_world()
    await first.control.fault("throttle", times=3)
    await first.control.advance(100)
    drawn = first.simulator.ids.guid("x")
    second = make_world(state_dir=first.simulator.settings.state_dir).simulator
    assert [row["times"] for row in second.store.all("faults")] == [3]
    assert (second.now() - second.clock.service()).total_seconds() == pytest.approx(100, abs=1)
    assert second.ids.guid("x") != drawn
