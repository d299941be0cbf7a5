"""The readiness board: what it asks, what it says, and what it tells when a verdict changes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, ROLES, find_user
from shared.events import StorageLocationChanged

Json = dict[str, Any]
CALLS = "OnlineMeetings.Read.All"
CAPABILITIES = [
    "consent",
    "permissions",
    "mail_permissions",
    "transcript_access",
    "speaker_attribution",
    "application_access_policy",
    "licences",
    "mailbox",
    "contacts_access",
    "notifications",
    "call_events",
    "credential_expiry",
    "storage_write",
]


def verdicts(rows: dict[str, Json]) -> dict[str, str]:
    return {name: row["verdict"] for name, row in rows.items()}


async def test_everybody_reads_the_board_and_before_a_check_all_is_unknown(board: Any) -> None:
    found = await board.read_board(user="anna", roles=("user",))
    assert [row["capability"] for row in found["capabilities"]] == CAPABILITIES
    assert {row["verdict"] for row in found["capabilities"]} == {"unknown"}
    assert (found["connected"], found["checking"], found["checked_at"]) == (True, False, None)
    assert (await board.http.get("/v1/tenant/readiness")).status_code == 401
    other = await board.read_board(org="globex")
    assert (other["connected"], other["asked_at"]) == (False, None)


async def test_a_tenant_where_all_is_well(board: Any) -> None:
    rows = await board.checked()
    assert verdicts(rows) == {
        "consent": "ready",
        "permissions": "ready",
        "mail_permissions": "unknown",
        "transcript_access": "ready",
        "speaker_attribution": "unknown",
        "application_access_policy": "not_needed",
        "licences": "ready",
        "mailbox": "ready",
        "contacts_access": "ready",
        "notifications": "ready",
        "call_events": "not_needed",
        "credential_expiry": "unknown",
        "storage_write": "not_needed",
    }
    (said,) = rows["consent"]["evidence"]
    assert (said["method"], said["path"], said["status"]) == ("GET", "/organization", 200)
    assert said["request_id"]
    (said,) = rows["transcript_access"]["evidence"]
    assert said["path"].startswith("/users/{id}/onlineMeetings/getAllTranscripts")
    shown = str(await board.read_board())
    assert all(find_user(board.simulator.store, f"{who}@contoso.example")["id"] not in shown for who in ("anna", "ben"))
    assert rows["transcript_access"]["affects"] == ["transcript", "speaker_names"]
    assert rows["permissions"]["details"]["delegated"]["verdict"] == "not_checked"
    assert (await board.read_board(org="globex"))["checked_at"] is None


async def test_the_transcript_switch_is_red_with_a_command_to_mend_it(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    row = (await board.checked())["transcript_access"]
    assert (row["verdict"], row["remedy"]["who"]) == ("action_needed", "teams_admin")
    assert "-EnableGraphTranscriptAccess $true" in row["remedy"]["command"]
    (said,) = row["evidence"]
    assert (said["status"], said["code"]) == (403, "GraphAccessToTranscriptsDisabled")
    assert said["request_id"]
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=True)
    row = (await board.checked())["transcript_access"]
    assert (row["verdict"], row["remedy"]) == ("ready", None)


async def test_no_meeting_of_anybody_is_read_to_find_that_out(board: Any) -> None:
    await board.checked()
    asked = board.asked("getAllTranscripts")
    assert len(asked) == 1
    assert "startDateTime=2020-01-01T00:00:00Z,endDateTime=2020-01-01T00:00:01Z" in asked[0]["path"]
    assert not [row for row in board.simulator.calls.rows if "/content" in row["path"]]


async def test_each_change_of_a_verdict_is_told_once_and_the_same_again_is_not(board: Any) -> None:
    await board.checked()
    first = await board.told()
    assert ("transcript_access", "unknown", "ready") in first
    assert len({name for name, _, _ in first}) == len(first) == 10  # two stayed unknown
    since = {row["capability"]: row["since"] for row in (await board.read_board())["capabilities"]}
    await board.checked()
    assert await board.told() == first
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    rows = await board.checked()
    assert (await board.told())[len(first) :] == [("transcript_access", "ready", "action_needed")]
    assert [name for name, row in rows.items() if row["since"] != since[name]] == ["transcript_access"]
    event = (await board.published("tenant.readiness_changed"))[-1]
    assert event["aggregate_version"] == len(first) + 1
    assert (event["who"], event["reason"]) == ("teams_admin", rows["transcript_access"]["reason"])
    assert "-EnableGraphTranscriptAccess" in event["remedy"]
    changes = [line for line in await board.trail() if line[0] == "readiness.change"]
    assert len(changes) == len(first) + 1


async def test_the_permission_for_call_events_is_optional(board: Any) -> None:
    assert "grants the application permission" in (await board.checked())["call_events"]["reason"]
    await board.microsoft.do("application_change", roles=["Organization.Read.All", CALLS])
    await board.microsoft.do("consent_give", tenant="contoso.example")
    assert (await board.checked())["call_events"]["verdict"] == "ready"


async def test_a_missing_permission_is_named_and_what_depends_on_it_says_so(board: Any) -> None:
    missing = ["OnlineMeetingTranscript.Read.All", "User.Read.All", "Calendars.Read"]
    board.take_away(*missing)
    rows = await board.checked()
    row = rows["permissions"]
    assert (row["verdict"], row["remedy"]["who"]) == ("action_needed", "microsoft_admin")
    assert row["details"]["application"]["missing"] == ["OnlineMeetingTranscript.Read.All"]
    assert set(row["details"]["application"]["granted"]) == set(ROLES) - set(missing)
    for name in ("transcript_access", "notifications", "licences", "mailbox"):
        assert (rows[name]["verdict"], "which is not granted" in rows[name]["reason"]) == ("unknown", True), name
        assert (rows[name]["remedy"]["who"], "Grant admin consent" in rows[name]["remedy"]["text"]) == (
            "microsoft_admin",
            True,
        )
    assert not board.asked("getAllTranscripts")
    assert not board.asked("subscriptions")


async def test_who_lacks_a_licence_a_mailbox_or_an_account_is_named(board: Any) -> None:
    await board.microsoft.do("user_change", user="ben@contoso.example", licences=["EXCHANGESTANDARD"])
    await board.know("unlicensed", "nobody")
    rows = await board.checked()
    assert (rows["licences"]["verdict"], rows["licences"]["remedy"]["who"]) == ("action_needed", "microsoft_admin")
    assert rows["licences"]["people"] == [
        {"user_id": "ben", "lacks": ["teams"]},
        {"user_id": "nobody", "lacks": ["account"]},
        {"user_id": "unlicensed", "lacks": ["teams", "exchange"]},
    ]
    assert rows["mailbox"]["verdict"] == "action_needed"
    assert rows["mailbox"]["people"] == [{"user_id": "unlicensed", "lacks": ["mailbox"]}]
    assert "3 of 4 people" in rows["licences"]["reason"]
    await board.microsoft.do("user_change", user="anna@contoso.example", enabled=False)
    people = (await board.checked())["licences"]["people"]
    assert people[0] == {"user_id": "anna", "lacks": ["account"]}
    await board.know("nobody", "unlicensed", "anna", version=2, connected=False)
    rows = await board.checked()
    assert rows["licences"]["people"] == [{"user_id": "ben", "lacks": ["teams"]}]
    assert rows["mailbox"]["verdict"] == "ready"


async def test_so_many_people_at_a_time_and_the_longest_unseen_first(board: Any) -> None:
    board.service.settings.readiness_people = 1
    await board.microsoft.do("user_change", user="ben@contoso.example", licences=[])
    first = (await board.checked())["licences"]
    assert (first["verdict"], "(1)" in first["reason"]) == ("ready", True)
    assert len(board.asked("$batch")) == 2
    second = (await board.checked())["licences"]
    assert (second["verdict"], second["people"]) == (
        "action_needed",
        [{"user_id": "ben", "lacks": ["teams", "exchange"]}],
    )


async def test_microsoft_shakes_hands_with_the_address_and_nothing_stays(board: Any, webhook: Any) -> None:
    assert (await board.checked())["notifications"]["verdict"] == "ready"
    (asked,) = webhook.asked
    assert asked.url.path == "/recording-ingest/webhooks/graph"
    assert board.simulator.store.all("subscriptions") == []
    webhook.answers = _refusing
    row = (await board.checked())["notifications"]
    assert (row["verdict"], row["remedy"]["who"]) == ("action_needed", "operator")
    assert "Notification endpoint must respond with 200 OK" in row["reason"]
    assert webhook.place in row["remedy"]["command"]
    assert row["evidence"][-1]["code"] == "ValidationError"
    assert webhook.received == []


async def _refusing(_request: Any) -> Any:
    from starlette.responses import Response

    return Response(status_code=404)


async def test_what_a_check_left_behind_that_died_is_taken_away(board: Any) -> None:
    await board.microsoft.fault("reset", match={"path": "*/subscriptions/*", "method": "DELETE"}, times=1)
    assert (await board.checked())["notifications"]["failure"]
    assert len(board.simulator.store.all("subscriptions")) == 1
    row = (await board.checked())["notifications"]
    assert (row["verdict"], row["failure"]) == ("ready", None)
    assert board.simulator.store.all("subscriptions") == []


async def test_an_outage_leaves_the_verdict_says_so_and_is_asked_again_later(board: Any) -> None:
    before = await board.checked()
    told = await board.told()
    board.service.settings.graph_base_url = "http://localhost:9/v1.0"
    board.service.settings.readiness_probe_timeout_s = 0.3
    rows = await board.checked()
    assert verdicts(rows) == verdicts(before)
    for name in ("consent", "transcript_access", "licences", "mailbox", "notifications"):
        assert "could not be asked" in rows[name]["failure"], name
        assert rows[name]["checked_at"] == before[name]["checked_at"]
    assert (rows["permissions"]["failure"], await board.told()) == (None, told)
    assert 800 < await board.next_in_s("check_readiness") <= 900
    board.service.settings.entra_authority = "https://localhost:9"
    rows = await board.checked()
    assert verdicts(rows) == verdicts(before)
    assert rows["permissions"]["failure"]
    assert (await board.tenant())["status"] == "connected"


async def test_speakers_names_are_known_from_the_transcripts_that_came(board: Any) -> None:
    await board.transcript(lines=0)
    assert (await board.checked())["speaker_attribution"]["verdict"] == "unknown"
    await board.transcript()
    await board.service.runner.drain()
    row = (await board.read_board())["capabilities"][4]
    assert (row["verdict"], row["remedy"]["who"]) == ("action_needed", "teams_admin")
    assert "-EnableAttributedTranscripts $true" in row["remedy"]["command"]
    await board.transcript("Anna")
    await board.service.runner.drain()
    assert (await board.read_board())["capabilities"][4]["verdict"] == "ready"
    checks = len(board.asked("getAllTranscripts"))
    await board.transcript("Ben")
    await board.service.runner.drain()
    assert len(board.asked("getAllTranscripts")) == checks


@pytest.mark.parametrize(("days", "verdict"), [(29, "action_needed"), (31, "ready"), (-1, "action_needed")])
async def test_a_credential_that_ends_soon_is_the_operators_to_replace(
    board: Any, tmp_path: Path, days: int, verdict: str
) -> None:
    from datetime import UTC, datetime, timedelta

    settings = board.service.settings
    folder = tmp_path / "credentials"
    folder.mkdir()
    until = datetime.now(UTC) + timedelta(days=days + 1)
    (folder / "a.secret").write_text(f"{settings.client_secret.get_secret_value()}\nexpires {until:%Y-%m-%d}\n")
    settings.client_credentials_dir, settings.client_secret = folder, type(settings.client_secret)("")
    row = (await board.checked())["credential_expiry"]
    assert row["verdict"] == verdict
    assert f"{until:%Y-%m-%d}" in row["reason"] or "is over" in row["reason"]
    assert (row["remedy"] or {"who": None})["who"] == ("operator" if verdict == "action_needed" else None)


async def test_storage_is_asked_for_only_where_it_is_used(board: Any) -> None:
    assert (await board.checked())["storage_write"]["verdict"] == "not_needed"
    await board.select_location()
    assert (await board.switch({"sharepoint_storage": True})).status_code == 200
    row = (await board.checked())["storage_write"]
    assert (row["verdict"], "Choose Storage Location shows" in row["reason"]) == ("unknown", True)
    board.take_away("Sites.Selected")
    row = (await board.checked())["storage_write"]
    assert (row["verdict"], "Sites.Selected" in row["reason"]) == ("action_needed", True)


async def test_the_board_follows_what_storage_meets_at_the_place(board: Any) -> None:
    await board.checked()
    await board.select_location()
    assert (await board.switch({"sharepoint_storage": True})).status_code == 200
    news = [
        ("works", False, 2, "ready", None),
        ("no_access", False, 3, "action_needed", "microsoft_admin"),
        ("works", False, 2, "action_needed", "microsoft_admin"),
        ("gone", False, 4, "action_needed", "org_admin"),
        ("full", False, 5, "action_needed", "microsoft_admin"),
        ("works", True, 6, "ready", None),
    ]
    for state, nearly_full, version, verdict, who in news:
        about = {"org_id": "acme", "aggregate_version": version, "location": "Teams/General"}
        await board.hear(StorageLocationChanged(**about, state=state, nearly_full=nearly_full))
        row = (await board.checked())["storage_write"]
        assert (row["verdict"], (row["remedy"] or {"who": None})["who"]) == (verdict, who), state
        assert ("Less than a tenth" in row["reason"]) is nearly_full


async def test_a_check_is_an_org_admins_one_at_a_time_and_one_in_a_while(board: Any) -> None:
    refused = await board.ask_check(user="anna", roles=("user",))
    assert (refused.status_code, refused.json()["code"]) == (403, "org_admin_required")
    assert (await board.ask_check(org="globex")).json()["code"] == "tenant_not_connected"
    board.service.settings.readiness_check_pause_s = 30
    answers = await asyncio.gather(*(board.ask_check() for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429]
    late = next(answer for answer in answers if answer.status_code == 429)
    assert (late.json()["code"], 0 < int(late.headers["retry-after"]) <= 30) == ("checked_just_now", True)
    assert (await board.read_board())["checking"] is True
    await board.service.runner.drain()
    assert (await board.read_board())["checking"] is False
    assert len(board.asked("getAllTranscripts")) == 1
    assert (await board.ask_check()).status_code == 429
    assert [line[0] for line in await board.trail()].count("readiness.check") == 1
    board.service.settings.readiness_check_pause_s = 0
    for _ in range(3):
        assert (await board.ask_check()).status_code == 202
    await board.service.runner.drain()
    assert len(board.asked("getAllTranscripts")) == 2


async def test_a_check_asks_microsoft_a_bounded_number_of_times(board: Any) -> None:
    before = len(board.simulator.calls.rows)
    await board.checked()
    asked = [(row["method"], row["path"].partition("(")[0]) for row in board.simulator.calls.rows][before:]
    of_people = [path for _, path in asked if "/users/" in path and "getAll" not in path]
    assert len(of_people) == 4
    others = sorted((method, path.rsplit("/", 1)[-1]) for method, path in asked if path not in of_people)
    assert [method for method, _ in others] == ["DELETE", "GET", "GET", "POST", "POST", "POST", "POST"]
    assert {path for method, path in others if method == "POST"} == {"token", "subscriptions", "$batch"}


async def test_leaving_the_tenant_leaves_nothing_known(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.know("unlicensed")
    before = verdicts(await board.checked())
    told = len(await board.told())
    await board.call("DELETE", "/v1/tenant")
    found = await board.read_board()
    assert {row["verdict"] for row in found["capabilities"]} == {"unknown"}
    assert {str(row["evidence"]) + str(row["people"]) + str(row["remedy"]) for row in found["capabilities"]} == {
        "[][]None"
    }
    known = {name for name, verdict in before.items() if verdict != "unknown"}
    assert {(name, after) for name, _, after in (await board.told())[told:]} == {(name, "unknown") for name in known}
    assert (await board.ask_check()).json()["code"] == "tenant_not_connected"
    again = len(await board.told())
    await board.call("DELETE", "/v1/tenant")
    assert len(await board.told()) == again


async def test_a_check_of_an_earlier_connection_is_not_kept(board: Any) -> None:
    await board.ask_check()
    async with board.while_working("/organization"):
        await board.call("DELETE", "/v1/tenant")
    assert {row["verdict"] for row in (await board.read_board())["capabilities"]} == {"unknown"}
