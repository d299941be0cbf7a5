"""The whole story of a meeting's recordings and transcripts, without a word of it."""

import json
import uuid
from typing import Any

from shared.events import MeetingEnded, MeetingRescheduled


async def story(house: Any, **who: Any) -> list[dict[str, Any]]:
    answer = (await house.call("GET", "/v1/ledger/m1/story", **who)).raise_for_status().json()
    return [{"what": step["what"]} | step["details"] for step in answer["steps"]]


async def told(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    about = {"org_id": "acme", "meeting_id": "m1"}
    times = {"start": booked["start"], "end": booked["end"]}
    await house.hear(
        house.scheduled(booked, series_id="s1", original_start=booked["start"]),
        MeetingRescheduled(**about, **times, aggregate_version=3, subject="Secret", attendees=[], origin="outlook"),
    )
    await house.happen(booked)
    await house.settle()
    ended = {"user_id": "anna", "ended_at": booked["end"], "source": "artefact", "confidence": "high"}
    await house.hear(MeetingEnded(**about, aggregate_version=4, **ended))
    await house.hurry("reconcile")
    await house.settle()


async def test_the_story_has_each_step_with_microsofts_request_ids(house: Any) -> None:
    await told(house)
    steps = await story(house)
    booked = {step["what"]: step["origin"] for step in steps[:2]}  # two topics have no order between them
    assert booked == {"scheduled": "prospo", "rescheduled": "outlook"}
    whats = [step["what"] for step in steps]
    for what in ("notified", "assigned", "import_begun", "imported"):
        assert whats.count(what) == 2, what
    assert whats.index("notified") < whats.index("assigned") < whats.index("imported")
    asked = [step["microsoft_request_id"] for step in steps if step["what"] in {"notified", "imported", "looked"}]
    assert all(uuid.UUID(one) for one in asked)
    decisions = [step for step in steps if step["what"] == "assigned"]
    assert [step["by"] for step in decisions] == ["score", "score"]
    assert decisions[0]["scores"][0]["score"] >= 0.9
    (looked,) = [step for step in steps if step["what"] == "looked"]
    assert (looked["recording"], looked["transcript"]) == (1, 1)
    (ended,) = [step for step in steps if step["what"] == "ended"]
    assert (ended["source"], ended["confidence"]) == ("artefact", "high")


async def test_the_story_names_nobody_and_says_nothing_that_was_said(house: Any) -> None:
    await told(house)
    text = json.dumps((await house.call("GET", "/v1/ledger/m1/story")).json())
    oid = house.user_auth.tokens["acme", "anna"]["oid"]
    for words in ("Secret", "Review", "Anna", "anna", "contoso", "teams.microsoft", oid, "offer", "begin?"):
        assert words not in text


async def test_the_story_is_for_its_organizer_and_org_admins(house: Any) -> None:
    await told(house)
    assert await story(house, user="boss", roles=("org_admin",)) == await story(house)
    for who in ({"user": "ben"}, {"org": "globex", "roles": ("org_admin",)}):
        assert (await house.call("GET", "/v1/ledger/m1/story", **who)).status_code == 404


async def test_a_story_keeps_its_newest_steps_only(house: Any) -> None:
    await told(house)
    many = """INSERT INTO meeting_step (org_id, id, meeting_id, what, details)
              SELECT 'acme', '00' || n, 'm1', 'old', '{}' FROM generate_series(1, 400) n"""
    await house.sql(many)
    assert (await house.call("POST", "/v1/ledger/m1/check", json={})).status_code == 202
    await house.settle()
    steps = await story(house)
    assert len(steps) == 300
    assert steps[-1]["what"] != "old"
