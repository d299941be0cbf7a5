"""One service after the other over ASGI with an empty database, and its public operations."""

import importlib
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.services import SERVICES
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import StartService
from shared.web.identity import ServiceTokens

NO_PERSON = ("/v1/uploads/", "/v1/files/shared/", "/v1/tenant/consent/link/")
"""A secret of its own opens these, in the address or in the body."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    has_body: bool
    has_id: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Hosted:
    """One service over ASGI with an empty database."""

    service: Service
    http: httpx.AsyncClient
    keys: PlatformKeys

    def operations(self) -> Iterator[Operation]:
        """The public ones that want a person's token, with ids of the right shape that nobody has."""
        for path, methods in self.service.app.openapi()["paths"].items():
            if path.startswith("/v1/") and not path.startswith(NO_PERSON):
                filled = "/".join(str(uuid.uuid4()) if part.startswith("{") else part for part in path.split("/"))
                for method, described in methods.items():
                    takes = described.get("requestBody", {}).get("content", {})  # a file's bytes are no JSON
                    yield Operation(method.upper(), filled, "application/json" in takes, "{" in path)

    async def call(self, operation: Operation, token: str | None, **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": '"0"', **more.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.http.request(operation.method, operation.path, headers=headers, **more)

    def keys_of(self, caller: str) -> ServiceTokens:
        """The tokens of a calling service."""
        own = self.service.settings.model_copy(update={"service_key_path": self.keys.private / f"{caller}.pem"})
        return ServiceTokens(own, caller)

    def admin(self) -> str:
        return self.keys.token(roles=("org_admin", "user"))


class NothingShared:
    """Stands where meetings says what organizers share with attendees."""

    async def reads(self, *_asked: str) -> bool:
        return False


@pytest.fixture(params=SERVICES)
async def hosted(
    request: pytest.FixtureRequest,
    start_service: StartService,
    platform_keys: PlatformKeys,
    client_of: Callable[[Any], Awaitable[httpx.AsyncClient]],
    tmp_path: Path,
) -> Hosted:
    name: str = request.param
    package = name.replace("-", "_")
    kind = importlib.import_module(f"{package}.settings").Settings
    more = {"object_store_dir": tmp_path / "files"} if "object_store_dir" in kind.model_fields else {}
    service = await start_service(importlib.import_module(f"{package}.main").create_service, kind, name, **more)
    if "attendance" in service.provided:
        service.provided["attendance"] = NothingShared()
    return Hosted(service, await client_of(service), platform_keys)


def check_problem(answer: httpx.Response, status: int, operation: Operation) -> dict[str, Any]:
    assert answer.status_code == status, f"{operation}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json", str(operation)
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"].rstrip().endswith((".", "?")), problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem
