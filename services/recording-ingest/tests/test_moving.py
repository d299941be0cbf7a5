"""What was placed follows the occurrences that are moved, unless a person placed it; nothing is lost on the way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.events import MeetingCancelled, MeetingRescheduled

from .test_occurrences import START, WEEK, artefact, at_microsoft, look, placed, unassigned, weekly

HALF_HOUR, DAY = timedelta(minutes=30), timedelta(days=1)
SECOND, THIRD = START + WEEK, START + 2 * WEEK


class Story:
    """Three weekly occurrences, and what was recorded in the second."""

    def __init__(self, house: Any) -> None:
        self.house, self.version = house, 2

    async def moved(self, meeting_id: str, days: float) -> None:
        """So many days after the first was booked."""
        self.version += 1
        about = {"org_id": "acme", "meeting_id": meeting_id, "aggregate_version": self.version}
        start = START + days * DAY
        told = MeetingRescheduled(**about, subject="Review", attendees=[], start=start, end=start + HALF_HOUR)
        await self.house.hear(told.model_copy(update={"origin": "outlook"}))
        await self.house.settle()

    async def where(self) -> tuple[dict[str, str], list[str]]:
        """Meetings of what has its place, and what waits for a person."""
        rows = await self.house.rows("artefact")
        has = {row["graph_id"]: row["meeting_id"] for row in rows if row["adrift"] is None}
        left = {row["id"]: row["graph_id"] for row in rows}
        return has, sorted(left[one["id"]] for one in await unassigned(self.house) if one["id"] in left)

    async def told(self) -> list[tuple[str, str, str | None]]:
        """What was moved, from where, and where to."""
        rows = {row["id"]: row["graph_id"] for row in await self.house.rows("artefact")}
        events = await self.house.published("artefact.moved")
        return [(rows[one["artefact_id"]], one["meeting_id"], one["to_meeting_id"]) for one in events]


@pytest.fixture
async def story(house: Any) -> Story:
    booked = await weekly(house)
    both = artefact("t1", SECOND, call="one")
    film = replace(both, kind="recording", graph_id="r1")
    for found in (both, film):
        at_microsoft(house, booked, replace(found, content_correlation_id="pair"))
    await look(house)
    await house.settle()
    assert await placed(house) == {"t1": "m2", "r1": "m2"}
    return Story(house)


BOTH = ("r1", "t1")
_MOVES = [
    # moves in Outlook, days after the first | where it is then | what was told: from, to
    ("by minutes", [("m2", 7.01)], "m2", []),
    ("by a day, and nothing else is near", [("m2", 8)], "m2", []),
    ("over its neighbour", [("m2", 15)], None, [("m2", None)]),
    ("over its neighbour and back", [("m2", 15), ("m2", 7)], "m2", [("m2", None)]),
    ("exchanged, the one that leaves first", [("m2", 14), ("m3", 7)], "m3", [("m2", None)]),
    ("exchanged, the one that comes first", [("m3", 7), ("m2", 14)], "m3", [("m2", "m3")]),
    ("another comes near", [("m3", 7.5)], "m2", []),
]  # fmt: skip


@pytest.mark.parametrize(("moves", "where", "told"), [one[1:] for one in _MOVES], ids=[one[0] for one in _MOVES])
async def test_what_fits_no_more_goes_where_it_fits_or_to_a_person(
    story: Story, moves: Any, where: str | None, told: Any
) -> None:
    for meeting_id, days in moves:
        await story.moved(meeting_id, days)
    has, left = await story.where()
    assert has == ({} if where is None else dict.fromkeys(BOTH, where))
    assert left == ([] if where else list(BOTH))
    assert sorted(await story.told(), key=str) == sorted([(one, *way) for one in BOTH for way in told], key=str)


async def test_the_other_meeting_hears_of_it_whole_and_nothing_is_fetched_again(story: Story) -> None:
    house = story.house
    before = {name: await house.published(name) for name in ("recording.imported", "transcript.imported")}
    calls = [one for one in await house.microsoft.calls() if one["path"].endswith("/content")]
    await story.moved("m3", 7)
    await story.moved("m2", 14)
    for name, had in before.items():
        (old,), now = had, await house.published(name)
        (new,) = [one for one in now if one not in had]
        same = {"artefact_id", "created_at", "ended_at"} | ({"file_id"} if "file_id" in old else {"line_count"})
        assert {key: new[key] for key in same} == {key: old[key] for key in same}
        assert (old["meeting_id"], new["meeting_id"]) == ("m2", "m3")
    assert [one for one in await house.microsoft.calls() if one["path"].endswith("/content")] == calls
    shown = (await house.read("/v1/ledger/m3")).json()["artefacts"]
    assert {one["kind"]: one["status"] for one in shown} == {"recording": "imported", "transcript": "imported"}
    left = (await house.read("/v1/ledger/m2")).json()["artefacts"]
    assert {one["id"] for one in left} == {None}
    (transcript,) = await house.rows("transcript")
    assert transcript["meeting_id"] == "m3"
    steps = (await house.read("/v1/ledger/m2/story")).json()["steps"]
    assert [one["details"]["to"] for one in steps if one["what"] == "moved_away"] == ["m3", "m3"]


async def test_one_click_gives_what_is_adrift_its_meeting(story: Story) -> None:
    house = story.house
    await story.moved("m2", 15)
    first, second = await unassigned(house)
    assert (first["why"], {choice["meeting_id"] for choice in first["choices"]}) == ("far", {"m1", "m2", "m3"})
    path = f"/v1/ledger/m3/artefacts/{first['id']}"
    for who in ({"user": "ben"}, {"org": "globex"}):
        assert (await house.call("POST", path, json={}, **who)).status_code == 404
    elsewhere = await house.book()
    await house.hear(house.scheduled(elsewhere, "elsewhere"))
    await house.hear(house.scheduled(elsewhere, "bens", user_id="ben"))
    of_ben = await house.call("POST", f"/v1/ledger/bens/artefacts/{first['id']}", json={}, user="ben")
    assert (of_ben.status_code, of_ben.json()["code"]) == (404, "artefact_not_found")
    refused = await house.call("POST", f"/v1/ledger/elsewhere/artefacts/{first['id']}", json={})
    assert refused.json()["code"] == "not_a_choice"
    answer = await house.call("POST", path, json={})
    assert {one["id"] for one in answer.json()["artefacts"]} == {first["id"], second["id"]}
    assert await story.where() == (dict.fromkeys(BOTH, "m3"), [])
    for days in (20, 40):
        await story.moved("m3", days)
    assert await story.where() == (dict.fromkeys(BOTH, "m3"), []), "a person said so"


async def test_what_a_person_assigned_is_never_moved(house: Any) -> None:
    booked = await weekly(house)
    at_microsoft(house, booked, artefact("t9", START + WEEK / 2))
    await look(house)
    (left,) = await unassigned(house)
    await house.call("POST", f"/v1/ledger/m2/artefacts/{left['id']}", json={})
    await house.settle()
    story = Story(house)
    await story.moved("m2", 30)
    await story.moved("m1", 3.5)
    assert await story.where() == ({"t9": "m2"}, [])


async def test_an_import_under_way_goes_on_in_the_other_meeting(house: Any) -> None:
    booked = await weekly(house)
    at_microsoft(house, booked, artefact("t1", SECOND))
    await house.microsoft.fault("refused", status=503, times=None, match={"path": "*/content"})
    await look(house)
    story = Story(house)
    await story.moved("m3", 7)
    await story.moved("m2", 14)
    await house.microsoft.clear_faults()
    await house.hurry()
    await house.settle()
    (told,) = await house.published("transcript.imported")
    assert told["meeting_id"] == "m3"


async def test_a_cancelled_occurrence_keeps_what_was_recorded_in_it(story: Story) -> None:
    about = {"org_id": "acme", "meeting_id": "m2", "aggregate_version": 9}
    await story.house.hear(MeetingCancelled(**about))
    await story.house.settle()
    assert await story.where() == (dict.fromkeys(BOTH, "m2"), [])
