"""Meetings through the front door."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import ArtefactDetected, FileDeleted, RecordingImported, RecordingUnavailable, TranscriptImported

START = datetime(2030, 3, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("schedule_wait_s", [30])
async def test_a_scheduled_meeting_has_a_join_link_and_records_by_itself(house: Any) -> None:
    """The answer waits for the link, without holding the worker back."""
    await house.connect()
    asking = asyncio.create_task(house.post())
    while not await house.sql("SELECT 1 FROM job WHERE kind = 'schedule'"):
        await asyncio.wait([asking], timeout=0.01)
    await house.work()
    answer = await asking
    meeting = answer.json()
    assert (answer.status_code, meeting["status"], meeting["auto_recording"]) == (201, "scheduled", True), answer.text
    assert (await house.at_microsoft("join_url"), await house.at_microsoft()) == ([meeting["join_url"]], [True])
    (told,) = await house.published("meeting.scheduled")
    assert [told["online_meeting_id"]] == await house.at_microsoft("id")
    assert told["aggregate_version"] == meeting["version"] == 2
    (event,) = await house.events()
    assert (event["body"]["subject"], datetime.fromisoformat(event["start"])) == ("Review", START)


async def test_a_meeting_that_takes_longer_is_answered_before_it_is_scheduled(house: Any) -> None:
    await house.connect()
    answer = await house.post()
    meeting = answer.json()
    assert (answer.status_code, meeting["status"], meeting["join_url"]) == (202, "scheduling", None)
    assert answer.headers["location"] == f"/v1/meetings/{meeting['id']}"
    await house.work()
    assert (await house.record(meeting["id"]))["status"] == "scheduled"


async def test_the_same_key_gives_the_same_meeting_and_another_body_is_refused(house: Any) -> None:
    await house.connect()
    first, again = await house.schedule("k"), await house.schedule("k")
    assert first.json()["id"] == again.json()["id"]
    assert len(await house.events()) == 1
    refused = await house.schedule("k", subject="Another")
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")


async def test_nothing_is_scheduled_before_tenant_and_user_are_connected(house: Any) -> None:
    refused = await house.post()
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    await house.connect()
    headers = {"Idempotency-Key": "b"}
    body = {"subject": "R", "start": "2030-03-01T10:00:00Z", "end": "2030-03-01T11:00:00Z"}
    refused = await house.call("POST", "/v1/meetings", user="bo", json=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")


async def test_a_missing_key_and_a_wrong_end_are_refused(house: Any) -> None:
    await house.connect()
    assert (await house.post("")).json()["code"] == "idempotency_key_required"
    assert (await house.post(end="2030-03-01T09:00:00+01:00")).json()["code"] == "end_before_start"


async def test_a_broken_connection_fails_the_meeting_with_a_remedy(house: Any) -> None:
    await house.connect()
    house.user_auth.broken = True
    refused = await house.schedule()
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")
    meeting = await house.record(refused.json()["meeting_id"])
    assert (meeting["status"], meeting["problem"]["code"]) == ("failed", "account_not_connected")


async def test_a_refused_recording_option_leaves_a_usable_meeting(house: Any) -> None:
    await house.connect()
    await house.refuse(400, "*/onlineMeetings/*")
    meeting = (await house.schedule()).json()
    assert (meeting["status"], meeting["auto_recording"]) == ("scheduled", False)
    assert meeting["problem"]["code"] == "auto_recording_refused"


async def test_a_meeting_microsoft_does_not_know_yet_is_looked_up_again(house: Any) -> None:
    await house.connect(on=False)
    await house.microsoft.fault("online_meeting_late", times=2)
    meeting = (await house.schedule()).json()
    for _ in range(2):
        assert (await house.record(meeting["id"]))["status"] == "scheduling"
        await house.try_again()
    assert (await house.record(meeting["id"]))["status"] == "scheduled"
    assert await house.asked("POST") == len(await house.events()) == 1


async def test_others_do_not_see_the_meeting(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    path = f"/v1/meetings/{meeting_id}"
    for user, org in (("bo", "acme"), ("anna", "globex")):
        assert (await house.call("GET", path, user=user, org=org)).status_code == 404
        assert (await house.call("GET", "/v1/meetings", user=user, org=org)).json()["items"] == []


async def test_the_list_is_read_page_by_page(house: Any) -> None:
    await house.connect()
    made = await house.booked(3)
    first = (await house.call("GET", "/v1/meetings?limit=2")).json()
    rest = (await house.call("GET", f"/v1/meetings?limit=2&cursor={first['next_cursor']}")).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_a_moved_meeting_keeps_its_link(house: Any) -> None:
    await house.connect()
    meeting = (await house.schedule()).json()
    change = {"start": "2030-03-02T09:00:00Z", "end": "2030-03-02T09:30:00Z"}
    moved = await house.call("PATCH", f"/v1/meetings/{meeting['id']}", json=change)
    assert moved.json()["join_url"] == meeting["join_url"]
    await house.work()
    (event,) = await house.events()
    assert datetime.fromisoformat(event["start"]) == datetime.fromisoformat(change["start"])
    assert await house.at_microsoft("join_url") == [meeting["join_url"]]
    (told,) = await house.published("meeting.rescheduled")
    assert told["aggregate_version"] == moved.json()["version"]


async def test_a_cancelled_meeting_is_cancelled_at_microsoft_once(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    path = f"/v1/meetings/{meeting_id}"
    for _ in range(2):
        assert (await house.call("DELETE", path)).json()["status"] == "cancelled"
    await house.work()
    assert (await house.at_microsoft("cancelled"), await house.asked("POST", "/cancel")) == ([True], 1)
    assert len(await house.published("meeting.cancelled")) == 1
    assert (await house.call("PATCH", path, json={"subject": "x"})).status_code == 409


async def test_the_first_artefact_ends_the_meeting_once(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    about = {"org_id": "acme", "aggregate_version": 1, "meeting_id": meeting_id}
    seen = about | {"created_at": START, "ended_at": START + timedelta(minutes=20)}
    await house.hear(
        ArtefactDetected(**seen, artefact_id="r1", kind="recording"),
        ArtefactDetected(**seen, artefact_id="t1", kind="transcript"),
    )
    meeting = await house.record(meeting_id)
    assert meeting["status"] == "ended"
    assert meeting["ended"] == {"at": "2030-03-01T09:20:00Z", "source": "artefact", "confidence": "high"}
    assert meeting["recording"]["status"] == meeting["transcript"]["status"] == "importing"
    assert len(await house.published("meeting.ended")) == 1


async def test_an_artefact_is_surer_than_the_booked_end(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    await house.hurry("booked_end")
    await house.work()
    seen = {"org_id": "acme", "aggregate_version": 1, "meeting_id": meeting_id, "created_at": START}
    await house.hear(ArtefactDetected(**seen, artefact_id="r1", kind="recording"))
    ended = await house.published("meeting.ended")
    assert [(event["source"], event["confidence"]) for event in ended] == [
        ("booked_end", "low"),
        ("artefact", "medium"),
    ]


async def test_recording_and_transcript_appear_and_older_news_changes_nothing(house: Any) -> None:
    await house.connect()
    (meeting_id,) = await house.booked()
    about = {"org_id": "acme", "meeting_id": meeting_id}
    seen = about | {"created_at": START}
    recording = {"artefact_id": "r1", "file_id": "f1", "size_bytes": 7, "content_type": "video/mp4"}
    lines = {"artefact_id": "t1", "speakers": ["Anna"], "line_count": 1}
    await house.hear(
        RecordingImported(**seen, **recording, location="Prospo storage", aggregate_version=5),
        RecordingUnavailable(**about, code="none", reason="There is none.", aggregate_version=4),
        TranscriptImported(**seen, **lines, aggregate_version=2),
    )
    meeting = await house.record(meeting_id)
    assert meeting["recording"]["content_url"] == "/v1/files/f1/content"
    assert meeting["transcript"]["content_url"] == "/v1/transcripts/t1"
    assert meeting["transcript"]["line_count"] == 1
    states = await house.published("meeting.state")
    assert [state["aggregate_version"] for state in states] == list(range(1, meeting["version"] + 1))
    newest = states[-1]
    assert [state["status"] for state in states] == ["scheduling"] + ["scheduled"] * (len(states) - 1)
    assert [newest["recording"]["artefact_id"], newest["recording"]["file_id"]] == ["r1", "f1"]
    assert [newest["transcript"]["artefact_id"], newest["recording_version"]] == ["t1", 5]
    await house.hear(
        FileDeleted(org_id="globex", file_id="f1", because="person", aggregate_version=2),
        FileDeleted(org_id="acme", file_id="f2", because="person", aggregate_version=2),
    )
    assert (await house.record(meeting_id))["recording"]["status"] == "imported"
    await house.hear(FileDeleted(org_id="acme", file_id="f1", because="retention", aggregate_version=2))
    gone = (await house.record(meeting_id))["recording"]
    assert (gone["status"], gone["code"], gone["content_url"]) == ("unavailable", "file_deleted", None)
    assert (await house.published("meeting.state"))[-1]["recording"]["code"] == "file_deleted"
    told = json.dumps(states)
    assert not [words for words in ("Review", "bo@acme.example", "Anna", "teams.microsoft", "/v1/") if words in told]
