"""What is expected, seen, imported, or absent and why; each told once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.responses import JSONResponse, Response

from m365_simulator.directory import CONTOSO
from shared.events import MeetingCancelled, MeetingEnded, MeetingRescheduled

LONG_AGO = datetime.now(UTC) - timedelta(days=3)
TOPICS = ("artefact.detected", "recording.imported", "transcript.imported")


async def counts(house: Any) -> list[int]:
    return [len(await house.published(topic)) for topic in TOPICS]


async def transcript_access(house: Any, *, on: bool) -> None:
    await house.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=on)


async def test_doubled_notifications_and_reconciliation_tell_each_thing_once(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.microsoft.fault("duplicate_notifications", times=2)
    await house.happen(booked)
    await house.hurry("reconcile")
    await house.settle()
    await house.hurry("reconcile")
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def test_lost_notifications_are_made_up_for_by_reconciliation(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.microsoft.fault("drop_notifications", times=2)
    await house.happen(booked)
    await house.settle()
    assert await counts(house) == [0, 0, 0]
    await house.hurry("reconcile")
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def test_of_a_meeting_that_ended_early_all_is_there_before_its_booked_end(house: Any) -> None:
    """T7."""
    await house.connect()
    booked = await house.book()
    booked["end"] += timedelta(hours=5)
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    assert await counts(house) == [2, 1, 1]
    assert all(
        datetime.fromisoformat(one["ended_at"]) < booked["end"] for one in await house.published("artefact.detected")
    )
    assert (await house.ledger())["recording"]["status"] == "imported"


async def test_a_notification_may_come_before_the_meeting_is_known(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.happen(booked)
    await house.settle()
    assert await counts(house) == [0, 0, 0]
    await house.hear(house.scheduled(booked))
    await house.hurry("process_notification")
    await house.settle()
    assert await counts(house) == [2, 1, 1]


async def test_recordings_of_other_meetings_are_neither_read_nor_stored(house: Any) -> None:
    await house.connect()
    other = await house.book()
    await house.happen(other)
    await house.settle()
    assert len(await house.sql("SELECT * FROM graph_notification")) == 2
    await house.sql("UPDATE graph_notification SET received_at = received_at - interval '1 hour'")
    await house.hurry("process_notification")
    await house.settle()
    for table in ("artefact", "transcript", "graph_notification", "ledger_meeting"):
        assert await house.sql(f"SELECT * FROM {table}") == []
    read = [
        call["path"] for call in await house.microsoft.calls() if call["path"].startswith("/v1.0/me/onlineMeetings/")
    ]
    assert not [path for path in read if path.endswith("s") or "/recordings" in path or "/transcripts" in path]


async def test_nobody_else_sees_ledger_and_transcript(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    (told,) = await house.published("transcript.imported")
    (stored,) = await house.published("recording.imported")
    paths = [f"/v1/transcripts/{told['artefact_id']}", "/v1/ledger/m1"]
    for path in paths:
        assert (await house.read(path)).status_code == 200
        for user, org in (("bo", "acme"), ("anna", "globex")):
            assert (await house.read(path, user=user, org=org)).status_code == 404
        assert (await house.http.get(path)).status_code == 401
    assert (await house.read(f"/v1/files/{stored['file_id']}", user="bo", files=True)).status_code == 404


async def test_the_database_itself_keeps_organisations_apart(house: Any) -> None:
    await house.connect()
    await house.hear(house.scheduled(await house.book()))
    async with house.service.db.unit_of_work("globex") as work:
        for table in ("ledger_meeting", "artefact", "transcript"):
            assert (await work.session.execute(text(f"SELECT * FROM {table}"))).all() == []


async def test_closed_transcript_access_is_told_and_taken_back_when_it_opens(house: Any) -> None:
    await transcript_access(house, on=False)
    await house.connect()
    assert len((await house.microsoft.state())["subscriptions"]) == 1
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    for _ in range(2):
        await house.hurry("reconcile")
        await house.settle()
    (told,) = await house.published("transcript.unavailable")
    assert told["code"] == "transcripts_disabled"
    assert "Teams admin centre" in told["reason"]
    assert await counts(house) == [1, 1, 0]
    assert (await house.ledger())["transcript"]["status"] == "unavailable"
    await transcript_access(house, on=True)
    await house.hurry()
    await house.settle()
    (back,) = await house.published("transcript.imported")
    assert back["aggregate_version"] > told["aggregate_version"]
    shown = (await house.ledger())["transcript"]
    assert (shown["status"], shown["reason"]) == ("imported", None)
    assert len((await house.microsoft.state())["subscriptions"]) == 2


async def test_at_the_deadline_it_is_said_why_there_is_nothing(house: Any) -> None:
    await house.connect()
    for auto, meeting_id in ((True, "m1"), (False, "m2")):
        booked = await house.book(auto=auto)
        past = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30)}
        await house.hear(house.scheduled(booked | past, meeting_id, auto=auto))
    booked = await house.book(auto=False)
    await house.hear(house.scheduled(booked | past, "m3", auto=False, auto_recording_code="refused"))
    for _ in range(2):
        await house.hurry("reconcile")
        await house.settle()
    recordings = {event["meeting_id"]: event for event in await house.published("recording.unavailable")}
    transcripts = {event["meeting_id"]: event for event in await house.published("transcript.unavailable")}
    assert {key: event["code"] for key, event in recordings.items()} == {
        "m1": "not_recorded",
        "m2": "auto_recording_off",
        "m3": "auto_recording_refused",
    }
    assert {key: event["code"] for key, event in transcripts.items()} == {
        "m1": "not_transcribed",
        "m2": "auto_recording_off",
        "m3": "auto_recording_refused",
    }
    assert len(await house.published("recording.unavailable")) == 3
    assert await house.sql("SELECT * FROM job WHERE kind = 'reconcile'") == []
    assert (await house.ledger())["recording"]["code"] == "not_recorded"


async def test_somebody_may_press_record(house: Any) -> None:
    await house.connect()
    booked = await house.book(auto=False)
    await house.hear(house.scheduled(booked, auto=False))
    assert "presses record" in (await house.ledger())["recording"]["reason"]
    await house.microsoft.fault("drop_notifications", times=2)
    await house.happen(booked, record=True)
    await house.hurry("reconcile")
    await house.settle()
    assert await counts(house) == [2, 1, 1]


@pytest.mark.parametrize("former", [None, "connection_broken"])
async def test_a_broken_connection_is_told_and_made_up_for_after_the_reconnect(house: Any, former: str | None) -> None:
    """``former`` is the code that a process of the previous version writes beside this one."""
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    house.user_auth.broken = True
    house.service.provided["tokens"].forget("acme", "anna")
    await house.connect(connected=False, version=2)
    assert await house.sql("SELECT * FROM graph_subscription") == []
    await house.happen(booked)
    past = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30), "attendees": [], "subject": "Review"}
    await house.hear(MeetingRescheduled(org_id="acme", meeting_id="m1", aggregate_version=3, **past))
    await house.hurry("reconcile")
    await house.settle()
    (told,) = await house.published("recording.unavailable")
    assert told["code"] == "account_not_connected"
    assert "Connect it under Settings" in told["reason"]
    if former:
        renamed = "UPDATE ledger_meeting SET absences = CAST(replace(CAST(absences AS text), :new, :old) AS jsonb)"
        await house.sql(renamed, new=told["code"], old=former)
    house.user_auth.broken = False
    await house.connect(version=3)
    await house.settle()
    assert await counts(house) == [2, 1, 1]
    assert len((await house.microsoft.state())["subscriptions"]) >= 2


async def test_a_disconnect_removes_the_subscriptions_at_microsoft(house: Any) -> None:
    await house.connect()
    await house.connect(connected=False, version=2)
    assert (await house.microsoft.state())["subscriptions"] == []
    assert await house.sql("SELECT * FROM graph_subscription") == []
    await house.connect(version=3)
    assert len((await house.microsoft.state())["subscriptions"]) == 2
    await house.connect(connected=False, version=2)  # an older version changes nothing
    assert len((await house.microsoft.state())["subscriptions"]) == 2


async def test_a_subscription_that_microsoft_dropped_comes_back_by_itself(house: Any) -> None:
    await house.connect()
    for row in house.simulator.store.all("subscriptions"):
        house.simulator.store.delete("subscriptions", row["id"])
    await house.hurry("watch_user")
    await house.settle()
    assert len((await house.microsoft.state())["subscriptions"]) == 2


async def test_a_lifecycle_event_renews_the_subscription(house: Any) -> None:
    await house.connect()
    row = house.simulator.store.all("subscriptions")[0]
    row["expirationDateTime"] = before = f"{datetime.now(UTC) + timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}"
    item = {"subscriptionId": row["id"], "clientState": row["clientState"], "lifecycleEvent": "reauthorizationRequired"}
    assert (await house.http.post("/webhooks/graph", json={"value": [item]})).status_code == 202
    await house.settle()
    assert house.simulator.store.get("subscriptions", row["id"])["expirationDateTime"] > before
    assert await house.sql("SELECT * FROM graph_notification") == []


async def test_events_in_any_order_give_the_same_ledger(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    later = {"start": booked["start"] + timedelta(days=1), "end": booked["end"] + timedelta(days=1)}
    about = {"org_id": "acme", "meeting_id": "m1"}
    await house.hear(
        MeetingRescheduled(**about, aggregate_version=3, subject="Moved", attendees=[], **later),
        house.scheduled(booked, version=2),
    )
    shown = (await house.read("/v1/ledger/m1")).json()
    assert (shown["subject"], shown["status"]) == ("Moved", "scheduled")
    by = datetime.fromisoformat(shown["artefacts"][0]["expected_by"])
    assert by == later["end"] + timedelta(days=1)
    ended = {"user_id": "anna", "ended_at": booked["end"], "source": "booked_end", "confidence": "low"}
    await house.hear(MeetingEnded(**about, aggregate_version=4, **ended))
    assert (await house.read("/v1/ledger/m1")).json()["status"] == "ended"
    assert len(await house.sql("SELECT * FROM job WHERE kind = 'reconcile' AND run_at <= clock_timestamp()")) == 1


@pytest.mark.parametrize("lies_ahead", [True, False])
async def test_what_is_moved_after_it_was_over_is_expected_anew(house: Any, lies_ahead: bool) -> None:
    await house.connect()
    await house.hear(house.scheduled(await house.book()))
    about = {"org_id": "acme", "meeting_id": "m1"}
    past = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30), "attendees": [], "subject": "Review"}
    await house.hear(MeetingRescheduled(**about, **past, aggregate_version=3))
    over = {"user_id": "anna", "ended_at": past["end"], "source": "booked_end", "confidence": "low"}
    await house.hear(MeetingEnded(**about, **over, aggregate_version=4))
    await house.hurry("reconcile")
    await house.settle()
    assert {shown["status"] for shown in (await house.ledger()).values()} == {"unavailable"}
    later = timedelta(days=5 if lies_ahead else 1)
    moved = past | {"start": past["start"] + later, "end": past["end"] + later}
    await house.hear(MeetingRescheduled(**about, **moved, aggregate_version=5, origin="outlook"))
    told = [(one["kind"], one["detected"]) for one in await house.published("artefact.awaited")]
    assert sorted(told) == ([("recording", False), ("transcript", False)] if lies_ahead else [])
    assert {shown["status"] for shown in (await house.ledger()).values()} == {
        "expected" if lies_ahead else "unavailable"
    }


async def test_a_cancelled_meeting_expects_nothing(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.hear(MeetingCancelled(org_id="acme", meeting_id="m1", aggregate_version=3))
    await house.hurry("reconcile")
    await house.settle()
    assert await house.sql("SELECT * FROM job WHERE kind = 'reconcile'") == []
    assert await house.ledger() == {}
    assert await house.published("recording.unavailable") == []
    times = {"start": booked["start"], "end": booked["end"], "subject": "Review", "attendees": []}
    about = {"org_id": "acme", "meeting_id": "m1", "origin": "outlook"}
    await house.hear(MeetingRescheduled(**about, **times, aggregate_version=4))  # put back in Outlook
    assert {shown["status"] for shown in (await house.ledger()).values()} == {"expected"}


async def test_a_transcript_without_speakers_is_asked_for_in_the_other_form(house: Any) -> None:
    """Speaker attribution is a switch of its own, off by default."""

    def unattributed(method: str, path: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            accept = dict(scope["headers"]).get(b"accept", b"")
            inner = {"code": "SpeakerAttributionNotAllowed"}
            body = {"error": {"code": "Forbidden", "message": "Not allowed.", "innerError": inner}}
            plain = Response("WEBVTT\n\n0:0:1 --> 0:0:2\nHello.", media_type="text/plain")
            respond = plain if accept == b"application/vnd.microsoft.graph.transcript+text" else JSONResponse(body, 403)
            await respond(scope, receive, send)

        return answer if "/transcripts/" in path and path.endswith("/content") else None

    house.graph_wire.instead = unattributed
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    (told,) = await house.published("transcript.imported")
    assert (told["speakers"], told["line_count"]) == ([], 1)


async def test_a_blocked_download_is_said_and_tried_again(house: Any) -> None:
    def blocked(method: str, path: str) -> Any:
        body = {"error": {"code": "accessDenied", "message": "Downloads are blocked."}}
        return JSONResponse(body, 403) if "/recordings/" in path and path.endswith("/content") else None

    house.graph_wire.instead = blocked
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    for _ in range(2):
        await house.settle()
        await house.hurry("transfer")
    (told,) = await house.published("recording.unavailable")
    assert told["code"] == "download_blocked"
    house.graph_wire.instead = None
    await house.hurry("transfer")
    await house.settle()
    assert len(await house.published("recording.imported")) == 1
