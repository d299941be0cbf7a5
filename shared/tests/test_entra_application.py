"""The application's own token, as far as Entra says what it is."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.entra.aadsts import EntraRetry
from shared.entra.client import Entra
from tenant_connector.settings import Settings
from tenant_connector.tokens import acquire

from .said_by_entra import TID, SaidByEntra, document, scripted, settings_of


@pytest.fixture
def entra() -> Entra:
    return Entra(settings_of(Settings, client_secret="s"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> SaidByEntra:
    return scripted(monkeypatch, (200, document("https://login.microsoftonline.com")))


async def test_an_application_token_without_a_life_lasts_an_hour(entra: Entra, said: SaidByEntra) -> None:
    said.token = (200, {"access_token": "t", "token_type": "Bearer"})
    token = await asyncio.to_thread(acquire, entra, TID)
    left = token.expires_at - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


@pytest.mark.parametrize("life", ["soon", None, [3600], ""])
async def test_an_application_token_whose_life_cannot_be_read_is_asked_for_again(
    life: Any, entra: Entra, said: SaidByEntra
) -> None:
    said.token = (200, {"access_token": "t", "token_type": "Bearer", "expires_in": life})
    with pytest.raises(EntraRetry, match="tried again"):
        await asyncio.to_thread(acquire, entra, TID)
