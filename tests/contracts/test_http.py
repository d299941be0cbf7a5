"""Every public operation of every service, as its OpenAPI document lists them: what is refused, and how."""

import importlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from dev.embedded.platform import SERVICES
from shared.bus import MemoryBus
from shared.migrate import migrate
from shared.service import Service
from shared.testing.fixtures import MakeSettings, PlatformKeys

NO_PERSON = ("/v1/uploads/", "/v1/tenant/consent/link/")
"""A secret of its own opens these, in the address or in the body."""
BODY_LIMIT = 256 * 1024
MICROSOFTS_WORDS = {"/v1/tenant/consent/complete", "/v1/tenant/consent/sign-in", "/v1/connection/complete"}
"""What Microsoft put on a callback's address is passed on; it may add to it, and a refusal would lose the answer."""


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
                    yield Operation(method.upper(), filled, "requestBody" in described, "{" in path)

    async def call(self, operation: Operation, token: str | None, **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": '"0"', **more.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.http.request(operation.method, operation.path, headers=headers, **more)

    def admin(self) -> str:
        return self.keys.token(roles=("org_admin", "user"))


@pytest.fixture(params=SERVICES)
async def hosted(
    request: pytest.FixtureRequest,
    make_settings: MakeSettings,
    platform_keys: PlatformKeys,
    memory_bus: MemoryBus,
    client_of: Callable[[Any], Awaitable[httpx.AsyncClient]],
    tmp_path: Any,
) -> AsyncIterator[Hosted]:
    name: str = request.param
    package = name.replace("-", "_")
    kind = importlib.import_module(f"{package}.settings").Settings
    more = {"object_store_dir": tmp_path / "files"} if "object_store_dir" in kind.model_fields else {}
    settings = make_settings(kind, name, **more)
    await migrate(package, settings)
    service = importlib.import_module(f"{package}.main").create_service(settings, bus=memory_bus)
    platform_keys.know_issuer(service.user_tokens)
    await service.start(api=False, worker=False)
    yield Hosted(service, await client_of(service), platform_keys)
    await service.stop()


def check_problem(answer: httpx.Response, status: int, operation: Operation) -> dict[str, Any]:
    assert answer.status_code == status, f"{operation}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json", str(operation)
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["code"]
    assert problem["detail"].rstrip().endswith((".", "?")), problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


async def test_every_operation_wants_a_valid_token(hosted: Hosted) -> None:
    bad = [None, "nonsense", hosted.keys.token(aud="another"), hosted.keys.token(exp=1), hosted.keys.token(org_id="")]
    for operation in hosted.operations():
        for token in bad:
            check_problem(await hosted.call(operation, token, json={}), 401, operation)


async def test_every_operation_with_an_id_knows_only_its_own(hosted: Hosted) -> None:
    for operation in (found for found in hosted.operations() if found.has_id):
        body = {"json": {}} if operation.has_body else {}
        check_problem(await hosted.call(operation, hosted.admin(), **body), 404, operation)


async def test_every_operation_with_a_body_refuses_an_unknown_field_and_names_it(hosted: Hosted) -> None:
    for operation in (found for found in hosted.operations() if found.has_body):
        if operation.path in MICROSOFTS_WORDS:
            continue
        answer = await hosted.call(operation, hosted.admin(), json={"no_such_field": 1})
        problem = check_problem(answer, 422, operation)
        assert "no_such_field" in {error["field"] for error in problem["errors"]}, str(operation)


async def test_every_operation_with_a_body_refuses_what_is_no_json(hosted: Hosted) -> None:
    for operation in (found for found in hosted.operations() if found.has_body):
        headers = {"Content-Type": "application/json"}
        answer = await hosted.call(operation, hosted.admin(), content=b"{", headers=headers)
        check_problem(answer, 422, operation)


async def test_every_operation_with_a_body_refuses_a_large_one(hosted: Hosted) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 1024 + 2):
            yield b" " * 1024

    for operation in (found for found in hosted.operations() if found.has_body):
        declared = await hosted.call(operation, hosted.admin(), content=b" " * (BODY_LIMIT + 1))
        check_problem(declared, 413, operation)
        streamed = await hosted.call(
            operation, hosted.admin(), content=endless(), headers={"Content-Type": "application/json"}
        )
        check_problem(streamed, 413, operation)


async def test_health_needs_no_token_and_internal_routes_need_a_service(hosted: Hosted) -> None:
    assert (await hosted.http.get("/health/live")).status_code == 200
    assert (await hosted.http.get("/health/ready")).status_code == 200
    for path in hosted.service.app.openapi()["paths"]:
        if path.startswith("/internal/"):
            operation = Operation("POST", path, has_body=True, has_id=False)
            check_problem(await hosted.call(operation, hosted.admin(), json={}), 401, operation)
