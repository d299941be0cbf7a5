"""Every recording with its transcript, the calls they were made in, and the end that follows."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from shared.events import (
    ArtefactAwaited,
    ArtefactDetected,
    ArtefactMoved,
    FileDeleted,
    MeetingEnded,
    RecordingImported,
    RecordingUnavailable,
    TranscriptImported,
)

START = datetime(2030, 3, 1, 9, tzinfo=UTC)
"""Booked until half past."""


class Teams:
    """Tells the house what recording-ingest would tell of one meeting, each event under the next version."""

    def __init__(self, house: Any, meeting_id: str) -> None:
        self.house, self.meeting_id, self.version = house, meeting_id, 0

    def about(self) -> dict[str, Any]:
        self.version += 1
        return {"org_id": "acme", "meeting_id": self.meeting_id, "aggregate_version": self.version}

    def seen(self, id_: str, began: float, over: float | None, **more: Any) -> ArtefactDetected:
        """Minutes after the booked start; a name with r is a recording."""
        kind = "recording" if id_.startswith("r") else "transcript"
        times = {"created_at": at(began), "ended_at": None if over is None else at(over)}
        return ArtefactDetected.model_validate(self.about() | times | {"artefact_id": id_, "kind": kind} | more)

    def imported(self, id_: str, began: float, over: float | None) -> RecordingImported | TranscriptImported:
        times = {"created_at": at(began), "ended_at": None if over is None else at(over), "artefact_id": id_}
        if id_.startswith("r"):
            of_file = {"file_id": f"file-{id_}", "size_bytes": 7, "content_type": "video/mp4", "location": "here"}
            return RecordingImported.model_validate(self.about() | times | of_file)
        return TranscriptImported.model_validate(self.about() | times | {"speakers": [], "line_count": 1})


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


@pytest.fixture
async def teams(house: Any) -> Teams:
    await house.connect()
    (meeting_id,) = await house.booked()
    return Teams(house, meeting_id)


async def shown(teams: Teams) -> list[tuple[str, str | None]]:
    record = await teams.house.record(teams.meeting_id)
    return [(one["id"], one["transcript"] and one["transcript"]["id"]) for one in record["recordings"]]


async def test_two_calls_show_both_recordings_with_their_transcripts(teams: Teams) -> None:
    """Transcripts arrive before recordings, and those of the second call before those of the first."""
    await teams.house.hear(
        teams.seen("t2", 17, 30, call_id="c2", pair_id="p2"),
        teams.seen("r2", 17, 30, call_id="c2", pair_id="p2"),
        teams.imported("t2", 17, 30),
        teams.imported("r2", 17, 30),
        teams.seen("r1", 0, 11, call_id="c1", pair_id="p1"),
        teams.seen("t1", 0, 11, call_id="c1", pair_id="p1"),
        teams.imported("r1", 0, 11),
        teams.imported("t1", 0, 11),
    )
    assert await shown(teams) == [("r1", "t1"), ("r2", "t2")]
    record = await teams.house.record(teams.meeting_id)
    assert [one["content_url"] for one in record["recordings"]] == [f"/v1/files/file-r{n}/content" for n in (1, 2)]
    assert record["recording"]["content_url"] == record["recordings"][1]["content_url"]
    assert record["transcript"]["content_url"] == "/v1/transcripts/t2"
    assert record["recordings"][0]["duration_s"] == 660


async def test_pairs_of_no_name_are_told_by_their_call_and_time(teams: Teams) -> None:
    await teams.house.hear(
        teams.seen("r1", 0, 10, call_id="c1"),
        teams.seen("r2", 12, 20, call_id="c1"),
        teams.seen("r3", 12, 20, call_id="c2"),
        teams.seen("t2", 12, 20, call_id="c1"),
        teams.seen("t9", 40, 50, call_id="c1"),
        teams.seen("t1", 0, 10, call_id="c1"),
    )
    assert await shown(teams) == [("r1", "t1"), ("r2", "t2"), ("r3", None)]
    record = await teams.house.record(teams.meeting_id)
    assert [one["id"] for one in record["transcripts"]] == ["t9"]


async def test_a_later_call_corrects_the_end_and_says_what_it_corrects(teams: Teams) -> None:
    await teams.house.hear(
        teams.seen("r1", 0, 11, call_id="c1"),
        teams.seen("t1", 0, 11.1, call_id="c1"),
        teams.seen("r2", 17, 32, call_id="c2"),
        teams.seen("r1", 0, 11, call_id="c1"),
    )
    told = [MeetingEnded.model_validate(one) for one in await teams.house.published("meeting.ended")]
    assert [(one.ended_at, one.corrects) for one in told] == [(at(11), None), (at(32), at(11))]
    assert told[0].aggregate_version < told[1].aggregate_version
    record = await teams.house.record(teams.meeting_id)
    assert [call["part"] for call in record["calls"]] == ["meeting", "meeting"]
    assert datetime.fromisoformat(record["ended"]["at"]) == at(32)


async def test_the_end_rises_in_confidence_as_more_is_known(teams: Teams) -> None:
    await teams.house.hurry("booked_end")
    await teams.house.work()
    await teams.house.hear(teams.seen("r1", 2, None, call_id="c1"), teams.seen("r1", 2, 25, call_id="c1"))
    told = [(one["source"], one["confidence"]) for one in await teams.house.published("meeting.ended")]
    assert told == [("booked_end", "low"), ("artefact", "medium"), ("artefact", "high")]


@pytest.mark.parametrize(
    ("began", "over", "part", "ends"),
    [
        (-24 * 60, -24 * 60 + 2, "rehearsal", False),
        (-90, -61, "rehearsal", False),
        (-50, -5, "meeting", True),
        (25, 90, "meeting", True),
        (30 + 13 * 60, 30 + 14 * 60, "afterwards", False),
    ],
)
async def test_a_call_far_from_the_booked_time_ends_nothing(
    teams: Teams, began: float, over: float, part: str, ends: bool
) -> None:
    await teams.house.hear(teams.seen("r1", began, over, call_id="c1"), teams.imported("r1", began, over))
    record = await teams.house.record(teams.meeting_id)
    assert [call["part"] for call in record["calls"]] == [part]
    assert (record["ended"] is not None) == ends == bool(await teams.house.published("meeting.ended"))
    assert record["recordings"][0]["status"] == "imported"


async def test_what_becomes_of_one_recording_leaves_the_other_alone(teams: Teams) -> None:
    why = {"code": "feature_off", "reason": "Switched off."}
    await teams.house.hear(
        teams.seen("r1", 0, 10, call_id="c1"),
        teams.imported("r1", 0, 10),
        teams.seen("r2", 12, 20, call_id="c2"),
        RecordingUnavailable(**teams.about(), **why, artefact_id="r2"),
    )

    async def statuses() -> list[str]:
        record = await teams.house.record(teams.meeting_id)
        assert record["recording"]["status"] == "imported" or record["recordings"][0]["code"] == "file_deleted"
        return [one["status"] for one in record["recordings"]]

    assert await statuses() == ["imported", "unavailable"]
    await teams.house.hear(ArtefactAwaited(**teams.about(), kind="recording", detected=True, artefact_id="r2"))
    assert await statuses() == ["imported", "importing"]
    await teams.house.hear(FileDeleted(org_id="acme", file_id="file-r1", because="person", aggregate_version=1))
    assert await statuses() == ["unavailable", "importing"]
    old = RecordingUnavailable(**(teams.about() | {"aggregate_version": 1}), **why, artefact_id="r2")
    await teams.house.hear(old)
    assert await statuses() == ["unavailable", "importing"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_an_artefact_that_moved_away_is_gone_in_any_order_of_events(teams: Teams, order: tuple[int, ...]) -> None:
    seen, imported = teams.seen("r1", 0, 30), teams.imported("r1", 0, 30)
    moved = ArtefactMoved.model_validate(teams.about() | {"artefact_id": "r1", "kind": "recording"})
    told = [seen, imported, moved]
    for number in order:
        await teams.house.hear(told[number])
    record = await teams.house.record(teams.meeting_id)
    assert (record["recordings"], record["recording"], record["calls"]) == ([], None, [])
    await teams.house.hear(teams.seen("r1", 0, 30), teams.imported("r1", 0, 30))
    assert await shown(teams) == [("r1", None)], "it came back"


async def test_what_stays_is_shown_when_another_moved(teams: Teams) -> None:
    await teams.house.hear(teams.imported("r1", 0, 10), teams.imported("r2", 12, 30))
    moved = ArtefactMoved.model_validate(teams.about() | {"artefact_id": "r2", "kind": "recording"})
    await teams.house.hear(moved)
    record = await teams.house.record(teams.meeting_id)
    assert await shown(teams) == [("r1", None)]
    assert record["recording"]["content_url"] == "/v1/files/file-r1/content"
