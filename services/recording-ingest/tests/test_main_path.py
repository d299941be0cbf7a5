"""From a scheduled meeting to its recording and transcript, with the simulated Microsoft and a real storage."""

import json
from typing import Any


async def test_a_recorded_meeting_arrives_by_itself(house: Any) -> None:
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
        assert record.headers["ce_correlationid"] != record.headers["ce_id"]
    video = await house.read(f"/v1/files/{recording['file_id']}/content", files=True)
    assert len(video.content) == recording["size_bytes"]
    assert video.content[4:8] == b"ftyp"
    shown = (await house.read(f"/v1/transcripts/{transcript['artefact_id']}")).json()
    assert shown["lines"][0] == {
        "speaker": "Anna Andersson",
        "start_ms": 1500,
        "end_ms": 4250,
        "text": "Hello everyone, shall we begin?",
    }
    ledger = await house.ledger()
    assert {kind: one["status"] for kind, one in ledger.items()} == {"recording": "imported", "transcript": "imported"}
    assert ledger["recording"]["pair_id"] == ledger["transcript"]["pair_id"] is not None
    assert await house.sql("SELECT * FROM graph_notification") == []
