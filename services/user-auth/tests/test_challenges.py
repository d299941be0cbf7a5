"""Graph's challenge, from a caller through user-auth to Microsoft and back; and what a revoked session ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from dev.embedded.gateway import InternalDispatcher
from dev.embedded.hosting import Listeners
from m365_simulator.testing import free_port
from shared.entra.tokens import TokenClient
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphReconnect
from shared.settings import ServiceSettings
from shared.web.identity import ServiceTokens

ANNA = "anna@contoso.example"


class Callers:
    """Other services that use a person's account, each with its own pod of user-auth to ask."""

    def __init__(self, house: Any, make_settings: Any, stack: AsyncExitStack) -> None:
        self._house = house
        self._make_settings = make_settings
        self._stack = stack

    async def at(self, pod: Any) -> GraphCaller:
        listeners, port = Listeners(), free_port()
        await listeners.open(InternalDispatcher({"user-auth": pod.app}), port)
        settings = self._make_settings(
            ServiceSettings,
            "meetings",
            internal_url=f"http://127.0.0.1:{port}/{{service}}",
            graph_base_url=f"{self._house.microsoft.settings.http_base_url}/v1.0",
        )
        tokens = TokenClient(settings, ServiceTokens(settings, "meetings"))
        graph = Graph(settings, tokens)
        for close in (listeners.close, tokens.aclose, graph.aclose):
            self._stack.push_async_callback(close)
        return graph.as_user("acme", "anna")


@pytest.fixture
async def callers(house: Any, make_settings: Any) -> AsyncIterator[Callers]:
    async with AsyncExitStack() as stack:
        yield Callers(house, make_settings, stack)


async def challenged(house: Any, count: int) -> None:
    """Return when Graph has challenged so many calls."""
    async with asyncio.timeout(20):
        while [call["status"] for call in await house.microsoft.client.calls()].count(401) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_challenge_brings_one_new_token_for_all_who_were_challenged(house: Any, callers: Callers) -> None:
    await house.connect()
    caller = await callers.at(house.service)
    await caller.get("/me")
    assert house.microsoft.door.refreshes == 0
    await house.microsoft.client.do("claims_challenge", user=ANNA)
    house.microsoft.door.before_answer = lambda: challenged(house, 5)
    said = await asyncio.gather(*(caller.get("/me") for _ in range(5)))
    house.microsoft.door.before_answer = None
    assert {one["userPrincipalName"] for one in said} == {ANNA}
    assert house.microsoft.door.refreshes == 1
    assert "nbf" in json.loads(house.microsoft.door.claims[-1])["access_token"]
    await caller.get("/me")
    assert house.microsoft.door.refreshes == 1
    assert await house.published("user.connection_expired") == []


async def test_an_authentication_context_is_answered_with_a_token_with_it(house: Any, callers: Callers) -> None:
    await house.connect()
    caller = await callers.at(house.service)
    await house.microsoft.client.do("claims_challenge", user=ANNA, context="c1")
    assert (await caller.get("/me"))["userPrincipalName"] == ANNA
    assert house.microsoft.door.refreshes == 1
    kept = (await house.token()).json()["access_token"]
    assert jwt.decode(kept, options={"verify_signature": False})["acrs"] == ["c1"]


async def test_revoked_sessions_end_the_connection_once_for_all_pods(house: Any, callers: Callers) -> None:
    await house.connect()
    asking = [await callers.at(house.service), await callers.at(await house.make())]
    for caller in asking:
        await caller.get("/me")
    await house.microsoft.client.do("sessions_revoke", user=ANNA)
    ended = await asyncio.gather(*(caller.get("/me") for caller in asking * 4), return_exceptions=True)
    assert {type(one) for one in ended} == {GraphReconnect}
    assert all("Reconnect your account" in str(one) for one in ended)
    (event,) = await house.published("user.connection_expired")
    assert "password or the sessions were reset" in event["reason"]
    assert [state["status"] for state in await house.published("user.state")] == ["connected", "expired"]
    shown = await house.connection()
    assert (shown["status"], shown["problem"]["code"]) == ("expired", "account_not_connected")
    assert event["reason"] in shown["problem"]["detail"]
    again = await asyncio.gather(*(caller.get("/me") for caller in asking), return_exceptions=True)
    assert {type(one) for one in again} == {GraphReconnect}
    assert len(await house.published("user.connection_expired")) == 1


C1 = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}


async def refuse_the_refresh(house: Any, **more: Any) -> None:
    """Entra wants the person there before it answers this challenge."""
    about = {"number": 50076, "error": "interaction_required", "match": {"grant": "refresh_token"}, "times": 1}
    await house.microsoft.client.fault("token_error", **about | more)


async def asked_at_sign_in(house: Any) -> Any:
    address = (await house.start()).json()["authorize_url"]
    claims = json.loads(parse_qs(urlsplit(address).query)["claims"][0])["access_token"]
    assert claims.pop("xms_cc") == {"values": ["cp1"]}
    return claims


async def test_a_challenge_for_the_person_is_answered_by_the_reconnect(house: Any, callers: Callers) -> None:
    await house.connect()
    caller = await callers.at(house.service)
    await house.microsoft.client.do("claims_challenge", user=ANNA, context="c1")
    await refuse_the_refresh(house)
    with pytest.raises(GraphReconnect):
        await caller.get("/me")
    assert (await house.connection())["status"] == "expired"
    assert (await house.connect()).status_code == 200
    assert (await caller.get("/me"))["userPrincipalName"] == ANNA
    assert house.microsoft.door.refreshes == 1, "the sign-in's own token is enough"
    assert await asked_at_sign_in(house) == {}, "it is answered"


async def test_a_reconnect_is_asked_for_what_graph_and_entra_want(house: Any) -> None:
    await house.connect()
    entras = json.dumps({"access_token": {"capolids": {"essential": True, "values": ["policy"]}}})
    await refuse_the_refresh(house, claims=entras)
    assert (await house.token(claims=json.dumps(C1))).status_code == 409
    assert await asked_at_sign_in(house) == C1["access_token"] | json.loads(entras)["access_token"]
    await house.disconnect()
    assert await asked_at_sign_in(house) == {}, "another account may come next"


@pytest.mark.parametrize("claims", ["no JSON", "[]", json.dumps({"access_token": {"a": {"value": "x" * 5000}}})])
async def test_unreadable_words_of_entra_keep_nobody_from_reconnecting(house: Any, claims: str) -> None:
    house.short_tokens(10)
    await house.connect()
    await refuse_the_refresh(house, claims=claims)
    assert (await house.token()).status_code == 409
    assert await asked_at_sign_in(house) == {}
    assert (await house.connect()).status_code == 200


async def test_after_a_reconnect_the_same_callers_go_on(house: Any, callers: Callers) -> None:
    await house.connect()
    caller = await callers.at(house.service)
    await caller.get("/me")
    await house.microsoft.client.do("sessions_revoke", user=ANNA)
    with pytest.raises(GraphReconnect):
        await caller.get("/me")
    assert (await house.connect()).status_code == 200
    assert (await caller.get("/me"))["userPrincipalName"] == ANNA
    (first,) = await house.published("user.connected")
    (event,) = await house.published("user.reconnected")
    same = ("org_id", "user_id", "tid", "oid")
    assert [event[name] for name in same] == [first[name] for name in same]
