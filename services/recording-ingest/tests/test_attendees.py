"""Attendees read the recording in storage and the transcript here, while the organizer shares them and not longer."""

from typing import Any

import pytest

BEN = {"user": "ben"}


@pytest.fixture
async def found(house: Any) -> dict[str, str]:
    """Kind → where Anna's recording and transcript are read."""
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    (recording,) = await house.published("recording.imported")
    (transcript,) = await house.published("transcript.imported")
    return {"recording": recording["file_id"], "transcript": transcript["artefact_id"]}


def path_of(kind: str, id_: str) -> str:
    return f"/v1/files/{id_}/content" if kind == "recording" else f"/v1/transcripts/{id_}"


async def read(house: Any, kind: str, id_: str, **who: str) -> Any:
    return await house.read(path_of(kind, id_), files=kind == "recording", **(BEN | who))


@pytest.mark.parametrize("kind", ["recording", "transcript"])
async def test_an_attendee_reads_what_is_shared_until_it_is_taken_back(house: Any, found: Any, kind: str) -> None:
    id_ = found[kind]
    assert (await read(house, kind, id_)).status_code == 404
    house.meetings.shared.add(("acme", "ben", kind, id_))
    answer = await read(house, kind, id_)
    assert answer.status_code == 200
    assert answer.content == (await read(house, kind, id_, user="anna")).content
    assert (await read(house, kind, id_, user="cy")).status_code == 404
    assert (await read(house, kind, id_, org="globex")).status_code == 404
    house.meetings.shared.clear()
    assert (await read(house, kind, id_)).status_code == 404


@pytest.mark.parametrize("kind", ["recording", "transcript"])
async def test_an_attendees_reading_is_noted_hourly_and_an_owners_is_not(house: Any, found: Any, kind: str) -> None:
    house.meetings.shared.add(("acme", "ben", kind, found[kind]))
    for who in ({"user": "anna"}, BEN, BEN, {"user": "cy"}):
        await read(house, kind, found[kind], **who)
    path = "/v1/files/audit" if kind == "recording" else "/v1/transcripts/audit"
    answer = await house.read(path, files=kind == "recording", user="boss", roles=("user", "org_admin"))
    lines = [one for one in answer.json()["items"] if one["action"].endswith(".read") and one["actor"] != "boss"]
    assert [(one["actor"], one["details"]["target"], one["details"]["attends"]) for one in lines] == [
        ("ben", found[kind], True)
    ]


@pytest.mark.parametrize("kind", ["recording", "transcript"])
async def test_without_an_answer_only_the_owner_reads(house: Any, found: Any, kind: str) -> None:
    house.meetings.shared.add(("acme", "ben", kind, found[kind]))
    house.meetings.broken = True
    refused = await read(house, kind, found[kind])
    assert (refused.status_code, refused.json()["code"]) == (503, "meetings_unreachable")
    assert (await read(house, kind, found[kind], user="anna")).status_code == 200


async def test_an_attendee_gets_bytes_and_no_link_to_pass_on(house: Any, found: Any) -> None:
    id_ = found["recording"]
    house.meetings.shared.add(("acme", "ben", "recording", id_))
    part = await house.storage.call("GET", path_of("recording", id_), headers={"Range": "bytes=0-9"}, **BEN)
    assert (part.status_code, len(part.content)) == (206, 10)
    for method, path in (("POST", f"/v1/files/{id_}/links"), ("DELETE", f"/v1/files/{id_}")):
        refused = await house.storage.call(method, path, json={} if method == "POST" else None, **BEN)
        assert refused.status_code == 404


async def test_an_attendee_finds_nothing_in_the_search_and_no_ledger(house: Any, found: Any) -> None:
    house.meetings.shared.add(("acme", "ben", "transcript", found["transcript"]))
    assert (await house.read("/v1/transcripts", **BEN)).json()["items"] == []
    for path in ("/v1/ledger/m1", "/v1/ledger/m1/story"):
        assert (await house.read(path, **BEN)).status_code == 404
