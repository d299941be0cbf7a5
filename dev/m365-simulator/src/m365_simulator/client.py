"""What a test or a demonstration drives the simulator with."""

import functools
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import httpx

from .tls import usual_trust

_IDLE_S = 2
"""The simulator closes a connection that is idle for 5 s. One is not used again shortly before: the request would be
lost."""


class FormReader(HTMLParser):
    """Action and hidden fields of the page's form."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action") or ""
        elif tag == "input" and found.get("type") == "hidden":
            self.fields[found.get("name") or ""] = found.get("value") or ""


class SimulatorClient:
    """Async; ``base_url`` is the http listener. Raises ``httpx.HTTPStatusError`` for refused requests.

    Each account has a browser of its own: who consented is still signed in there, and nobody else is.
    """

    def __init__(self, base_url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._make = functools.partial(
            httpx.AsyncClient,
            base_url=base_url,
            transport=transport,
            timeout=30,
            verify=usual_trust(),
            limits=httpx.Limits(keepalive_expiry=_IDLE_S),
        )
        self._http = self._make()
        self._browsers: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for http in (self._http, *self._browsers.values()):
            await http.aclose()

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def do(self, verb: str, **arguments: Any) -> Any:
        """What the verb returns. ``GET /control/verbs`` lists them; an unknown one is refused with the list."""
        return await self._call("POST", f"/control/do/{verb}", arguments)

    async def run(self, scenario: str) -> dict[str, Any]:
        """Run a scenario by name: its named results and what was done."""
        found: dict[str, Any] = await self._call("POST", "/control/scenarios/run", {"name": scenario})
        return found

    async def settle(self) -> None:
        """Return when everything that is due has been done once."""
        await self._call("POST", "/control/settle")

    async def findings(self) -> list[dict[str, Any]]:
        """What a careful client would not have done: kind, says, call."""
        found: list[dict[str, Any]] = await self._call("GET", "/control/findings")
        return found

    async def state(self) -> dict[str, Any]:
        """Rows by kind: tenants, users, events, meetings, artefacts, subscriptions, deliveries, sites; ``now``."""
        found: dict[str, Any] = await self._call("GET", "/control/state")
        return found

    async def advance(self, seconds: float, *, clock: str = "world") -> None:
        """``clock``: world (meetings), service (tokens, subscriptions, deliveries) or both."""
        await self.do("clock_advance", seconds=seconds, clock=clock)

    async def let_meeting_happen(self, meeting: str, *, record: bool = False) -> dict[str, Any]:
        """By meeting id or join URL; ``record``: somebody pressed record."""
        found: dict[str, Any] = await self.do("meeting_happens", meeting=meeting, record=record)
        return found

    async def calls(self) -> list[dict[str, Any]]:
        """Graph calls so far: method, path, range, status, tenant, user, app_only."""
        found: list[dict[str, Any]] = await self._call("GET", "/control/calls")
        return found

    async def fault(self, name: str, **options: Any) -> None:
        """``times``, ``skip``, ``probability``, ``match`` and the fault's own options; 400 names what is known."""
        await self._call("POST", "/control/faults", {"name": name, **options})

    async def clear_faults(self) -> None:
        await self._call("DELETE", "/control/faults")

    async def recording_size(self, size: int | None) -> None:
        await self.do("recording_size", size=size)

    async def prospo_token(self, persona: str) -> str:
        answer = await self._call("POST", "/prospo-issuer/token", {"persona": persona})
        return str(answer["access_token"])

    async def approve_admin_consent(self, consent_url: str, account: str, *, accept: bool = True) -> str:
        """The callback URL the browser would be sent to; it is not visited."""
        return await self._follow(consent_url, account, accept)

    async def sign_in(self, authorize_url: str, account: str, *, accept: bool = True) -> str:
        """The callback URL the browser would be sent to; it is not visited."""
        return await self._follow(authorize_url, account, accept)

    async def _follow(self, url: str, account: str, accept: bool) -> str:
        browser = self._browsers[account] = self._browsers.get(account) or self._make()
        answer = await browser.get(url)
        given = {"account": account}
        for _ in range(3):
            if answer.is_redirect:
                return answer.headers["location"]
            answer.raise_for_status()
            form = FormReader(answer.text)
            if "://" in form.action:  # response_mode=form_post; its fields as a callback URL would hold them
                return f"{form.action}?{urlencode(form.fields)}"
            answer = await browser.post(urljoin(url, form.action), data={**form.fields, **given})
            given = {"decision": "accept" if accept else "cancel"}
        if answer.is_redirect:
            return answer.headers["location"]
        raise RuntimeError(f"The sign-in pages did not end: {answer.text[:300]}")
