"""Access tokens from the services that hold the grants."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from shared.connections.state import UNKNOWN, Versions
from shared.entra.tokens import KEPT_AT_MOST, AccessToken, TokenClient, _Flight
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.hosting.service import Service
from shared.secrets import digest
from shared.settings import ServiceSettings
from shared.testing.databases import TestDatabase
from shared.testing.fixtures import PlatformKeys
from shared.testing.memory_bus import MemoryBus
from shared.testing.scripted import Reply, ScriptedServer, client_settings, scripted_server
from shared.web.identity import ServiceTokens


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


class Heard:
    """What a service has heard of a connection, as ``shared.connections`` tells it."""

    def __init__(self) -> None:
        self.versions = UNKNOWN

    async def __call__(self, _org_id: str, _user_id: str | None) -> Versions:
        return self.versions


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def tokens(server: ScriptedServer, made_keys: PlatformKeys, heard: Heard) -> AsyncIterator[TokenClient]:
    settings = client_settings(made_keys, internal_url=server.url + "/{service}")
    client = TokenClient(settings, ServiceTokens(settings, "meetings"), heard)
    yield client
    await client.aclose()


def token(value: str = "secret", lasts: timedelta = timedelta(hours=1), **more: Any) -> Reply:
    said = {"access_token": value, "expires_at": (datetime.now(UTC) + lasts).isoformat(), "oid": "o1", "tid": "t1"}
    return Reply(json=said | more)


async def test_a_person_s_token_is_asked_of_user_auth_in_this_service_s_name(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    server.otherwise = token()
    assert (await tokens.user_token("acme", "anna")).value == "secret"
    [asked] = server.seen
    assert (asked.method, asked.target) == ("POST", "/user-auth/internal/tokens")
    assert asked.json() == {"org_id": "acme", "user_id": "anna"}
    claims = jwt.decode(asked.headers["authorization"].removeprefix("Bearer "), options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("meetings", "user-auth")


async def test_the_application_s_token_is_asked_of_tenant_connector(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    server.otherwise = token(oid=None)
    assert (await tokens.app_token("acme")).oid is None
    assert server.seen[0].target == "/tenant-connector/internal/app-token"
    assert server.seen[0].json() == {"org_id": "acme"}


@pytest.mark.parametrize(("lasts", "calls"), [(timedelta(minutes=5, seconds=30), 1), (timedelta(minutes=4), 2)])
async def test_a_token_is_kept_until_five_minutes_before_it_expires(
    server: ScriptedServer, tokens: TokenClient, lasts: timedelta, calls: int
) -> None:
    server.otherwise = token(lasts=lasts)
    await tokens.user_token("acme", "anna")
    await tokens.user_token("acme", "anna")
    assert len(server.seen) == calls


async def test_tokens_are_kept_apart_by_organisation_and_person(server: ScriptedServer, tokens: TokenClient) -> None:
    server.script.extend([token("a"), token("b"), token("c")])
    first = await tokens.user_token("acme", "anna")
    second = await tokens.user_token("globex", "anna")
    third = await tokens.app_token("acme")
    assert [first.value, second.value, third.value] == ["a", "b", "c"]


async def test_a_claims_challenge_forces_a_new_token_which_is_then_kept(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    server.script.extend([token("old"), token("new")])
    await tokens.user_token("acme", "anna")
    assert (await tokens.user_token("acme", "anna", claims='{"a":1}')).value == "new"
    assert server.seen[1].json()["claims"] == '{"a":1}'
    assert (await tokens.user_token("acme", "anna")).value == "new"
    assert len(server.seen) == 2


async def test_who_is_challenged_late_gets_what_answered_the_same_challenge(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    server.script.extend([token("old"), token("new"), token("newest")])
    await tokens.user_token("acme", "anna")
    for _ in range(2):
        tokens.forget("acme", "anna", "old")
        assert (await tokens.user_token("acme", "anna", claims='{"a":1}')).value == "new"
    assert (await tokens.user_token("acme", "anna", claims='{"b":1}')).value == "newest"
    assert [asked.json().get("claims") for asked in server.seen] == [None, '{"a":1}', '{"b":1}']


async def test_a_forgotten_token_is_asked_for_again(server: ScriptedServer, tokens: TokenClient) -> None:
    server.script.extend([token("old"), token("new")])
    await tokens.user_token("acme", "anna")
    tokens.forget("acme", "anna")
    assert (await tokens.user_token("acme", "anna")).value == "new"


async def test_what_was_under_way_when_a_token_was_forgotten_is_not_kept(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    hold = asyncio.Event()
    stale = token("stale")
    stale.hold = hold
    server.script.extend([stale, token("new")])
    first = asyncio.create_task(tokens.user_token("acme", "anna"))
    await server.until_in_flight(1)
    tokens.forget("acme", "anna")
    assert (await tokens.user_token("acme", "anna")).value == "new"
    hold.set()
    assert (await first).value == "stale"
    assert (await tokens.user_token("acme", "anna")).value == "new"


async def test_fifty_tasks_make_one_call(server: ScriptedServer, tokens: TokenClient) -> None:
    server.otherwise = token()
    got = await asyncio.gather(*(tokens.user_token("acme", "anna") for _ in range(50)))
    assert len(server.seen) == 1
    assert len({item.value for item in got}) == 1


async def test_fifty_tasks_with_one_challenge_make_one_call(server: ScriptedServer, tokens: TokenClient) -> None:
    server.otherwise = token()
    await asyncio.gather(*(tokens.user_token("acme", "anna", claims="{}") for _ in range(50)))
    assert len(server.seen) == 1


async def test_a_failed_call_fails_all_who_waited_and_nobody_after(server: ScriptedServer, tokens: TokenClient) -> None:
    server.script.append(Reply(503, json={"code": "busy", "detail": "Microsoft is busy."}))
    server.otherwise = token()
    got = await asyncio.gather(*(tokens.user_token("acme", "anna") for _ in range(5)), return_exceptions=True)
    assert [type(item) for item in got] == [GraphRetry] * 5
    assert (await tokens.user_token("acme", "anna")).value == "secret"


async def test_one_who_stops_waiting_does_not_stop_the_others(server: ScriptedServer, tokens: TokenClient) -> None:
    hold = asyncio.Event()
    server.otherwise = token()
    server.otherwise.hold = hold
    first = asyncio.create_task(tokens.user_token("acme", "anna"))
    second = asyncio.create_task(tokens.user_token("acme", "anna"))
    await server.until_in_flight(1)
    first.cancel()
    hold.set()
    assert (await second).value == "secret"
    assert len(server.seen) == 1


CONFLICTS = [
    ("user", 409, "account_not_connected", GraphReconnect),
    ("user", 409, "tenant_not_connected", GraphTellAdmin),
    ("app", 409, "tenant_not_connected", GraphTellAdmin),
    ("app", 409, "", GraphTellAdmin),
    ("user", 429, "too_many", GraphRetry),
    ("user", 500, "", GraphRetry),
    ("user", 503, "microsoft_busy", GraphRetry),
    ("user", 400, "bad", GraphGiveUp),
    ("user", 401, "not_signed_in", GraphGiveUp),
    ("app", 403, "not_allowed", GraphGiveUp),
    ("app", 404, "not_found", GraphGiveUp),
]


@pytest.mark.parametrize(("whose", "status", "code", "kind"), CONFLICTS)
async def test_a_refusal_says_what_to_do_next(
    server: ScriptedServer, tokens: TokenClient, whose: str, status: int, code: str, kind: type[Exception]
) -> None:
    server.otherwise = Reply(status, json={"code": code, "detail": "What to do."})
    with pytest.raises(kind, match="What to do") as refused:
        await (tokens.user_token("acme", "anna") if whose == "user" else tokens.app_token("acme"))
    assert type(refused.value) is kind
    assert (refused.value.status, refused.value.code) == (status, code)


async def test_a_busy_service_says_how_long(server: ScriptedServer, tokens: TokenClient) -> None:
    server.otherwise = Reply(503, json={}, headers={"retry-after": "7"})
    with pytest.raises(GraphRetry) as refused:
        await tokens.app_token("acme")
    assert refused.value.after_s == 7


@pytest.mark.parametrize("status", [200, 409, 503, 400])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"text"', b"\xff\xfe", b"{"])
async def test_a_body_that_is_no_json_object_is_never_a_crash(
    server: ScriptedServer, tokens: TokenClient, status: int, body: bytes
) -> None:
    server.otherwise = Reply(status, body=body, headers={"content-type": "application/json"})
    expected = {200: GraphRetry, 409: GraphReconnect, 503: GraphRetry, 400: GraphGiveUp}[status]
    with pytest.raises(expected):
        await tokens.user_token("acme", "anna")


@pytest.mark.parametrize(
    "broken",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 7},
        {"tid": None},
        {"oid": 7},
        {"expires_at": None},
        {"expires_at": "soon"},
        {"expires_at": "2030-01-01T00:00:00"},
        {"expires_at": 1893456000},
    ],
)
async def test_an_answer_with_something_missing_is_tried_again_and_not_kept(
    server: ScriptedServer, tokens: TokenClient, broken: dict[str, Any]
) -> None:
    server.script.append(token(**broken))
    server.otherwise = token()
    with pytest.raises(GraphRetry, match="cannot be read"):
        await tokens.user_token("acme", "anna")
    assert (await tokens.user_token("acme", "anna")).value == "secret"


async def test_a_service_that_is_away_is_tried_again(made_keys: PlatformKeys) -> None:
    settings = client_settings(made_keys, internal_url="http://127.0.0.1:9/{service}")
    client = TokenClient(settings, ServiceTokens(settings, "meetings"))
    with pytest.raises(GraphRetry, match="user-auth does not answer"):
        await client.user_token("acme", "anna")
    await client.aclose()


async def test_memory_does_not_grow_with_the_number_of_people(server: ScriptedServer, tokens: TokenClient) -> None:
    kept = AccessToken("secret", datetime.now(UTC) + timedelta(hours=1), None, "t1")
    for number in range(KEPT_AT_MOST + 5):
        tokens._keep(_Flight(("acme", str(number)), None, None, UNKNOWN), kept)
    assert len(tokens._kept) == KEPT_AT_MOST


def test_a_token_does_not_show_in_text() -> None:
    assert "secret" not in repr(AccessToken("secret", datetime.now(UTC), None, "t1"))


async def test_the_holder_is_told_which_token_was_refused_until_it_gives_another(
    server: ScriptedServer, tokens: TokenClient
) -> None:
    server.script.extend([token("old"), token("old"), token("new"), token("late")])
    await tokens.user_token("acme", "anna")
    tokens.forget("acme", "anna", "old")
    assert (await tokens.user_token("acme", "anna")).value == "old"
    assert (await tokens.user_token("acme", "anna")).value == "new", "the refused one was not kept"
    assert [seen.json().get("refused") for seen in server.seen] == [None, digest("old"), digest("old")]
    assert (await tokens.user_token("acme", "anna")).value == "new"
    tokens.forget("acme", "anna")
    await tokens.user_token("acme", "anna")
    assert "refused" not in server.seen[-1].json()


async def test_a_token_newer_than_the_refused_one_is_kept(server: ScriptedServer, tokens: TokenClient) -> None:
    server.script.extend([token("old"), token("new")])
    await tokens.app_token("acme")
    tokens.forget("acme", None, "old")
    await tokens.app_token("acme")
    tokens.forget("acme", None, "old")
    assert (await tokens.app_token("acme")).value == "new"
    assert len(server.seen) == 2


@pytest.mark.parametrize("changed", [Versions(2, 1), Versions(1, 2), Versions(1, None)])
@pytest.mark.parametrize("user_id", ["anna", None])
async def test_a_kept_token_ends_with_the_versions_it_was_asked_for_in(
    server: ScriptedServer, tokens: TokenClient, heard: Heard, user_id: str | None, changed: Versions
) -> None:
    heard.versions = Versions(1, 1)
    server.script.extend([token("old"), token("new")])

    async def ask() -> str:
        return (await (tokens.user_token("acme", user_id) if user_id else tokens.app_token("acme"))).value

    assert [await ask(), await ask()] == ["old", "old"]
    heard.versions = changed
    assert [await ask(), await ask()] == ["new", "new"]
    assert server.seen[-1].json().get("known_version") == (changed.person if user_id else None)


async def test_who_asks_after_an_end_does_not_get_what_was_asked_for_before(
    server: ScriptedServer, tokens: TokenClient, heard: Heard
) -> None:
    heard.versions, stale = Versions(1, 1), token("stale")
    stale.hold = asyncio.Event()
    server.script.extend([stale, token("new"), token("new")])
    first = asyncio.create_task(tokens.user_token("acme", "anna"))
    await server.until_in_flight(1)
    heard.versions = Versions(1, 2)
    assert (await tokens.user_token("acme", "anna")).value == "new"
    stale.hold.set()
    assert (await first).value == "stale"
    assert (await tokens.user_token("acme", "anna")).value == "new"
    assert len(server.seen) == 3, "what came late was kept in its own version only"


async def test_a_service_that_hears_of_no_connection_needs_no_copies(
    server: ScriptedServer, make_settings: Any, database: TestDatabase
) -> None:
    server.otherwise = token()
    more = database.settings | {"internal_url": server.url + "/{service}"}
    settings = make_settings(ServiceSettings, "meetings", **more)
    service = Service("meetings", "notes", settings, bus=MemoryBus())
    service.provide(tokens=TokenClient(settings, service.service_tokens))
    await service.start(api=False, worker=False)
    for _ in range(2):
        assert (await service.provided["tokens"].user_token("acme", "anna")).value == "secret"
    assert len(server.seen) == 1
    await service.stop()
