"""``shared.entra.tokens`` and the two services that hold tokens understand each other."""

import importlib
import json
from collections.abc import AsyncIterator

import pytest

from dev.embedded.gateway import InternalDispatcher
from shared.entra.tokens import TokenClient
from shared.graph.errors import GraphTellAdmin
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings
from shared.testing.harness import StartService
from shared.testing.serving import serving
from shared.web.identity import ServiceTokens

CHALLENGE = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})


@pytest.fixture
async def tokens(
    request: pytest.FixtureRequest, make_settings: MakeSettings, start_service: StartService
) -> AsyncIterator[TokenClient]:
    """A caller's client, with the holder of tokens on a loopback port; nothing is connected there."""
    name: str = request.param
    package = name.replace("-", "_")
    kind = importlib.import_module(f"{package}.settings").Settings
    service = await start_service(importlib.import_module(f"{package}.main").create_service, kind, name)
    async with serving(InternalDispatcher({name: service.app})) as url:
        caller = make_settings(ServiceSettings, "recording-ingest", internal_url=url + "/{service}")
        client = TokenClient(caller, ServiceTokens(caller, "recording-ingest"))
        yield client
        await client.aclose()


@pytest.mark.parametrize("tokens", ["user-auth"], indirect=True)
@pytest.mark.parametrize("claims", [None, CHALLENGE])
async def test_a_person_of_an_unconnected_organisation_is_the_admins_business(
    tokens: TokenClient, claims: str | None
) -> None:
    with pytest.raises(GraphTellAdmin) as refused:
        await tokens.user_token("acme", "anna", claims=claims)
    assert (refused.value.status, refused.value.code) == (409, "tenant_not_connected")


@pytest.mark.parametrize("tokens", ["tenant-connector"], indirect=True)
async def test_the_applications_token_of_an_unconnected_organisation_too(tokens: TokenClient) -> None:
    with pytest.raises(GraphTellAdmin) as refused:
        await tokens.app_token("acme")
    assert (refused.value.status, refused.value.code) == (409, "tenant_not_connected")
