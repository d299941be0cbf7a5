# ruff: noqa: INP001 - a program of the development image, not a package
"""The development gateway over HTTP: the embedded run's routing and persona cookie before the services' containers."""

import os

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse

from dev.embedded.gateway import Gateway, PersonaTokens, Receive, Scope, Send

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}
_PORT = 8365


class Upstream:
    """One service behind its URL, as the ASGI app that the gateway routes to; bodies stream both ways."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        asked = self._http.build_request(
            request.method,
            httpx.URL(self._url).copy_with(raw_path=_target(scope)),
            headers=[(name, value) for name, value in scope["headers"] if name.decode() not in _HOP_BY_HOP],
            content=request.stream() if _has_body(request) else None,
        )
        try:
            answer = await self._http.send(asked, stream=True)
        except httpx.TransportError as error:
            await PlainTextResponse(f"{self._url} does not answer ({type(error).__name__}).", 502)(scope, receive, send)
            return
        response = StreamingResponse(answer.aiter_raw(), answer.status_code)
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.headers.raw if name.decode().lower() not in _HOP_BY_HOP
        ]
        try:
            await response(scope, receive, send)
        finally:
            await answer.aclose()


def _target(scope: Scope) -> bytes:
    """Path and query as they were sent: what is decoded and written anew may be another path."""
    query: bytes = scope["query_string"]
    return bytes(scope["raw_path"]) + (b"?" + query if query else b"")


def _has_body(request: Request) -> bool:
    return "content-length" in request.headers or "transfer-encoding" in request.headers


def create_app() -> Gateway:
    http = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5), trust_env=False)
    names = os.environ["GATEWAY_SERVICES"].split()
    upstreams = {name: Upstream(http, f"http://{name}:8080") for name in names}
    hosts = os.environ.get("DEVELOPMENT_HOSTS", "")
    return Gateway(dict(upstreams), PersonaTokens(os.environ["GATEWAY_ISSUER"]), hosts)


if __name__ == "__main__":
    uvicorn.run(create_app(), host="0.0.0.0", port=_PORT, lifespan="off", access_log=False)  # noqa: S104 - in a container
