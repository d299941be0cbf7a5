"""The public APIs, as the signed-in person: the browser's token is passed on, nothing is added to it."""

from typing import Any

import httpx
from starlette.requests import Request

from console.settings import Settings

SERVICES = {
    "/v1/tenant": "tenant-connector",
    "/v1/connection": "user-auth",
    "/v1/meetings": "meetings",
    "/v1/transcripts": "recording-ingest",
    "/v1/files": "storage",
}


class Refused(Exception):
    """A service answered with a problem document. ``problem`` is its JSON; shown to the person as it is."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail", "The service did not say why."))
        self.status = status
        self.problem = problem


class Backend:
    """Calls to the services' public APIs; one connection pool for all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        verify: Any = str(settings.ca_bundle) if settings.ca_bundle else True
        self._http = httpx.AsyncClient(timeout=20, trust_env=False, verify=verify)

    async def call(self, request: Request, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer, or ``Refused`` with the problem document; 503 when the service cannot be reached."""
        service = next(name for prefix, name in SERVICES.items() if path.startswith(prefix))
        headers = {**more.pop("headers", {}), "Authorization": request.headers.get("authorization", "")}
        url = self._settings.internal_url.format(service=service) + path
        try:
            answer = await self._http.request(method, url, headers=headers, **more)
        except httpx.HTTPError as error:
            raise Refused(
                503, {"title": "Not reachable", "detail": f"{service} does not answer; try again."}
            ) from error
        if answer.is_error:
            raise Refused(answer.status_code, _problem_of(answer))
        return answer

    async def get(self, request: Request, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.call(request, "GET", path)).json()
        return answer

    async def aclose(self) -> None:
        await self._http.aclose()


def _problem_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {"title": "Unexpected answer", "detail": f"The service answered {answer.status_code}."}
    return body if isinstance(body, dict) else {"detail": str(body)}
