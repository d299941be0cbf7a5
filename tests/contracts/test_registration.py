"""The permissions of the application: the page that makes the registration, the simulator's one, and the code's."""

import re
from pathlib import Path
from urllib.parse import urlencode

import httpx

from m365_simulator import Simulator
from m365_simulator.client import FormReader
from tenant_connector import picks
from tenant_connector.readiness import reasons
from tenant_connector.settings import Settings
from user_auth import permissions

PAGE = Path(__file__).parents[2] / "docs/how-to/live-tenant.md"
SIGN_IN = {"openid", "profile", "offline_access"}
"""Entra takes these without a registration."""
MAY_BE_LEFT_OUT = {reasons.CALENDARS, reasons.SITES}
"""Application permissions that connecting does not insist on: a row of the board, and files at a chosen site."""


def on_the_page(kind: str) -> set[str]:
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return {name for names, kinds in rows if kind in kinds for name in re.findall(r"`([\w.]+)`", names)}


async def asked_for(simulator: Simulator) -> list[set[str]]:
    """What an administrator reads on the page that asks for consent: people's permissions and the application's own."""
    settings = simulator.settings
    given = {"client_id": settings.client_id, "redirect_uri": settings.redirect_uris[0], "state": "s"}
    given["scope"] = "https://graph.microsoft.com/.default"
    async with httpx.AsyncClient(base_url=settings.http_base_url) as browser:
        page = await browser.get(f"/organizations/v2.0/adminconsent?{urlencode(given)}")
        form = FormReader(page.text)
        page = await browser.post(form.action, data={**form.fields, "account": "admin@contoso.example"})
    return [set(re.findall(r"<code>([\w.]+)</code>", part)) for part in page.text.split("<h2>")[1:]]


async def test_page_registration_and_code_name_the_same_permissions(simulator: Simulator) -> None:
    delegated, application = on_the_page("delegated"), on_the_page("application")
    assert delegated == {*permissions.USES, permissions.SIGN_IN, *SIGN_IN}
    required = Settings.model_fields["required_roles"].default
    assert application == {*required, reasons.USERS, *MAY_BE_LEFT_OUT}
    assert await asked_for(simulator) == [delegated - SIGN_IN, application]


async def test_what_one_sign_in_asks_for_is_no_part_of_the_registration(simulator: Simulator) -> None:
    """Static permissions are the organisation's consent; dynamic ones are those of an Org Admin who browses."""
    dynamic = on_the_page("dynamic")
    assert dynamic == set(picks.SCOPES)
    assert not dynamic & (on_the_page("delegated") | on_the_page("application"))
    assert not dynamic & set.union(*await asked_for(simulator))
