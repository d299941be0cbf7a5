"""Every reason why a recording or transcript is missing is true and told apart; what is mended is fetched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from m365_simulator.directory import CONTOSO
from m365_simulator.tls import usual_trust
from shared.database.outbox import uuid7
from shared.events import MeetingEnded, MeetingRescheduled, TenantReadinessChanged

LONG_AGO = datetime.now(UTC) - timedelta(days=3)
ANNA = "anna@contoso.example"


async def over(house: Any, meeting_id: str = "m1", version: int = 9) -> None:
    """Its deadline has passed, and Microsoft was asked once more."""
    about = {"org_id": "acme", "meeting_id": meeting_id, "aggregate_version": version}
    times = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30)}
    await house.hear(MeetingRescheduled(**about, subject="Review", attendees=[], **times))
    await look(house)


async def look(house: Any) -> None:
    for _ in range(2):
        await house.hurry()
        await house.settle()


async def codes(house: Any, meeting_id: str = "m1") -> dict[str, str | None]:
    return {kind: shown["code"] for kind, shown in (await house.ledger(meeting_id)).items()}


async def set_in_teams(house: Any, booked: dict[str, Any], **options: bool) -> None:
    token = house.user_auth.tokens["acme", "anna"]["access_token"]
    url = f"{house.simulator.settings.http_base_url}/v1.0/me/onlineMeetings/{booked['online_id']}"
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, verify=usual_trust()) as graph:
        (await graph.patch(url, json=options)).raise_for_status()


async def scheduled(house: Any, meeting_id: str = "m1", **more: Any) -> dict[str, Any]:
    await house.connect()
    booked: dict[str, Any] = await house.book()
    await house.hear(house.scheduled(booked, meeting_id, **more))
    return booked


async def nobody_came(house: Any) -> None:
    await scheduled(house)


async def policy_forbids_recording(house: Any) -> None:
    booked = await scheduled(house)
    await house.microsoft.do("meeting_policy", whose=ANNA, recording=False)
    await house.happen(booked)


async def policy_forbids_transcription(house: Any) -> None:
    booked = await scheduled(house)
    await house.microsoft.do("meeting_policy", whose=ANNA, transcription=False, recordings_alone=True)
    await house.happen(booked)


async def recording_off_in_the_options(house: Any) -> None:
    await set_in_teams(house, await scheduled(house), allowRecording=False)


async def transcription_off_in_the_options(house: Any) -> None:
    await set_in_teams(house, await scheduled(house), allowTranscription=False)


async def automatic_recording_turned_off_in_teams(house: Any) -> None:
    await set_in_teams(house, await scheduled(house), recordAutomatically=False)


async def deleted_in_teams(house: Any) -> None:
    booked = await scheduled(house)
    house.our_wire.instead = lambda _method, path: JSONResponse({}, 503) if "upload-sessions" in path else None
    await house.happen(booked)
    await house.settle()
    for row in house.simulator.store.all("artefacts"):
        await house.microsoft.do("artefact_deleted", artefact=row["id"])
    house.our_wire.instead = None
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '30 days'")


async def expired_at_microsoft(house: Any) -> None:
    await deleted_in_teams(house)
    await house.sql("UPDATE artefact SET created_at = created_at - interval '130 days'")


REASONS = [
    (nobody_came, "recording", "not_recorded"),
    (nobody_came, "transcript", "not_transcribed"),
    (policy_forbids_recording, "recording", "recording_policy"),
    (policy_forbids_transcription, "transcript", "not_transcribed"),
    (recording_off_in_the_options, "recording", "recording_not_allowed"),
    (transcription_off_in_the_options, "transcript", "transcription_not_allowed"),
    (automatic_recording_turned_off_in_teams, "recording", "auto_recording_changed"),
    (deleted_in_teams, "recording", "artefact_gone"),
    (expired_at_microsoft, "recording", "artefact_expired"),
]


@pytest.mark.parametrize(("happened", "kind", "code"), REASONS, ids=[f"{one[0].__name__}-{one[1]}" for one in REASONS])
async def test_each_reason_is_told_apart(house: Any, happened: Any, kind: str, code: str) -> None:
    await happened(house)
    await over(house)
    assert (await codes(house))[kind] == code
    told = (await house.published(f"{kind}.unavailable"))[-1]
    assert (told["code"], told["reason"]) == (code, (await house.ledger())[kind]["reason"])


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        ("none", "nobody_joined", "Nobody joined"),
        ("held", "not_recorded", "People met"),
        (None, "not_recorded", "made no"),
    ],
)
async def test_where_microsoft_tells_of_calls_nobody_came_is_told_apart(
    house: Any, call: str | None, code: str, says: str
) -> None:
    await scheduled(house)
    about = {"org_id": "acme", "meeting_id": "m1", "user_id": "anna"}
    times = {"start": LONG_AGO, "end": LONG_AGO + timedelta(minutes=30)}
    await house.hear(MeetingRescheduled(**about, aggregate_version=9, subject="Review", attendees=[], **times))
    how = {"ended_at": times["end"], "source": "booked_end", "confidence": "low", "call": call}
    await house.hear(MeetingEnded.model_validate({**about, "aggregate_version": 10, **how}))
    await look(house)
    shown = (await house.ledger())["recording"]
    assert (shown["code"], says in shown["reason"]) == (code, True)
    assert (await codes(house))["transcript"] == (code if call == "none" else "not_transcribed")


async def test_a_meeting_scheduled_in_progress_says_that_it_was_late(house: Any) -> None:
    """Its id has the moment in which it was scheduled."""
    meeting_id = uuid7()
    await scheduled(house, meeting_id)
    await over(house, meeting_id)
    assert (await codes(house, meeting_id))["recording"] == "late_start"


async def test_an_empty_recording_says_so_while_it_is_tried_again(house: Any) -> None:
    booked = await scheduled(house)
    await house.microsoft.fault("empty_content", times=None)
    await house.happen(booked)
    await house.settle()
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("importing", "artefact_empty")
    await house.microsoft.clear_faults()
    await look(house)
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("imported", None)


def ready(capability: str, version: int = 1, verdict: str = "ready") -> TenantReadinessChanged:
    about = {"org_id": "acme", "aggregate_version": version, "capability": capability, "verdict": verdict}
    return TenantReadinessChanged.model_validate(about)


async def transcripts_closed(house: Any) -> None:
    await house.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    booked = await scheduled(house)
    await house.happen(booked)
    await over(house)
    assert await codes(house) == {"recording": None, "transcript": "transcripts_disabled"}
    assert await house.jobs("reconcile") == []  # nobody looks any more


async def test_transcripts_opened_weeks_later_are_fetched(house: Any) -> None:
    await transcripts_closed(house)
    await house.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=True)
    await house.hear(ready("transcript_access", 1, "action_needed"), ready("speaker_attribution", 2))
    await house.settle()
    assert await house.published("transcript.imported") == []
    await house.hear(ready("transcript_access", 3))
    await house.settle()
    assert len(await house.published("transcript.imported")) == 1
    assert await codes(house) == {"recording": None, "transcript": None}


async def test_what_microsoft_forgot_meanwhile_is_not_looked_for(house: Any) -> None:
    await transcripts_closed(house)
    await house.sql("UPDATE ledger_meeting SET ends_at = ends_at - interval '61 days', ended_at = NULL")
    await house.hear(ready("transcript_access"))
    await house.settle()
    assert await house.jobs("reconcile") == []
    assert (await codes(house))["transcript"] == "transcripts_disabled"


async def test_blocked_downloads_are_fetched_when_permissions_are_right(house: Any) -> None:
    booked = await scheduled(house)
    await house.microsoft.do("meeting_policy", whose=CONTOSO, downloads=False)
    await house.happen(booked)
    await house.settle()
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '30 days'")
    await over(house)
    assert await codes(house) == {"recording": "download_blocked", "transcript": None}
    assert (await house.ledger())["recording"]["status"] == "unavailable"
    await house.microsoft.do("meeting_policy", whose=CONTOSO, downloads=True)
    await house.hear(ready("permissions"))
    await house.settle()
    assert await codes(house) == {"recording": None, "transcript": None}
    (awaited,) = await house.published("artefact.awaited")
    assert (awaited["kind"], awaited["detected"], bool(awaited["artefact_id"])) == ("recording", True, True)


async def test_a_person_has_it_looked_for_again(house: Any) -> None:
    await transcripts_closed(house)
    await house.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=True)
    for who in ({"user": "ben"}, {"org": "globex"}):
        assert (await house.call("POST", "/v1/ledger/m1/check", json={}, **who)).status_code == 404
    await house.settle()
    assert await house.published("transcript.imported") == []
    assert (await house.call("POST", "/v1/ledger/m1/check", json={})).status_code == 202
    await house.settle()
    assert len(await house.published("transcript.imported")) == 1
    assert (await house.call("POST", "/v1/ledger/m1/check", json={})).status_code == 202
    await house.settle()
    assert len(await house.published("recording.imported")) == 1


async def test_an_org_admin_sees_what_is_missing_and_no_content(house: Any) -> None:
    await transcripts_closed(house)
    shown = (await house.call("GET", "/v1/ledger/missing", roles=("org_admin",))).json()
    (count,) = shown["counts"]
    assert (count["kind"], count["code"], count["meetings"]) == ("transcript", "transcripts_disabled", 1)
    (item,) = shown["items"]
    assert (item["meeting_id"], item["user_id"]) == ("m1", "anna")
    assert (item["recording"], item["transcript"]) == (None, "transcripts_disabled")
    assert "Review" not in str(shown)
    other = await house.call("GET", "/v1/ledger/missing", roles=("org_admin",), org="globex")
    assert other.json() == {"counts": [], "items": [], "next_cursor": None}


@pytest.mark.parametrize(("ended_ago", "next_after"), [(0.5, 2), (3, 5), (6, 15), (30, 60), (90, 360), (1000, 1440)])
async def test_it_is_looked_for_soon_after_the_end_then_seldom(house: Any, ended_ago: float, next_after: int) -> None:
    """Minutes after the booked end."""
    await house.connect()
    booked = await house.book(start=datetime.now(UTC) - timedelta(minutes=30 + ended_ago))
    await house.hear(house.scheduled(booked))
    await house.settle()
    (job,) = await house.sql("SELECT run_at FROM job WHERE kind = 'reconcile' AND state = 'waiting'")
    assert job.run_at - booked["end"] == timedelta(minutes=next_after)
