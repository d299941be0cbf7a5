"""People's two ways to Microsoft and back, through the console of the embedded platform as a browser goes them."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from m365_simulator.client import SimulatorClient

from .conftest import RunningPlatform

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CONNECT = "/integrations/microsoft/connect"


class Visitor:
    """A browser with its cookies, and the pages of Microsoft it is led to."""

    def __init__(self, url: str, microsoft: SimulatorClient) -> None:
        own = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
        self.http = httpx.AsyncClient(base_url=url, headers=own, trust_env=False, timeout=30)
        self.microsoft = microsoft

    async def become(self, persona: str) -> None:
        assert (await self.http.post("/dev/persona", data={"persona": persona})).is_redirect

    async def page(self, path: str) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def go(self, form: str, fields: dict[str, str], account: str) -> httpx.Response:
        """Send a form that leads to Microsoft, as often as the way back leads there again; where it ends here."""
        answer = await self.http.post(form, data=fields)
        while answer.is_redirect and not answer.headers["location"].startswith("/"):
            back = await self.microsoft.sign_in(answer.headers["location"], account)
            answer = await self.http.get(back)
        return answer

    async def connect_the_organisation(self) -> None:
        """Until people can connect: the event reaches user-auth a moment after the connector shows the tenant."""
        await self.become("acme-admin")
        await self.go("/connectors/microsoft365/connect", {}, "admin@contoso.example")
        async with asyncio.timeout(30):
            while (await self.http.post("/v1/connection/sign-in", json={"return_to": "/"})).status_code != 201:  # noqa: ASYNC110
                await asyncio.sleep(0.5)


def fields_of(page: str, label: str) -> dict[str, str]:
    """The hidden fields of the form with the button ``label`` that leads to Microsoft."""
    forms = re.findall(rf'<form[^>]*action="{CONNECT}"[^>]*>(.*?)</form>', page, re.DOTALL)
    (form,) = [one for one in forms if f">{label}</button>" in one]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


@pytest.fixture
async def visitor(platform: RunningPlatform) -> AsyncIterator[Visitor]:
    described: dict[str, Any] = platform.start()
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        made = Visitor(described["url"], microsoft)
        await made.connect_the_organisation()
        yield made
        await made.http.aclose()


async def test_both_ways_in_lead_back_to_where_the_person_was(visitor: Visitor) -> None:
    await visitor.become("acme-anna")
    ended = await visitor.go(
        CONNECT, fields_of(await visitor.page("/meetings/new"), "Connect Now"), "anna@contoso.example"
    )
    assert ended.headers["location"] == "/meetings/new"
    assert "Schedule and invite" in await visitor.page("/meetings/new")

    await visitor.become("acme-ben")
    fields = fields_of(await visitor.page("/integrations"), "Connect Microsoft Account")
    refused = await visitor.go(CONNECT, fields, "anna@contoso.example")
    assert refused.status_code == 409
    assert "Another person of your organisation" in refused.text
    assert 'href="/integrations"' in refused.text
    assert "Support code" in refused.text

    ended = await visitor.go(CONNECT, fields, "ben@contoso.example")
    assert ended.headers["location"] == "/integrations"
    assert "ben@contoso.example" in await visitor.page("/integrations")

    fields = fields_of(await visitor.page("/integrations"), "Allow mail")
    assert fields == {"return_to": "/integrations", "feature": "outlook_email"}
    ended = await visitor.go(CONNECT, fields, "ben@contoso.example")
    assert ended.headers["location"] == "/integrations"
    shown = await visitor.page("/integrations")
    assert "Allow mail" not in shown
    assert "Mail.Send" in shown


async def test_an_account_that_cannot_work_is_told_so_where_the_person_set_out_from(visitor: Visitor) -> None:
    await visitor.become("acme-anna")
    fields = fields_of(await visitor.page("/meetings/new"), "Connect Now")
    refused = await visitor.go(CONNECT, fields, "unlicensed@contoso.example")
    assert refused.status_code == 409
    assert "no mailbox in Exchange Online" in refused.text
    assert "Ask your Microsoft 365 administrator" in refused.text
    assert 'href="/meetings/new"' in refused.text
    assert "Connect Now" in await visitor.page("/meetings/new")
