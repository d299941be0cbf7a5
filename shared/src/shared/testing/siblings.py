"""Stand-ins for the services beside the one under test, under the one address that ``internal_url`` names."""

import ssl
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""The authority of a test speaks plain HTTP; a client that reads the usual authorities takes long to make."""


class UserAuth:
    """Stands where user-auth answers: a person's token, or that they must reconnect.

    ``tokens`` by organisation and user; ``broken`` refuses everybody; ``asked`` counts.
    """

    def __init__(self, tokens: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.tokens = dict(tokens)
        self.broken = False
        self.asked = 0
        self.app = Starlette(routes=[Route("/internal/tokens", self._token, methods=["POST"])])

    async def _token(self, request: Request) -> JSONResponse:
        self.asked += 1
        wanted = await request.json()
        found = self.tokens.get((wanted["org_id"], wanted["user_id"]))
        if self.broken or found is None:
            return JSONResponse({"code": "account_not_connected", "detail": "Connect the account again."}, 409)
        return JSONResponse(found)


class TenantConnector:
    """Stands where tenant-connector answers: the application's own token, or that there is no consent (``refused``).

    Once it is ``disconnected`` it gives one to remove what is at Microsoft, and for nothing else.
    """

    def __init__(self, authority: str, client_id: str, client_secret: str, tid: str) -> None:
        self.url = f"{authority}/{tid}/oauth2/v2.0/token"
        self.form = {"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"}
        self.form["scope"] = "https://graph.microsoft.com/.default"
        self.tid = tid
        self.refused = self.disconnected = False
        self.app = Starlette(routes=[Route("/internal/app-token", self._token, methods=["POST"])])

    async def _token(self, request: Request) -> JSONResponse:
        if self.disconnected and not (await request.json()).get("leaving"):
            return JSONResponse({"code": "tenant_not_connected", "detail": "It is not connected."}, 409)
        if self.refused:
            return JSONResponse({"code": "consent_required", "detail": "Nobody consented."}, 409)
        async with httpx.AsyncClient(verify=_NO_TLS) as http:
            answer = (await http.post(self.url, data=self.form)).raise_for_status().json()
        made = {"access_token": answer["access_token"], "oid": None, "tid": self.tid}
        return JSONResponse(made | {"expires_at": "2099-01-01T00:00:00Z"})


class Meetings:
    """Stands where meetings says what attendees read: the kinds and ids in ``shared``, or nothing when ``broken``."""

    def __init__(self) -> None:
        self.shared: set[tuple[str, str, str, str]] = set()
        """Organisation, user, kind and id."""
        self.broken = False
        self.app = Starlette(routes=[Route("/internal/shared-artefacts", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> JSONResponse:
        asked = await request.json()
        key = asked["org_id"], asked["user_id"], asked["kind"], asked["id"]
        return JSONResponse({"readable": key in self.shared}, 500 if self.broken else 200)


class Dispatcher:
    """``/<service>/…`` to the service's app: what cluster DNS does in Kubernetes."""

    def __init__(self, apps: dict[str, Any]) -> None:
        self._apps = apps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        service, _, rest = scope["path"].removeprefix("/").partition("/")
        await self._apps[service]({**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}, receive, send)
