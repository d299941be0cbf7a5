"""Transcripts that nobody could have spoken."""

from typing import Any

import pytest


@pytest.fixture(
    params=[{"transcript_parse_s": 0}, {"transcript_lines_max": 1}, {"transcript_limit_bytes": 10}],
    ids=["too long to read", "too many lines", "too large"],
)
def ingest_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    given: dict[str, Any] = request.param
    return given


async def test_a_transcript_too_long_to_read_is_said_to_be_unreadable(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    (told,) = await house.published("transcript.unavailable")
    assert told["code"] == "transcript_unreadable"
    assert "Read it in Teams" in told["reason"]
    assert await house.sql("SELECT * FROM job WHERE kind = 'import_transcript' AND state = 'waiting'") == []
    assert len(await house.published("recording.imported")) == 1
    assert await house.rows("transcript") == await house.rows("transcript_line") == []
