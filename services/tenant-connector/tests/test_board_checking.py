"""Checks of the board: when one is under way, what it makes of odd answers, and when it is done again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from m365_simulator.directory import CONTOSO
from m365_simulator.testing import held
from shared import metrics
from shared.events import TranscriptUnavailable
from shared.testing.serving import NO_TLS, serving
from tenant_connector.readiness import board as readiness

CHECK = "check_readiness"
LOOK = "look_after_tenant"
Change = Callable[[httpx.Response], Response]


class Between:
    """Passes on what Graph is asked, and changes its answers to what ``changes`` names: method and end of the path."""

    def __init__(self, graph: str) -> None:
        self.graph = graph
        self.changes: dict[str, Change] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        target = f"{self.graph}{scope['raw_path'].decode()}?{request.url.query}"
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        async with httpx.AsyncClient(timeout=30, verify=NO_TLS) as http:
            said = await http.request(request.method, target, content=await request.body(), headers=headers)
        change = self.changes.get(f"{request.method} {request.url.path.rpartition('/')[2]}", _as_it_is)
        await change(said)(scope, receive, send)


def _as_it_is(said: httpx.Response) -> Response:
    return Response(said.content, said.status_code, media_type=said.headers.get("content-type"))


@pytest.fixture
async def between(board: Any) -> AsyncIterator[Between]:
    made = Between(board.simulator.settings.http_base_url)
    async with serving(made) as url:
        board.service.settings.graph_base_url = f"{url}/v1.0"
        yield made


def row_of(found: Any, name: str) -> Any:
    return next(row for row in found["capabilities"] if row["capability"] == name)


async def refusing(_request: Any) -> Any:
    return Response(status_code=503)


def _without_plans(said: httpx.Response) -> Response:
    return JSONResponse({"responses": [one | {"body": {}} for one in said.json()["responses"]]})


@pytest.mark.parametrize(
    ("call", "change", "name"),
    [
        ("GET organization", lambda _said: JSONResponse({"value": [{}]}), "consent"),
        ("GET organization", lambda _said: JSONResponse({"value": "none"}), "consent"),
        ("POST subscriptions", lambda _said: JSONResponse({}, 201), "notifications"),
        ("POST $batch", _without_plans, "licences"),
    ],
)
async def test_one_odd_answer_is_none_and_leaves_the_others(
    board: Any, between: Between, call: str, change: Change, name: str
) -> None:
    await board.checked()
    between.changes[call] = change
    asked = len(board.asked("getAllTranscripts"))
    rows = await board.checked()
    assert [one for one, row in rows.items() if row["failure"]] == [name]
    assert rows[name]["verdict"] == "ready"
    assert len(board.asked("getAllTranscripts")) == asked + 1
    assert 800 < await board.next_in_s(CHECK) <= 900


async def test_an_address_out_of_reach_is_red_after_a_second_handshake(board: Any, webhook: Any) -> None:
    board.service.settings.readiness_confirm_s = 60
    webhook.answers = refusing
    row = (await board.checked())["notifications"]
    assert (row["verdict"], "before it is believed" in row["reason"]) == ("waiting", True)
    assert 55 < await board.next_in_s(CHECK) <= 62
    assert (await board.checked())["notifications"]["until"] == row["until"]
    await board.sql("UPDATE readiness SET until = clock_timestamp() WHERE until IS NOT NULL")
    await board.do_now(CHECK)
    row = row_of(await board.read_board(), "notifications")
    assert (row["verdict"], "cannot reach" in row["reason"]) == ("action_needed", True)
    assert 800 < await board.next_in_s(CHECK) <= 900
    webhook.answers = None
    await board.do_now(CHECK)
    assert row_of(await board.read_board(), "notifications")["verdict"] == "ready"
    assert await board.next_in_s(CHECK) is None


async def test_a_handshake_that_failed_once_is_never_red(board: Any, webhook: Any) -> None:
    board.service.settings.readiness_confirm_s = 60
    webhook.answers = refusing
    await board.checked()
    webhook.answers = None
    await board.do_now(CHECK)
    told = [(before, after) for name, before, after in await board.told() if name == "notifications"]
    assert told == [("unknown", "waiting"), ("waiting", "ready")]


async def test_another_refusal_of_a_subscription_is_no_address_out_of_reach(
    board: Any, between: Between, webhook: Any
) -> None:
    said = {"code": "ValidationError", "message": "Subscription expiration can only be 10 minutes in the future."}
    between.changes["POST subscriptions"] = lambda _said: JSONResponse({"error": said}, 400)
    row = (await board.checked())["notifications"]
    assert (row["verdict"], said["message"] in row["reason"]) == ("unknown", True)
    subscribe = between.changes.pop("POST subscriptions")
    webhook.answers = refusing
    assert (await board.checked())["notifications"]["verdict"] == "action_needed"
    between.changes["POST subscriptions"] = subscribe
    row = (await board.checked())["notifications"]
    assert (row["verdict"], said["message"] in row["failure"]) == ("action_needed", True)


async def test_of_what_a_check_left_behind_only_its_own_is_taken_away(board: Any) -> None:
    await board.microsoft.fault("reset", match={"path": "*/subscriptions/*", "method": "DELETE"}, times=1)
    await board.checked()
    store = board.simulator.store
    (left,) = store.all("subscriptions")
    other = left | {"id": "of-another-installation", "notificationUrl": "https://elsewhere.example/webhooks/graph"}
    store.put("subscriptions", other["id"], other)
    await board.checked()
    assert [row["id"] for row in store.all("subscriptions")] == [other["id"]]


async def test_nothing_is_checked_any_more_when_the_connection_ends(board: Any) -> None:
    await board.ask_check()
    await board.call("DELETE", "/v1/tenant")
    found = await board.read_board()
    assert (found["checking"], found["asked_at"], found["checked_at"]) == (False, None, None)
    await board.connect()
    assert (await board.read_board())["checking"] is False


async def test_a_check_that_began_before_it_was_asked_for_is_not_the_answer(board: Any) -> None:
    await board.ask_check()
    organizations = len(board.asked("/organization"))
    async with AsyncExitStack() as later:
        async with held(board.simulator, "/organization") as first_asks:
            running = asyncio.create_task(board.work())
            await first_asks()
            asked = (await board.ask_check()).json()["asked_at"]
            second_asks = await later.enter_async_context(held(board.simulator, "/organization"))
        await second_asks()
        found = await board.read_board()
        assert found["checked_at"] > asked
        assert len(board.asked("/organization")) == organizations + 1
        assert found["checking"] is True
    await running
    assert (await board.read_board())["checking"] is False


async def test_a_check_that_breaks_again_and_again_says_so_and_ends(board: Any) -> None:
    before = await board.checked()
    await board.ask_check()
    await board.sql("UPDATE job SET attempt = 5 WHERE kind = :kind", kind=CHECK)
    await board.service.runner.drain()
    found = await board.read_board()
    assert found["checking"] is False
    row = row_of(found, "consent")
    assert (row["verdict"], "error on our side" in row["failure"]) == ("ready", True)
    assert row["checked_at"] == before["consent"]["checked_at"]
    assert [job["state"] for job in await board.jobs(CHECK)] == ["failed"]
    assert (await board.checked())["consent"]["failure"] is None


async def test_what_broke_in_earlier_days_is_not_held_against_the_daily_look(house: Any) -> None:
    await house.connect()
    await house.sql("UPDATE job SET attempt = 15 WHERE kind = :kind", kind=LOOK)
    await house.do_now(LOOK)
    assert [job["attempt"] for job in await house.jobs(LOOK)] == [0]


async def test_a_check_of_an_earlier_connection_is_not_kept_for_a_later_one(board: Any) -> None:
    await board.ask_check()
    async with board.while_working("/organization"):
        await board.call("DELETE", "/v1/tenant")
        await board.sql("UPDATE tenant SET status = 'connected', connected_at = clock_timestamp()")
    assert {row["verdict"] for row in (await board.read_board())["capabilities"]} == {"unknown"}


async def test_the_speakers_names_of_an_earlier_connection_are_forgotten_with_it(board: Any) -> None:
    await board.transcript()
    await board.call("DELETE", "/v1/tenant")
    await board.connect()
    assert (await board.checked())["speaker_attribution"]["verdict"] == "unknown"


async def test_a_refusal_about_one_person_does_not_stand_for_the_tenant(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    of_transcripts = {"path": "*getAllTranscripts*"}
    await board.microsoft.fault("server_error", status=403, match=of_transcripts, times=1)
    row = (await board.checked())["transcript_access"]
    assert (row["verdict"], [one["code"] for one in row["evidence"]]) == (
        "action_needed",
        [None, "GraphAccessToTranscriptsDisabled"],
    )
    await board.microsoft.fault("server_error", status=403, match=of_transcripts, times=2)
    row = (await board.checked())["transcript_access"]
    assert (row["verdict"], "says nothing about the answer" in row["failure"]) == ("action_needed", True)


async def test_a_transcript_refused_for_the_switch_has_the_board_checked(board: Any) -> None:
    await board.checked()
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    about: Any = {"org_id": "acme", "aggregate_version": 1, "meeting_id": "m", "reason": "No transcript."}
    await board.hear(TranscriptUnavailable(code="transcript_deleted", **about))
    assert await board.next_in_s(CHECK) is None
    await board.hear(TranscriptUnavailable(code="transcripts_disabled", **about))
    await board.service.runner.drain()
    assert row_of(await board.read_board(), "transcript_access")["verdict"] == "action_needed"
    await board.hear(TranscriptUnavailable(code="transcripts_disabled", **about))
    assert await board.next_in_s(CHECK) is None


async def test_the_operators_folders_are_told_to_the_log_only(board: Any, tmp_path: Any, capsys: Any) -> None:
    board.service.settings.client_credentials_dir = tmp_path / "of-the-operator"
    await board.checked()
    found = await board.read_board(user="anna", roles=("user",))
    consent = row_of(found, "consent")
    assert (consent["verdict"], consent["remedy"]["who"]) == ("action_needed", "operator")
    told = (await board.app_token(refused="any")).text
    assert "of-the-operator" not in told + str(found) + str(await board.published("tenant.readiness_changed"))
    assert "of-the-operator" in capsys.readouterr().out


async def test_the_operator_sees_how_many_organisations_have_which_verdict(board: Any, monkeypatch: Any) -> None:
    seen: dict[tuple[str, str], int] = {}

    class Gauge:
        def set(self, value: int, about: dict[str, str]) -> None:
            seen[about["capability"], about["verdict"]] = value

    monkeypatch.setattr(metrics, "readiness_verdicts", Gauge())
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.checked()
    await readiness.gauge_verdicts(board.service.db)
    assert (seen["transcript_access", "action_needed"], seen["transcript_access", "ready"]) == (1, 0)
    assert (len(seen), sum(seen.values())) == (65, 13)
