"""Who may call what: one table of every route, and every route attacked by those who may not."""

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import text

from dev.embedded.gateway import Gateway, PersonaTokens
from dev.services import SERVICES, described

from . import attacks
from .conftest import Hosted, Operation, check_problem
from .routes import EVERY_SERVICE, ROUTES, Who
from .things import OWNER, PEOPLE, ROWS, series_of

"""Every route of every service. One that is in no row, or is gone, fails the first test below."""
for one in described().values():
    of_it = ROUTES.setdefault(one.name, {})
    of_it |= {route: tuple(callers) for route, callers in one.internal.items()}
    of_it |= {"POST /webhooks/graph": "microsoft"} if one.webhooks else {}

READABLE: Who = "person or program"


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    template: str
    who: Who

    def operation(self, id_: str) -> Operation:
        path = re.sub(r"\{\w+\}", id_, self.template.replace("{series_id}", series_of(id_)))
        return Operation(self.method, path, self.method in {"POST", "PATCH", "PUT"}, "{" in self.template)


def routes_of(hosted: Hosted, *who: Who) -> Iterator[Route]:
    for name, known in ROUTES[hosted.service.name].items():
        method, _, template = name.partition(" ")
        if known in who or (isinstance(known, tuple) and "service" in who):
            yield Route(method, template, known)


def there(hosted: Hosted) -> set[str]:
    """Every method and path the app answers, in its OpenAPI document or not."""
    found = set()
    for route in flattened(hosted.service.app.routes):
        for method in getattr(route, "methods", None) or {"*"}:
            found.add(f"{method} {route.path}")
    return {name for name in found if not name.startswith("HEAD ")}


def flattened(routes: Any) -> Iterator[Any]:
    """FastAPI keeps an included router as a route of its own."""
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "router", None)
        if inner is not None:
            yield from flattened(inner.routes)
        else:
            yield route


async def test_every_route_is_in_the_table(hosted: Hosted) -> None:
    assert there(hosted) == set(ROUTES[hosted.service.name]) | set(EVERY_SERVICE)


async def test_no_answer_is_kept_by_a_cache_whoever_asks(hosted: Hosted) -> None:
    mine = (await fill(hosted))[OWNER]
    people = [hosted.keys.token(*OWNER), hosted.keys.token(*OWNER, ("org_admin",))]
    for token in (None, *people, hosted.keys_of("recording-ingest").issue(hosted.service.name)):
        for name in (*ROUTES[hosted.service.name], *EVERY_SERVICE):
            method, _, template = name.partition(" ")
            answer = await hosted.call(Route(method, template, "everybody").operation(mine), token, json={})
            assert answer.headers["cache-control"] == "no-store", f"{name}: {answer.status_code}"


async def test_a_persons_route_takes_no_token_that_is_not_good(hosted: Hosted) -> None:
    for route in routes_of(hosted, "person", READABLE, "admin"):
        for kind, token in attacks.of_a_person(hosted.keys).items():
            answer = await hosted.call(route.operation(str(uuid.uuid4())), token or None, json={})
            assert answer.status_code == 401, f"{route}: {kind}: {answer.status_code} {answer.text}"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_an_internal_route_takes_no_token_but_a_services_for_it(hosted: Hosted) -> None:
    for route in routes_of(hosted, "service"):
        for kind, token in attacks.of_services(hosted.keys, hosted.service.name).items():
            answer = await hosted.call(route.operation(""), token or None, json={})
            assert answer.status_code == 401, f"{route}: {kind}: {answer.status_code} {answer.text}"


async def test_an_internal_route_admits_the_services_it_names_only(hosted: Hosted) -> None:
    for route in routes_of(hosted, "service"):
        operation = route.operation("")
        for caller in (*SERVICES, "console"):
            hosted.keys.add_service(caller)
            answer = await hosted.call(operation, hosted.keys_of(caller).issue(hosted.service.name), json={})
            if caller in route.who:
                assert answer.status_code == 422, f"{route}: {caller}: {answer.status_code} {answer.text}"
            else:
                assert check_problem(answer, 403, operation)["code"] == "service_not_admitted"


async def test_an_admins_route_refuses_everybody_else(hosted: Hosted) -> None:
    for route in routes_of(hosted, "admin"):
        operation = route.operation("")
        for roles in ((), ("user",), ("admin",), ("Org_Admin",), ("org_admin ",)):
            token = hosted.keys.token("acme", "anna", roles)
            problem = check_problem(await hosted.call(operation, token, json={}), 403, operation)
            assert problem["code"] == "org_admin_required"


async def test_a_person_and_an_admin_get_past_the_door_that_is_theirs(hosted: Hosted) -> None:
    """So the table does not say admin, or person, of what is for somebody else."""
    for route in routes_of(hosted, "person", READABLE, "admin"):
        roles = ("org_admin",) if route.who == "admin" else ("user",)
        token = hosted.keys.token("acme", "anna", roles)
        answer = await hosted.call(route.operation(str(uuid.uuid4())), token, json={})
        assert answer.status_code not in (401, 403), f"{route}: {answer.status_code} {answer.text}"


async def fill(hosted: Hosted) -> dict[tuple[str, str], str]:
    """Person → the id of what is theirs."""
    ids = {person: str(uuid.uuid4()) for person in PEOPLE}
    async with hosted.service.db.system_work() as work:
        for (org, user), id_ in ids.items():
            for statement in ROWS.get(hosted.service.name, []):
                values = {"org": org, "user": user, "id": id_, "series": series_of(id_)}
                await work.session.execute(text(statement), values)
    return ids


async def test_what_belongs_to_another_organisation_or_person_is_not_there(hosted: Hosted) -> None:
    """The same user id in another organisation, and another person of the same one, with the owner's real id."""
    mine = (await fill(hosted))[OWNER]
    for route in (found for found in routes_of(hosted, "person", READABLE, "admin") if "{" in found.template):
        operation = route.operation(mine)
        for org, user in PEOPLE:
            token = hosted.keys.token(org, user, ("user",))
            if (org, user) != OWNER:
                problem = check_problem(await hosted.call(operation, token, json={}), 404, operation)
                assert "private" not in str(problem)
        for org in ("globex", "initech"):
            token = hosted.keys.token(org, "boss", ("org_admin", "user"))
            check_problem(await hosted.call(operation, token, json={}), 404, operation)
        if route.method == "GET":
            answer = await hosted.call(operation, hosted.keys.token(*OWNER))
            assert answer.status_code != 404, f"{route}: the id is not real"


NO_IDS_OF_OURS = {"/v1/contacts/folders", "/v1/contacts/policy", "/v1/contacts/proposals", "/v1/mail/limits"}
NO_IDS_OF_OURS |= {"/v1/mail/mailbox", "/v1/mail/mailbox/folders", "/v1/mail/retention", "/v1/meetings/attended"}
"""Microsoft's folders, which it shows to their owner only; what an organisation chose; pairs of what the list
shows; what is the same for everybody; and meetings of others, to who is invited."""


def program(hosted: Hosted, org: str = "acme", roles: tuple[str, ...] = ("artefacts.read",), **more: Any) -> str:
    """The token of another team's program, as its issuer gives it."""
    return hosted.keys.token(org, "archive", roles, **{"client_id": "archive"} | more)


async def trail_of(hosted: Hosted) -> list[dict[str, Any]]:
    """What an Org Admin reads of the service's trail, but for their own reading."""
    answer = await hosted.call(Operation("GET", "/v1/audit", has_body=False, has_id=False), hosted.admin())
    return [line for line in answer.json()["items"] if line["action"] != "audit.read"]


async def test_a_program_gets_no_further_than_its_role(hosted: Hosted) -> None:
    for route in routes_of(hosted, "person", "admin"):
        operation = route.operation(str(uuid.uuid4()))
        answer = await hosted.call(operation, program(hosted, roles=("artefacts.read", "org_admin")), json={})
        assert check_problem(answer, 403, operation)["code"] == "not_for_programs"
    mine = (await fill(hosted))[OWNER]
    for route in routes_of(hosted, READABLE):
        for roles in ((), ("org_admin",), ("artefacts.write",), ("Artefacts.Read",)):
            operation = route.operation(mine)
            answer = await hosted.call(operation, program(hosted, roles=roles))
            assert check_problem(answer, 403, operation)["code"] == "role_required"
        assert {line["action"] for line in await trail_of(hosted)} == {"authorisation"}


async def test_a_program_reads_what_is_of_its_organisation_only(hosted: Hosted) -> None:
    mine = (await fill(hosted))[OWNER]
    for route in routes_of(hosted, READABLE):
        operation = route.operation(mine)
        assert (await hosted.call(operation, program(hosted))).status_code == 200, operation
        for org in ("globex", "initech"):
            assert "private" not in str(
                check_problem(await hosted.call(operation, program(hosted, org)), 404, operation)
            )
        for client_id in ("prospo-web", None):  # a person whom somebody gave the role, by a client or none
            token = hosted.keys.token("acme", "ben", ("user", "artefacts.read"), client_id=client_id)
            check_problem(await hosted.call(operation, token), 404, operation)


async def test_a_programs_token_that_is_not_good_reads_nothing(hosted: Hosted) -> None:
    mine = (await fill(hosted))[OWNER]
    for route in routes_of(hosted, READABLE):
        for defect in ({"exp": int(time.time()) - 60}, {"aud": "another-api"}, {"iss": "https://evil.example"}):
            operation = route.operation(mine)
            check_problem(await hosted.call(operation, program(hosted, **defect)), 401, operation)


async def test_each_read_by_a_program_is_noted_and_a_persons_is_not(hosted: Hosted) -> None:
    mine = (await fill(hosted))[OWNER]
    reads = 0
    for route in routes_of(hosted, READABLE):
        for token in (hosted.keys.token(*OWNER), program(hosted), program(hosted)):
            await hosted.call(route.operation(mine), token)
        reads += 2
        lines = await trail_of(hosted)
        assert len(lines) == reads
        assert {(line["actor"], line["target"], line["details"]["user_id"]) for line in lines} == {
            ("program:archive", mine, OWNER[1])
        }
        assert all(line["occurred_at"] and line["request_id"] for line in lines)


async def test_lists_hold_the_callers_own_things_only(hosted: Hosted) -> None:
    ids = await fill(hosted)
    for route in (found for found in routes_of(hosted, "person") if found.method == "GET"):
        if "{" in route.template or hosted.service.name not in ROWS or route.template in NO_IDS_OF_OURS:
            continue
        for person, id_ in ids.items():
            shown = (await hosted.call(route.operation(""), hosted.keys.token(*person))).text
            assert [other for other in ids.values() if other in shown] == [id_]


async def test_an_address_that_nobody_was_given_opens_nothing(hosted: Hosted) -> None:
    for route in routes_of(hosted, "bearer of the address"):
        for guess in (str(uuid.uuid4()), "x" * 43):
            headers = {"Content-Range": "bytes 0-0/1"}
            answer = await hosted.call(route.operation(guess), hosted.admin(), content=b"x", headers=headers)
            assert answer.status_code == 404, f"{route}: {answer.status_code} {answer.text}"


async def test_the_gateway_leads_to_no_internal_route(hosted: Hosted) -> None:
    tokens = PersonaTokens("http://127.0.0.1:9")
    gateway = Gateway({hosted.service.name: hosted.service.app}, tokens)
    transport = httpx.ASGITransport(gateway)  # type: ignore[arg-type]
    token = hosted.keys_of("recording-ingest").issue(hosted.service.name)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for route in routes_of(hosted, "service"):
            for prefix in ("", f"/{hosted.service.name}", "/v1/..", "/v1/tenant/../..", "/%2e", "//"):
                path = prefix + route.template
                answer = await http.request(route.method, path, headers={"Authorization": f"Bearer {token}"}, json={})
                assert answer.status_code in (400, 401, 404, 405), f"{path}: {answer.status_code} {answer.text}"
    await tokens.aclose()


FREE = {"addresses": ["ben@contoso.example"], "start": "2030-03-05T08:00:00Z", "end": "2030-03-05T09:00:00Z"}
LIMITED = {
    "storage": [("GET", "/v1/files/audit", "audit_reads_per_hour", None)],
    "mail": [("POST", "/v1/mail", "mails_per_hour", {"to": [{"email": "ben@contoso.example"}]})],
    "meetings": [("POST", "/v1/meetings/availability", "availability_looks_per_hour", FREE)],
    "recording-ingest": [("GET", "/v1/transcripts/audit", "audit_reads_per_hour", None)],
    "tenant-connector": [
        ("POST", "/v1/tenant/consent", "consents_per_hour", {}),
        ("GET", "/v1/tenant/audit", "audit_reads_per_hour", None),
    ],
    "user-auth": [
        ("POST", "/v1/connection/sign-in", "sign_ins_per_hour", {"return_to": "/meetings"}),
        ("POST", "/v1/connection/check", "checks_per_hour", None),
        ("GET", "/v1/connection/audit", "audit_reads_per_hour", None),
    ],
}


async def test_what_costs_much_is_limited(hosted: Hosted) -> None:
    for method, path, setting, body in LIMITED.get(hosted.service.name, []):
        setattr(hosted.service.settings, setting, 2)
        operation = Operation(method, path, has_body=body is not None, has_id=False)
        answers = [await hosted.call(operation, hosted.admin(), json=body) for _ in range(3)]
        assert 429 not in [answer.status_code for answer in answers[:2]]
        problem = check_problem(answers[2], 429, operation)
        assert int(answers[2].headers["retry-after"]) == problem["retry_after_s"] > 0
