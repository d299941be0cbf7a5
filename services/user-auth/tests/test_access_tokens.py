"""Access tokens for the other services: given out from memory, refreshed once, ended for good once."""

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from m365_simulator.directory import FABRIKAM
from shared.secrets import digest
from shared.testing.databases import connect
from shared.testing.serving import NO_TLS
from shared.testing.statements import statements_of

SHORT_S = 200  # less than the margin: due for a refresh at the first question
CHALLENGE = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})


async def test_a_token_is_answered_and_opens_graph(house: Any) -> None:
    await house.connect()
    answer = await house.token()
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    (told,) = await house.published("user.connected")
    assert (said["oid"], said["tid"]) == (told["oid"], told["tid"])
    assert datetime.fromisoformat(said["expires_at"]).tzinfo is not None
    async with httpx.AsyncClient(verify=NO_TLS, headers={"Authorization": f"Bearer {said['access_token']}"}) as graph:
        calendar = await graph.get(f"{house.microsoft.settings.http_base_url}/v1.0/me/onlineMeetings")
        assert calendar.status_code != 401
    assert house.microsoft.door.refreshes == 0


async def test_a_token_with_time_left_is_given_without_asking_anybody(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    first = (await house.token()).json()
    asked = statements_of(house.service.db, monkeypatch)
    for _ in range(5):
        assert (await house.token()).json() == first
    assert asked == []
    assert house.microsoft.door.refreshes == 0


async def test_two_people_are_refreshed_side_by_side(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    both_asked = asyncio.Barrier(2)

    async def meet() -> None:
        async with asyncio.timeout(5):
            await both_asked.wait()

    house.microsoft.door.before_answer = meet
    answers = await asyncio.gather(house.token(), house.token(user="ben"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["oid"] != answers[1].json()["oid"]


async def test_the_next_refresh_uses_the_rotated_token(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    for _ in range(2):
        assert (await house.token()).status_code == 200
    first, second = house.microsoft.door.sent_refresh_tokens
    assert first != second


async def test_a_kill_between_answer_and_commit_leaves_a_usable_connection(house: Any, postgres_url: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    name = house.service.db.engine.url.database

    async def cut() -> None:
        """As a kill does it: the database sees the connection with the open transaction end."""
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

    house.microsoft.door.before_answer = cut
    assert (await house.token()).status_code == 503
    house.microsoft.door.before_answer = None
    house.short_tokens(3600)
    await house.service.db.engine.dispose()
    await admin.close()
    assert (await house.token()).status_code == 200
    assert (await house.connection())["status"] == "connected"
    assert house.microsoft.door.refreshes == 2


async def test_a_claims_challenge_forces_a_new_token_with_the_claims(house: Any) -> None:
    await house.connect()
    first = (await house.token()).json()
    renewed = await house.token(claims=CHALLENGE)
    assert renewed.json()["access_token"] != first["access_token"]
    asked = json.loads(house.microsoft.door.claims[-1])["access_token"]
    assert asked["nbf"] == {"essential": True, "value": "1"}
    assert asked["xms_cc"] == {"values": ["cp1"]}
    assert (await house.token()).json() == renewed.json()
    assert house.microsoft.door.refreshes == 1


async def test_two_pods_with_the_same_challenge_make_one_refresh(house: Any) -> None:
    await house.connect()
    first = (await house.token()).json()
    again = {"claims": CHALLENGE, "refused": digest(first["access_token"])}
    renewed = (await house.token(**again)).json()
    assert (await house.token(**again)).json() == renewed
    assert house.microsoft.door.refreshes == 1
    other = json.dumps({"access_token": {"nbf": {"essential": True, "value": "2"}}})
    assert (await house.token(**again | {"claims": other})).json() != renewed
    assert (await house.token(**again)).status_code == 200
    assert house.microsoft.door.refreshes == 3


async def test_a_token_that_answered_a_challenge_and_is_refused_is_renewed(house: Any) -> None:
    await house.connect()
    renewed = (await house.token(claims=CHALLENGE)).json()
    newest = (await house.token(claims=CHALLENGE, refused=digest(renewed["access_token"]))).json()
    assert newest["access_token"] != renewed["access_token"]


async def test_a_challenge_or_a_digest_that_is_none_is_refused(house: Any) -> None:
    await house.connect()
    wrong = [{"claims": claims} for claims in ("%%%", "[]", "x")]
    wrong += [{"refused": digest} for digest in ("x", "A" * 64, "0" * 63)]
    for more in wrong:
        assert (await house.token(**more)).status_code == 422, more
    assert house.microsoft.door.refreshes == 0


async def test_a_refusal_for_good_ends_the_connection_once(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.microsoft.client.fault("token_invalid_grant")
    answers = await asyncio.gather(*(house.token() for _ in range(5)))
    answers.append(await house.token())
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "account_not_connected")}
    assert house.microsoft.door.refreshes == 1
    (event,) = await house.published("user.connection_expired")
    assert "password" in event["reason"]
    assert [state["status"] for state in await house.published("user.state")] == ["connected", "expired"]
    shown = await house.connection()
    assert shown["status"] == "expired"
    assert shown["problem"]["code"] == "account_not_connected"
    assert shown["account"]["email"] == "anna@contoso.example"
    (row,) = await house.rows("connection")
    assert row["sealed_cache"] is None
    assert "connection.expired" in [line["action"] for line in await house.rows("audit")]


async def test_a_reconnect_keeps_the_ids_and_says_since_when_it_was_broken(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    await house.microsoft.client.fault("token_invalid_grant")
    await house.token()
    broken_since = datetime.fromisoformat((await house.connection())["broken_since"])
    other = await house.connect("ben@contoso.example")
    assert other.json()["code"] == "another_account"
    assert "anna@contoso.example" in other.json()["detail"]
    house.short_tokens(3600)
    assert (await house.connect()).json()["connection"]["status"] == "connected"
    (first,) = await house.published("user.connected")
    (event,) = await house.published("user.reconnected")
    assert (event["tid"], event["oid"]) == (first["tid"], first["oid"])
    assert datetime.fromisoformat(event["broken_since"]) == broken_since
    assert event["aggregate_version"] == 3
    assert (await house.token()).status_code == 200


async def test_a_busy_microsoft_ends_no_connection_and_the_old_token_serves(house: Any) -> None:
    house.short_tokens(SHORT_S)
    await house.connect()
    house.microsoft.door.refuse_with = (503, {})
    assert (await house.token()).status_code == 200
    challenged = await house.token(claims=CHALLENGE)
    assert (challenged.status_code, challenged.json()["code"]) == (503, "microsoft_busy")
    assert (await house.connection())["status"] == "connected"


BUSY: list[tuple[int, Any]] = [
    (503, {}),
    (503, {"error": "invalid_grant", "error_codes": [50173]}),
    (400, {"error": "temporarily_unavailable", "error_codes": [90033]}),
]


async def test_without_a_valid_token_a_busy_microsoft_is_said_so(house: Any) -> None:
    house.service.settings.refusal_kept_s = 0
    house.short_tokens(10)
    await house.connect()
    for busy in BUSY:
        house.microsoft.door.refuse_with = busy
        refused = await house.token()
        assert (refused.status_code, refused.json()["code"]) == (503, "microsoft_busy"), busy
    assert house.microsoft.door.refreshes == len(BUSY)
    assert (await house.connection())["status"] == "connected"
    assert await house.published("user.connection_expired") == []


async def test_an_answer_that_cannot_be_read_is_a_passing_trouble(house: Any) -> None:
    house.service.settings.refusal_kept_s = 0
    house.short_tokens(10)
    await house.connect()
    for life in (None, "soon", {}):
        house.microsoft.door.edit = lambda said, life=life: said.update(expires_in=life)
        refused = await house.token()
        assert (refused.status_code, refused.json()["code"]) == (503, "microsoft_busy"), life
    house.microsoft.door.edit = lambda said: said.pop("expires_in")
    assert (await house.token()).status_code == 200
    (row,) = await house.rows("connection")
    assert (row["status"], row["doubted_since"]) == ("connected", None)


async def test_a_tenant_that_does_not_know_us_is_not_the_persons_problem(house: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    house.microsoft.door.refuse_with = (400, {"error": "unauthorized_client", "error_codes": [700016]})
    refused = await house.token()
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    assert (await house.connection())["status"] == "connected"


async def test_a_slow_microsoft_is_answered_for_and_its_token_is_kept(house: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    house.short_tokens(3600)
    house.service.settings.token_answer_within_s = 0.3
    answered = asyncio.Event()
    house.microsoft.door.before_answer = answered.wait
    assert (await house.token()).status_code == 503
    house.service.settings.token_answer_within_s = 9
    answered.set()
    assert (await house.token()).status_code == 200
    assert house.microsoft.door.refreshes == 1


async def test_another_pods_disconnect_is_heard_within_the_recheck_time(house: Any, client_of: Any) -> None:
    await house.connect()
    house.service.settings.token_recheck_s = 0
    other = await client_of(await house.make())
    body = {"org_id": "acme", "user_id": "anna"}
    assert (await house.ask(other, body)).status_code == 200
    await house.disconnect()
    refused = await house.ask(other, body)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")


async def test_nobody_gets_a_token_of_somebody_else(house: Any) -> None:
    await house.connect()
    for other in ({"org": "globex"}, {"user": "ben"}):
        refused = await house.token(**other)
        assert (refused.status_code, "access_token" in refused.json()) == (409, False), other


async def test_a_person_cannot_ask_for_tokens(house: Any) -> None:
    await house.connect()
    body = {"org_id": "acme", "user_id": "anna"}
    for refused in (
        await house.call("POST", "/internal/tokens", json=body),
        await house.http.post("/internal/tokens", json=body),
        await house.http.post(
            "/internal/tokens", json=body, headers={"Authorization": f"Bearer {house.caller.issue('storage')}"}
        ),
    ):
        assert refused.status_code == 401
        assert "access_token" not in refused.text


async def test_a_sealed_cache_moved_to_another_person_does_not_open(house: Any) -> None:
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    await house.sql(
        "UPDATE connection SET sealed_cache = (SELECT sealed_cache FROM connection WHERE user_id = 'ben')"
        " WHERE user_id = 'anna'"
    )
    with capture_logs() as logs:
        refused = await house.token()
    assert (refused.status_code, refused.json()["code"]) == (503, "connection_unreadable")
    assert ("error", "connection.unopenable") in [(line["log_level"], line["event"]) for line in logs]
    assert (await house.token(user="ben")).status_code == 200


async def test_row_level_security_hides_the_connections_of_another_organisation(house: Any) -> None:
    await house.connect()
    for table in ("connection", "audit", "sign_in_attempt"):
        assert await house.sql(f"SELECT 1 FROM {table}", org="globex") == []
    assert FABRIKAM not in json.dumps(await house.connection())


async def test_a_token_that_graph_refused_is_replaced_once_however_many_say_so(house: Any) -> None:
    await house.connect()
    old = (await house.token()).json()["access_token"]
    refused = digest(old)
    answers = await asyncio.gather(*(house.token(refused=refused) for _ in range(20)))
    (new,) = {answer.json()["access_token"] for answer in answers}
    assert new != old
    assert (await house.token()).json()["access_token"] == new
    assert (await house.token(refused=refused)).json()["access_token"] == new
    assert house.microsoft.door.refreshes == 1


async def test_microsoft_is_not_asked_again_when_graph_refuses_every_token(house: Any) -> None:
    await house.connect()
    given = (await house.token()).json()["access_token"]
    for _ in range(5):
        given = (await house.token(refused=digest(given))).json()["access_token"]
    assert house.microsoft.door.refreshes == 1
