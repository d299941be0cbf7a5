"""``shared.tokens`` and the two services that hold tokens understand each other."""

import importlib
import json
from collections.abc import AsyncIterator

import pytest

from dev.embedded.gateway import InternalDispatcher
from dev.embedded.hosting import Listeners
from shared.bus import MemoryBus
from shared.graph.errors import GraphTellAdmin
from shared.identity import ServiceTokens
from shared.migrate import migrate
from shared.settings import ServiceSettings
from shared.testing.engines import free_port
from shared.testing.fixtures import MakeSettings
from shared.tokens import TokenClient

CHALLENGE = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})


@pytest.fixture
async def tokens(
    request: pytest.FixtureRequest, make_settings: MakeSettings, memory_bus: MemoryBus
) -> AsyncIterator[TokenClient]:
    """A caller's client, with the holder of tokens on a loopback port; nothing is connected there."""
    name: str = request.param
    package = name.replace("-", "_")
    settings = make_settings(importlib.import_module(f"{package}.settings").Settings, name)
    await migrate(package, settings)
    service = importlib.import_module(f"{package}.main").create_service(settings, bus=memory_bus)
    listeners, port = Listeners(), free_port()
    await listeners.open(InternalDispatcher({name: service.app}), port)
    caller = make_settings(ServiceSettings, "recording-ingest", internal_url=f"http://127.0.0.1:{port}/{{service}}")
    client = TokenClient(caller, ServiceTokens(caller, "recording-ingest"))
    yield client
    await client.aclose()
    await listeners.close()
    await service.stop()


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
