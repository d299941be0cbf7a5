"""While Microsoft is silent or refuses for now: who is served meanwhile, and how long it is left alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

EXPIRED_S = 10
STILL_VALID_S = 200
GONE = (400, {"error": "unauthorized_client", "error_codes": [700016]})


@asynccontextmanager
async def silent(house: Any) -> AsyncIterator[None]:
    """Microsoft takes questions and answers none."""
    goes_on = asyncio.Event()
    house.microsoft.door.before_answer = goes_on.wait
    try:
        yield
    finally:
        house.microsoft.door.before_answer = None
        goes_on.set()


@asynccontextmanager
async def locked(house: Any) -> AsyncIterator[None]:
    """As by another pod that is refreshing Anna's connection."""
    async with house.service.db.unit_of_work("acme") as work:
        await work.session.execute(text("SELECT 1 FROM connection WHERE user_id = 'anna' FOR UPDATE"))
        yield


async def until_asked(house: Any, refreshes: int) -> None:
    """In less time than those who wait for a lock wait."""
    async with asyncio.timeout(6):
        while house.microsoft.door.refreshes < refreshes:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kept_waiting_by", [silent, locked])
async def test_a_token_that_is_still_valid_serves_whoever_is_kept_waiting(house: Any, kept_waiting_by: Any) -> None:
    house.short_tokens(STILL_VALID_S)
    await house.connect()
    house.service.settings.token_answer_within_s = 0.5
    async with kept_waiting_by(house):
        assert (await house.token()).status_code == 200
        assert (await house.token(claims=challenge(1))).status_code == 503, "that one would be refused"


async def test_a_held_lock_keeps_no_database_connection_longer_than_a_caller(house: Any) -> None:
    house.short_tokens(EXPIRED_S)
    await house.connect()
    house.service.settings.token_answer_within_s = 0.3
    async with locked(house):
        assert (await house.token()).status_code == 503
        async with asyncio.timeout(5):
            while house.service.db.engine.pool.checkedout() > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert house.microsoft.door.refreshes == 0


async def test_a_refresh_that_takes_too_long_gives_its_lock_back(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("user_auth.refreshing._IDLE_S", 0.3)
    house.short_tokens(EXPIRED_S)
    await house.connect()
    async with silent(house):
        asking = asyncio.create_task(house.token())
        await until_asked(house, 1)
        async with asyncio.timeout(5), locked(house):
            pass
    assert (await asking).status_code == 503
    assert (await house.token()).status_code == 200


def challenge(number: int) -> str:
    return json.dumps({"access_token": {"nbf": {"essential": True, "value": str(number)}}})


@asynccontextmanager
async def crowded(house: Any, pod: Any, client: Any, orgs: list[str], each: int, taken: int) -> AsyncIterator[None]:
    """Microsoft is silent, and of each organisation so many refreshes wait for it or for the lock of one that does.

    So many database connections of the pod are ``taken`` then.
    """
    async with silent(house):
        people = [{"org_id": org, "user_id": "anna"} for org in orgs]
        bodies = [person | {"claims": challenge(number)} for person in people for number in range(each)]
        asking = [asyncio.create_task(house.ask(client, body)) for body in bodies]
        async with asyncio.timeout(20):
            while pod.db.engine.pool.checkedout() < taken:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield
    await asyncio.gather(*asking)


async def small_pod(house: Any, client_of: Any) -> tuple[Any, Any]:
    """Six database connections: three for refreshes, two at most of one organisation."""
    house.service.settings.database_pool_size = 3
    pod = await house.make()
    return pod, await client_of(pod)


async def pages_are_served(house: Any, client: Any, org: str) -> None:
    """Again and again, while the crowd settles down, and each sooner than those who wait for a lock give up."""
    headers = {"Authorization": f"Bearer {house.keys.token(org, 'anna')}"}
    for _ in range(10):
        async with asyncio.timeout(5):
            assert (await client.get("/v1/connection", headers=headers)).status_code == 200


async def organisation(house: Any, org: str) -> None:
    """With Anna's account of the same tenant."""
    await house.has_tenant(org)
    assert (await house.connect(org=org)).status_code == 200


async def test_one_organisations_crowd_leaves_room_for_another_and_for_the_pages(house: Any, client_of: Any) -> None:
    pod, client = await small_pod(house, client_of)
    house.short_tokens(STILL_VALID_S)
    for org in ("acme", "globex"):
        await organisation(house, org)
    assert (await house.connect("ben@contoso.example", user="ben")).status_code == 200
    async with crowded(house, pod, client, ["acme"], each=9, taken=2):
        await pages_are_served(house, client, "acme")
        refreshes = house.microsoft.door.refreshes
        elsewhere = asyncio.create_task(house.ask(client, {"org_id": "globex", "user_id": "anna"}))
        await until_asked(house, refreshes + 1)
        house.service.settings.token_answer_within_s = 6  # he disconnects sooner on a busy machine too
        waits = asyncio.create_task(house.ask(client, {"org_id": "acme", "user_id": "ben"}))
        headers = {"Authorization": f"Bearer {house.keys.token('acme', 'ben')}"}
        assert (await client.delete("/v1/connection", headers=headers)).json()["status"] == "disconnected"
        assert (await waits).status_code != 200, "what he ended is not given out, though it is still valid"
    assert (await elsewhere).status_code == 200


async def test_crowds_of_many_organisations_leave_half_of_the_pool_to_the_pages(house: Any, client_of: Any) -> None:
    pod, client = await small_pod(house, client_of)
    house.short_tokens(EXPIRED_S)
    orgs = ["acme", "globex", "initech", "umbrella"]
    for org in orgs:
        await organisation(house, org)
    async with crowded(house, pod, client, orgs, each=4, taken=3):
        await pages_are_served(house, client, "initech")


async def test_a_tenant_that_does_not_know_us_is_asked_once_for_all_its_people(house: Any) -> None:
    house.short_tokens(EXPIRED_S)
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    house.microsoft.door.refuse_with = GONE
    answers = [await house.token(user=user) for user in ("anna", "ben", "anna", "ben")]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "tenant_not_connected")}
    assert house.microsoft.door.refreshes == 1
    house.microsoft.door.refuse_with = None
    await house.has_tenant(version=2)
    assert (await house.token()).status_code == 200, "news of the tenant end the waiting"


async def test_another_organisation_waits_for_no_tenant_that_forgot_us(house: Any) -> None:
    house.short_tokens(EXPIRED_S)
    await house.connect()
    await organisation(house, "globex")
    house.microsoft.door.refuse_with = GONE
    await house.token()
    house.microsoft.door.refuse_with = None
    assert (await house.token(org="globex")).status_code == 200


async def test_microsoft_is_left_alone_as_long_as_it_wants(house: Any) -> None:
    house.short_tokens(EXPIRED_S)
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    await house.microsoft.client.fault("token_busy", times=1, retry_after=300)
    answers = [await house.token() for _ in range(5)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "microsoft_busy")}
    assert all(290 < int(answer.headers["retry-after"]) <= 300 for answer in answers)
    assert house.microsoft.door.refreshes == 1
    assert (await house.token(user="ben")).status_code == 200, "it said so to Anna only"
    assert (await house.connect()).status_code == 200
    assert (await house.token()).status_code == 200, "a new sign-in does not wait"


async def test_an_application_that_is_not_set_up_right_is_the_operators_affair(house: Any) -> None:
    house.short_tokens(EXPIRED_S)
    await house.connect()
    house.microsoft.door.refuse_with = (401, {"error": "invalid_client", "error_codes": [7000222]})
    answers = [await house.token() for _ in range(3)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "prospo_misconfigured")}
    assert "operator" in answers[-1].json()["detail"]
    assert house.microsoft.door.refreshes == 1
    house.service.settings.refusal_kept_s = 0
    house.microsoft.door.refuse_with = None
    assert (await house.token()).status_code == 200
