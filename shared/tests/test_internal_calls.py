"""Calls from one service to another."""

import uvicorn

from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import client_settings
from shared.web.identity import ServiceTokens
from shared.web.internal import InternalClient


async def test_an_idle_connection_is_left_before_the_service_closes_it(made_keys: PlatformKeys) -> None:
    """A request that is sent while the service closes its connection is lost."""
    closed_after_s = uvicorn.Config("app:app").timeout_keep_alive
    settings = client_settings(made_keys)
    client = InternalClient(settings, ServiceTokens(settings, "mail"))
    try:
        kept_for_s = client.http._transport._pool._keepalive_expiry  # httpx has no public way to read it
    finally:
        await client.aclose()
    assert kept_for_s <= closed_after_s / 2
