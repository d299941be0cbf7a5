"""Every public operation of every service, as its OpenAPI document lists them: what is refused, and how."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

from .conftest import Hosted, Operation, check_problem

ROOT = Path(__file__).resolve().parents[2]
MICROSOFTS_WORDS = {"/v1/tenant/consent/complete", "/v1/tenant/consent/sign-in", "/v1/connection/complete"}
MICROSOFTS_WORDS |= {"/v1/tenant/browse/complete"}
"""What Microsoft put on a callback's address is passed on; it may add to it, and a refusal would lose the answer."""


def test_every_document_says_where_the_gateway_is_and_how_it_refuses() -> None:
    ids: list[str] = []
    for path in sorted((ROOT / "contracts/openapi").glob("*.json")):
        document = json.loads(path.read_text())
        assert [server["url"] for server in document["servers"]] == ["http://localhost:8365", "https://{gateway}"]
        operations = [operation for methods in document["paths"].values() for operation in methods.values()]
        assert all({"4XX", "default"} <= set(operation["responses"]) for operation in operations), path.name
        ids += [operation["operationId"] for operation in operations]
        unused = [name for name in document["components"]["schemas"] if f'/schemas/{name}"' not in path.read_text()]
        assert unused == [], path.name
    assert len(ids) == len(set(ids))  # so that clients made of several documents do not collide


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
    limit = hosted.service.settings.request_body_limit_bytes

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(limit // 1024 + 2):
            yield b" " * 1024

    for operation in (found for found in hosted.operations() if found.has_body):
        declared = await hosted.call(operation, hosted.admin(), content=b" " * (limit + 1))
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
