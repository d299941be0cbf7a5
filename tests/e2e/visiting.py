"""A person with a browser at the console of the embedded platform, and at Microsoft's pages in between."""

import asyncio
import re

import httpx

from m365_simulator.client import SimulatorClient

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
                await asyncio.sleep(0.02)


def fields_of(page: str, label: str) -> dict[str, str]:
    """The hidden fields of the form with the button ``label`` that leads to Microsoft."""
    forms = re.findall(rf'<form[^>]*action="{CONNECT}"[^>]*>(.*?)</form>', page, re.DOTALL)
    (form,) = [one for one in forms if f">{label}</button>" in one]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
