"""From a scheduled meeting to its recording and transcript, with the simulated Microsoft and a real storage."""

import json
from typing import Any


def note_request_ids(house: Any) -> set[str]:
    """Gets the ``X-Request-Id`` of every answer that Microsoft's notifications are given from now on."""
    answered: set[str] = set()
    app = house.ours["recording-ingest"]

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if scope["path"] == "/webhooks/graph":
                answered.update(value.decode() for name, value in message.get("headers", []) if name == b"x-request-id")
            await send(message)

        await app(scope, receive, sent)

    house.ours["recording-ingest"] = noting
    return answered


async def test_a_recorded_meeting_arrives_by_itself(house: Any) -> None:
    answered = note_request_ids(house)
    await house.connect()
    subscriptions = (await house.microsoft.state())["subscriptions"]
    assert sorted(one["resource"].rpartition("/")[2] for one in subscriptions) == [
        "getAllRecordings",
        "getAllTranscripts",
    ]
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    assert {shown["status"] for shown in (await house.ledger()).values()} == {"expected"}
    await house.happen(booked)
    await house.settle()
    detected = await house.published("artefact.detected")
    assert sorted(event["kind"] for event in detected) == ["recording", "transcript"]
    (recording,) = await house.published("recording.imported")
    (transcript,) = await house.published("transcript.imported")
    assert transcript["speakers"] == ["Anna Andersson", "Ben Berg"]
    assert "offer" not in json.dumps(transcript)  # what was said is never in an event
    assert recording["location"] == "Prospo storage"
    led = {record.headers["ce_id"] for record in house.bus.records("artefact.detected")}
    for topic in ("recording.imported", "transcript.imported"):
        (record,) = house.bus.records(topic)
        assert record.headers["ce_causationid"] in led
        assert record.headers["ce_correlationid"] in answered
    for record in house.bus.records("artefact.detected"):  # the chain begins with Microsoft's notification
        assert record.headers["ce_correlationid"] in answered
        assert "ce_causationid" not in record.headers
    video = await house.read(f"/v1/files/{recording['file_id']}/content", files=True)
    assert len(video.content) == recording["size_bytes"]
    assert video.content[4:8] == b"ftyp"
    shown = (await house.read(f"/v1/transcripts/{transcript['artefact_id']}")).json()
    assert shown["lines"][0] == {
        "number": 1,
        "speaker": "Anna Andersson",
        "start_ms": 1500,
        "end_ms": 4250,
        "text": "Hello everyone, shall we begin?",
    }
    ledger = await house.ledger()
    assert {kind: one["status"] for kind, one in ledger.items()} == {"recording": "imported", "transcript": "imported"}
    assert ledger["recording"]["pair_id"] == ledger["transcript"]["pair_id"] is not None
    assert await house.sql("SELECT * FROM graph_notification") == []
