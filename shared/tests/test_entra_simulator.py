"""Entra's refusals over a real connection: the simulator's token endpoint, a few numbers of each kind."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.entra.aadsts import (
    EntraError,
    EntraMisconfigured,
    EntraOtherCloud,
    EntraReconnect,
    EntraRetry,
    EntraTellAdmin,
    EntraTenantGone,
    EntraTenantUnknown,
)
from shared.entra.client import Entra
from shared.settings import ServiceSettings
from tenant_connector.tokens import acquire

from .said_by_entra import settings_of

NOBODY = "11111111-2222-3333-4444-555555555555"
KINDS: list[tuple[type[EntraError], list[int]]] = [
    (EntraRetry, [90033, 90090, 50196]),
    (EntraReconnect, [50173, 700082, 70043]),
    (EntraTellAdmin, [53003, 50105, 65001]),
    (EntraOtherCloud, [90038, 900382]),
    (EntraTenantGone, [700016, 7000112]),
    (EntraTenantUnknown, [90002]),
    (EntraMisconfigured, [7000215, 500011, 70011]),
]


@pytest.fixture
async def microsoft(simulator: Simulator) -> AsyncIterator[tuple[Entra, SimulatorClient]]:
    """The simulator with the application consented to, and our side of it."""
    known = simulator.settings
    query = {"client_id": known.client_id, "redirect_uri": known.redirect_uris[0]}
    query["scope"] = "https://graph.microsoft.com/.default"
    at = {"entra_authority": known.https_base_url, "ca_bundle": known.state_dir / "ca.pem"}
    own = settings_of(ServiceSettings, client_id=known.client_id, client_secret=known.client_secret, **at)
    async with SimulatorClient(known.http_base_url) as client:
        url = f"{known.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"
        await client.approve_admin_consent(url, "admin@contoso.example")
        yield Entra(own), client


async def refused(entra: Entra, tid: str = CONTOSO) -> EntraError:
    with pytest.raises(EntraError) as error:
        await asyncio.to_thread(acquire, entra, tid)
    return error.value


async def test_numbers_of_every_kind_come_back_as_their_kind(microsoft: tuple[Entra, SimulatorClient]) -> None:
    entra, client = microsoft
    for kind, numbers in KINDS:
        for number in numbers:
            await client.fault("token_error", number=number, times=1)
            error = await refused(entra)
            assert (type(error), error.number, len(error.trace_id)) == (kind, number, 36)
    assert (await asyncio.to_thread(acquire, entra, CONTOSO)).value


async def test_a_busy_token_endpoint_is_waited_for_whatever_it_says(microsoft: tuple[Entra, SimulatorClient]) -> None:
    entra, client = microsoft
    await client.fault("token_busy", status=429, retry_after=9, times=1)
    throttled = await refused(entra)
    assert (type(throttled), throttled.after_s) == (EntraRetry, 9)
    await client.fault("token_error", number=50173, status=503, times=1)
    stumbling = await refused(entra)
    assert (type(stumbling), stumbling.number) == (EntraRetry, 50173)


async def test_an_unknown_tenant_is_told_apart_from_our_own_mistakes(
    microsoft: tuple[Entra, SimulatorClient],
) -> None:
    entra, _ = microsoft
    error = await refused(entra, NOBODY)
    assert (type(error), error.number) == (EntraTenantUnknown, 90002)
