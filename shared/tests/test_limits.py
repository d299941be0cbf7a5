"""Limits on what costs much: counted by the database, over pods, for each person and organisation by itself."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy import text

from shared.hosting.service import Service
from shared.problems import BadInput
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.web.limits import limited, take
from shared.web.routes import Caller

from .conftest import ClientOf, MakeService

routes = APIRouter()


@routes.post("/v1/mine", dependencies=[limited("mine", per_hour="audit_reads_per_hour")])
async def mine(caller: Caller) -> str:
    return caller.user_id


@routes.post("/v1/ours", dependencies=[limited("ours", per_hour="audit_reads_per_hour", of="organisation")])
async def ours(caller: Caller) -> str:
    raise BadInput("refused", "This is always refused.")


@pytest.fixture
async def pods(make_service: MakeService) -> list[Service]:
    """Two of the same service, each with a pool of its own, that allow ten an hour."""
    made = [await make_service() for _ in range(2)]
    for pod in made:
        pod.include(routes)
        pod.settings.audit_reads_per_hour = 10
    return made


@pytest.fixture
async def clients(pods: list[Service], client_of: ClientOf) -> list[httpx.AsyncClient]:
    return [await client_of(pod) for pod in pods]


async def call(client: httpx.AsyncClient, keys: PlatformKeys, path: str, org: str = "acme", user: str = "anna") -> Any:
    return await client.post(path, headers={"Authorization": f"Bearer {keys.token(org, user)}"})


async def move(pod: Service, seconds: float) -> None:
    """As if so much time had passed."""
    async with pod.db.system_work() as work:
        await work.session.execute(
            text("UPDATE rate_limit SET full_at = full_at - make_interval(secs => :s)"), {"s": seconds}
        )


async def test_two_pods_together_allow_what_one_does(
    clients: list[httpx.AsyncClient], platform_keys: PlatformKeys
) -> None:
    answers = await asyncio.gather(*(call(clients[n % 2], platform_keys, "/v1/mine") for n in range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 14


async def test_a_refusal_is_a_problem_that_says_when_to_come_back(
    clients: list[httpx.AsyncClient], platform_keys: PlatformKeys
) -> None:
    answers = [await call(clients[0], platform_keys, "/v1/mine") for _ in range(11)]
    problem = answers[-1].json()
    assert (answers[-1].status_code, problem["code"]) == (429, "too_many_requests")
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 360
    assert "Try again in" in problem["detail"]


async def test_the_bucket_refills_evenly_and_no_further_than_full(
    pods: list[Service], clients: list[httpx.AsyncClient], platform_keys: PlatformKeys
) -> None:
    for _ in range(10):
        assert (await call(clients[0], platform_keys, "/v1/mine")).status_code == 200
    refused = [(await call(clients[0], platform_keys, "/v1/mine")).status_code for _ in range(3)]
    assert refused == [429] * 3
    await move(pods[0], 360)  # an hour by ten: room for one, however often it was refused
    again = [(await call(clients[1], platform_keys, "/v1/mine")).status_code for _ in range(2)]
    assert again == [200, 429]
    await move(pods[0], 100 * 3600)
    later = [(await call(clients[1], platform_keys, "/v1/mine")).status_code for _ in range(11)]
    assert later == [200] * 10 + [429]


async def test_everybody_has_a_bucket_of_their_own(
    clients: list[httpx.AsyncClient], platform_keys: PlatformKeys
) -> None:
    for _ in range(11):
        last = await call(clients[0], platform_keys, "/v1/mine")
    assert last.status_code == 429
    for org, user in (("acme", "ben"), ("globex", "anna")):
        assert (await call(clients[0], platform_keys, "/v1/mine", org, user)).status_code == 200


async def test_an_organisations_people_share_one_bucket(
    clients: list[httpx.AsyncClient], platform_keys: PlatformKeys
) -> None:
    answers = [await call(clients[0], platform_keys, "/v1/ours", user=f"user-{n}") for n in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert "Your organisation has" in answers[-1].json()["detail"]
    assert (await call(clients[0], platform_keys, "/v1/ours", "globex")).status_code == 422


async def test_nothing_is_counted_for_who_is_not_signed_in(
    pods: list[Service], clients: list[httpx.AsyncClient]
) -> None:
    assert [(await clients[0].post("/v1/mine")).status_code for _ in range(12)] == [401] * 12
    async with pods[0].db.system_work() as work:
        assert (await work.session.execute(text("SELECT count(*) FROM rate_limit"))).scalar_one() == 0


async def test_another_organisation_does_not_see_the_buckets(pods: list[Service]) -> None:
    await take(pods[0].db, "acme", "anna", "some", 5)
    seen = {}
    for org in ("acme", "globex"):
        async with pods[0].db.unit_of_work(org) as work:
            seen[org] = (await work.session.execute(text("SELECT user_id FROM rate_limit"))).scalars().all()
    assert seen == {"acme": ["anna"], "globex": []}


@pytest.mark.parametrize("figure", [0, -1, 1_000_001])
def test_a_limit_is_a_sensible_figure(make_settings: MakeSettings, figure: int) -> None:
    with pytest.raises(ValidationError, match="audit_reads_per_hour"):
        make_settings(ServiceSettings, "notes", audit_reads_per_hour=figure)
