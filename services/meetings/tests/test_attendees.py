"""Who attends a meeting sees it, and its recording where the organizer shares it; an Org Admin sees no content."""

from typing import Any

import pytest

from shared.events import RecordingImported, TranscriptImported, UserState

from .conftest import BEN

Json = dict[str, Any]
ALIAS = "Ben.Berg@contoso.example"
SECRETS = ("Review", "the agenda", "teams.", BEN, ALIAS, "file-1", "t-1")


def ben(house: Any, version: int = 1, **more: Any) -> UserState:
    about = {"user_id": "ben", "oid": house.accounts[BEN]["oid"], "name": "Ben", "email": BEN, "addresses": [BEN]}
    return UserState.model_validate(house.person(version).model_dump() | about | more)


@pytest.fixture
async def meeting_id(house: Any) -> str:
    await house.connect()
    await house.hear(ben(house))
    body = {"attendees": [{"email": BEN.upper()}, {"email": "cy@acme.example"}], "body": "the agenda"}
    (made,) = await house.booked(**body)
    return str(made)


async def recorded(house: Any, meeting_id: str) -> None:
    about = {"org_id": "acme", "meeting_id": meeting_id, "created_at": "2030-03-01T09:00:00Z", "ended_at": None}
    file = {"file_id": "file-1", "size_bytes": 7, "content_type": "video/mp4", "location": "Prospo storage"}
    said = {"artefact_id": "t-1", "speakers": ["Anna"], "line_count": 3}
    await house.hear(
        RecordingImported.model_validate(about | file | {"aggregate_version": 1, "artefact_id": "r-1"}),
        TranscriptImported.model_validate(about | said | {"aggregate_version": 2}),
    )


async def share(house: Any, meeting_id: str, *, on: bool = True, **who: Any) -> Any:
    return await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"shared_with_attendees": on}, **who)


async def attended(house: Any, **who: Any) -> Any:
    return await house.call("GET", "/v1/meetings/attended", **({"user": "ben"} | who))


async def reads(house: Any, kind: str, id_: str, user: str = "ben", org: str = "acme") -> bool:
    question = {"org_id": org, "user_id": user, "kind": kind, "id": id_}
    bearer = {"Authorization": f"Bearer {house.bearer_of_service('storage')}"}
    answer = await house.http.post("/internal/shared-artefacts", json=question, headers=bearer)
    return bool(answer.json()["readable"])


async def test_an_attendee_sees_what_the_invitation_says(house: Any, meeting_id: str) -> None:
    (shown,) = (await attended(house)).json()["items"]
    assert (shown["id"], shown["subject"], shown["body"]) == (meeting_id, "Review", "the agenda")
    assert (shown["organizer"], shown["status"], bool(shown["join_url"])) == ({"name": "Anna"}, "scheduled", True)
    assert not {"attendees", "answers", "problem", "version", "auto_recording"} & shown.keys()
    assert "cy@acme.example" not in str(shown)
    one = await house.call("GET", f"/v1/meetings/attended/{meeting_id}", user="ben")
    assert one.json() == shown


async def test_an_attendee_changes_nothing_and_reads_no_story(house: Any, meeting_id: str) -> None:
    path = f"/v1/meetings/{meeting_id}"
    assert (await house.call("GET", path, user="ben")).status_code == 404
    assert (await share(house, meeting_id, user="ben")).status_code == 404
    assert (await house.call("DELETE", path, user="ben")).status_code == 404
    assert (await house.call("DELETE", f"/v1/meetings/attended/{meeting_id}", user="ben")).status_code == 405


STRANGE: list[tuple[str, Json]] = [
    ("another address", {"addresses": ["carl@contoso.example"]}),
    ("no address told yet", {"addresses": []}),
    ("an account of another tenant", {"tid": "t2"}),
    ("disconnected", {"connected": False, "status": "disconnected"}),
    ("expired", {"connected": False, "status": "expired"}),
]


@pytest.mark.parametrize(("why", "state"), STRANGE, ids=[why for why, _ in STRANGE])
async def test_who_is_no_attendee_now_sees_and_reads_nothing(
    house: Any, meeting_id: str, why: str, state: Json
) -> None:
    await recorded(house, meeting_id)
    await share(house, meeting_id)
    await house.hear(ben(house, 2, **state))
    listed = await attended(house)
    if state.get("connected", True):
        assert listed.json()["items"] == [], why
    else:
        assert (listed.status_code, listed.json()["code"]) == (409, "account_not_connected")
    assert (await house.call("GET", f"/v1/meetings/attended/{meeting_id}", user="ben")).status_code == 404
    assert not await reads(house, "recording", "file-1")


async def test_an_attendee_of_one_organisation_is_none_of_another(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    await share(house, meeting_id)
    globex = house.tenant(1).model_copy(update={"org_id": "globex"})
    await house.hear(globex, ben(house).model_copy(update={"org_id": "globex"}))
    assert (await attended(house, org="globex")).json()["items"] == []
    there = await house.call("GET", f"/v1/meetings/attended/{meeting_id}", user="ben", org="globex")
    assert there.status_code == 404
    assert not await reads(house, "recording", "file-1", org="globex")


async def test_each_address_of_the_account_counts_in_any_case(house: Any, meeting_id: str) -> None:
    await house.hear(ben(house, 2, addresses=["b@contoso.example"]))
    assert (await attended(house)).json()["items"] == []
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"attendees": [{"email": "B@Contoso.example"}]})
    assert [one["id"] for one in (await attended(house)).json()["items"]] == [meeting_id]


async def test_who_is_taken_off_the_meeting_loses_it(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    await share(house, meeting_id)
    assert await reads(house, "transcript", "t-1")
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"attendees": [{"email": "cy@acme.example"}]})
    assert (await attended(house)).json()["items"] == []
    assert not await reads(house, "transcript", "t-1")


async def test_an_invitation_that_was_never_sent_is_not_shown(house: Any, meeting_id: str) -> None:
    waiting = (await house.post("another", attendees=[{"email": BEN}])).json()["id"]
    assert [one["id"] for one in (await attended(house)).json()["items"]] == [meeting_id]
    assert (await house.call("GET", f"/v1/meetings/attended/{waiting}", user="ben")).status_code == 404


async def test_a_cancelled_meeting_is_shown_as_cancelled(house: Any, meeting_id: str) -> None:
    await house.call("DELETE", f"/v1/meetings/{meeting_id}")
    await house.work()
    assert [one["status"] for one in (await attended(house)).json()["items"]] == ["cancelled"]


async def test_a_series_is_attended_by_its_occurrences(house: Any, meeting_id: str) -> None:
    wanted = {"subject": "Daily", "start": "2030-03-01T10:00:00Z", "end": "2030-03-01T10:30:00Z"}
    wanted |= {"attendees": [{"email": BEN}], "repeats": {"every": "day", "count": 2}}
    await house.call("POST", "/v1/meetings/series", json=wanted, headers={"Idempotency-Key": "s"})
    await house.work()
    (series,) = await house.sql("SELECT id FROM meeting WHERE repeats IS NOT NULL")
    shown = [one["id"] for one in (await attended(house)).json()["items"]]
    assert series.id not in shown
    assert (await house.call("GET", f"/v1/meetings/attended/{series.id}", user="ben")).status_code == 404


async def test_nothing_is_shared_before_the_organizer_says_so(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    (shown,) = (await attended(house)).json()["items"]
    assert (shown["shared_with_attendees"], shown["recordings"], shown["transcripts"]) == (False, [], [])
    assert not await reads(house, "recording", "file-1")
    assert not await reads(house, "transcript", "t-1")


async def test_what_is_shared_is_read_and_taken_back_at_once(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    told = (await share(house, meeting_id)).json()
    assert told["shared_with_attendees"] is True
    (shown,) = (await attended(house)).json()["items"]
    urls = [one["content_url"] for name in ("recordings", "transcripts") for one in shown[name]]
    assert urls == ["/v1/files/file-1/content", "/v1/transcripts/t-1"]
    assert await reads(house, "recording", "file-1")
    assert await reads(house, "transcript", "t-1")
    assert not await reads(house, "recording", "t-1")
    assert not await reads(house, "recording", "file-2")
    assert not await reads(house, "recording", "file-1", user="cy")
    await share(house, meeting_id, on=False)
    assert not await reads(house, "recording", "file-1")
    assert not await reads(house, "transcript", "t-1")
    assert (await attended(house)).json()["items"][0]["recordings"] == []


async def test_sharing_is_told_by_the_state_and_asks_nothing_of_microsoft(house: Any, meeting_id: str) -> None:
    await house.hear(house.person(2, connected=False))
    before = await house.asked()
    assert (await share(house, meeting_id)).status_code == 200
    await house.work()
    states = [state for state in await house.published("meeting.state") if state["meeting_id"] == meeting_id]
    assert [state["shared_with_attendees"] for state in states][-2:] == [False, True]
    assert await house.asked() == before


async def test_a_meeting_that_is_over_is_shared_too(house: Any, meeting_id: str) -> None:
    await house.sql(f"UPDATE meeting SET status = 'ended' WHERE id = '{meeting_id}'")
    assert (await share(house, meeting_id)).json()["shared_with_attendees"] is True
    renamed = await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"subject": "x"})
    assert renamed.json()["code"] == "meeting_not_scheduled"


async def test_an_attendee_turns_the_pages_of_their_list(house: Any, meeting_id: str) -> None:
    second = (await house.schedule("second", attendees=[{"email": BEN}])).json()["id"]
    first = await attended(house, params={"limit": 1})
    cursor = first.json()["next_cursor"]
    rest = await attended(house, params={"limit": 1, "cursor": cursor})
    assert [page.json()["items"][0]["id"] for page in (first, rest)] == [second, meeting_id]
    foreign = await house.call("GET", "/v1/meetings", params={"cursor": cursor}, user="ben")
    assert foreign.json()["code"] == "unknown_cursor"


async def test_the_organizer_sees_what_attendees_see_and_is_none_of_them(house: Any, meeting_id: str) -> None:
    await house.hear(house.person(2).model_copy(update={"addresses": [BEN]}))
    assert (await attended(house, user="anna")).json()["items"] == []
    seen = await house.call("GET", f"/v1/meetings/attended/{meeting_id}")
    assert seen.json()["id"] == meeting_id


async def test_an_org_admin_sees_the_record_without_content(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    await share(house, meeting_id)
    answer = await house.call("GET", "/v1/meetings/organisation", user="boss", roles=("org_admin",))
    (shown,) = answer.json()["items"]
    assert shown["organizer"] == {"user_id": "anna", "name": "Anna"}
    assert (shown["id"], shown["status"], shown["recording"]["status"]) == (meeting_id, "scheduled", "imported")
    assert [secret for secret in SECRETS if secret.lower() in answer.text.lower()] == []


async def test_an_org_admin_is_no_reader_of_content(house: Any, meeting_id: str) -> None:
    await recorded(house, meeting_id)
    await share(house, meeting_id)
    boss = {"user": "boss", "roles": ("org_admin",)}
    for path in (f"/v1/meetings/{meeting_id}", f"/v1/meetings/attended/{meeting_id}"):
        assert (await house.call("GET", path, **boss)).status_code == 404
    assert not await reads(house, "recording", "file-1", user="boss")


async def test_the_list_of_the_organisation_is_for_its_org_admins(house: Any, meeting_id: str) -> None:
    assert (await house.call("GET", "/v1/meetings/organisation")).json()["code"] == "org_admin_required"
    others = await house.call("GET", "/v1/meetings/organisation", org="globex", roles=("org_admin",))
    assert others.json()["items"] == []


async def test_the_database_notes_who_attends_and_forgets_whom_was_taken_off(house: Any, meeting_id: str) -> None:
    assert sorted(row["address"] for row in await house.rows("attendance")) == [BEN, "cy@acme.example"]
    await house.call("PATCH", f"/v1/meetings/{meeting_id}", json={"attendees": [{"email": BEN}]})
    assert [row["address"] for row in await house.rows("attendance")] == [BEN]
