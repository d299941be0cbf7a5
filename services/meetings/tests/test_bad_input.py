"""What cannot be a meeting is refused by its field, and asks Microsoft nothing; what is merely large is kept whole."""

import json
from typing import Any

import pytest

from shared.database.outbox import MAX_PAYLOAD_BYTES

from .test_second_author import booked, in_outlook

MANY = [{"email": f"person{number:04}@contoso.example"} for number in range(1000)]
BAD: dict[str, dict[str, Any]] = {
    "a thousand attendees": {"attendees": MANY},
    "an attendee of no address": {"attendees": [{"email": "nobody"}]},
    "NUL in an attendee's name": {"attendees": [{"email": "a@x.example", "name": "a\x00b"}]},
    "the year 9999": {"start": "9999-12-31T10:00:00Z", "end": "9999-12-31T11:00:00Z"},
    "the year 9999 in a zone that is then in 10000": {
        "start": "9999-12-31T20:00:00Z",
        "end": "9999-12-31T23:59:00Z",
        "time_zone": "Asia/Tokyo",
    },
    "the year 1": {"start": "0001-01-01T00:00:00+14:00", "end": "0001-01-01T01:00:00+14:00"},
    "an unknown zone": {"time_zone": "Mars/Olympus"},
    "NUL in the subject": {"subject": "a\x00b"},
    "NUL in the agenda": {"body": "a\x00b"},
    "a subject of blanks": {"subject": "   "},
    "a subject without end": {"subject": "x" * 100_000},
    "an unknown field": {"colour": "red"},
}
SERIES: dict[str, dict[str, Any]] = {
    "no end": {"every": "week"},
    "two ends": {"every": "week", "count": 2, "until": "2030-04-01"},
    "a thousand times": {"every": "day", "count": 1000},
    "no day": {"every": "day", "count": 0},
    "the year 9999": {"every": "day", "until": "9999-12-31"},
}


async def refused(house: Any, path: str, **more: Any) -> None:
    body = {"subject": "Review", "start": "2030-03-01T10:00:00+01:00", "end": "2030-03-01T10:30:00+01:00"} | more
    answer = await house.call("POST", path, json=body, headers={"Idempotency-Key": "bad"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert len(answer.content) < 20_000
    assert (await house.rows("meeting"), await house.rows("job"), await house.asked()) == ([], [], 0)


@pytest.mark.parametrize("what", BAD)
async def test_what_cannot_be_a_meeting_is_refused_and_nothing_is_kept(house: Any, what: str) -> None:
    await house.connect(on=False)
    await house.sql("DELETE FROM job")
    await refused(house, "/v1/meetings", **BAD[what])


@pytest.mark.parametrize("what", SERIES)
async def test_what_cannot_be_a_series_is_refused_and_nothing_is_kept(house: Any, what: str) -> None:
    await house.connect(on=False)
    await house.sql("DELETE FROM job")
    await refused(house, "/v1/meetings/series", repeats=SERIES[what])


def told(event: dict[str, Any]) -> int:
    assert len(json.dumps(event, ensure_ascii=False).encode()) < MAX_PAYLOAD_BYTES
    return len(event["attendees"]) + int(event["attendees_more"])


async def test_as_many_attendees_as_may_be_with_the_longest_names_are_booked(house: Any) -> None:
    people = [{"email": f"{number:03}{'x' * 200}@contoso.example", "name": "名" * 255} for number in range(200)]
    await house.connect(on=False)
    made = await house.schedule(attendees=people)
    assert (made.json()["status"], len(made.json()["attendees"])) == ("scheduled", 200)
    (event,) = await house.published("meeting.scheduled")
    assert (told(event), event["attendees"][0]["name"]) == (200, "名" * 255)
    assert len(event["attendees"]) < 200


async def test_a_thousand_who_are_invited_in_outlook_are_all_in_the_record(house: Any) -> None:
    meeting_id = await booked(house)
    await in_outlook(house, "meeting_edited", attendees=[one["email"] for one in MANY])
    await house.notified()
    record = await house.record(meeting_id)
    assert (len(record["attendees"]), record["problem"]) == (1000, None)
    (event,) = await house.published("meeting.rescheduled")
    assert told(event) == 1000
    assert [job["state"] for job in await house.jobs("reschedule")] == []
