"""Values that no field can hold, in every path, query, header and body of every route: never a failure of ours."""

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from shared.events import Features, TenantState, UserState
from shared.testing.harness import consume, publish

from .conftest import Hosted
from .test_access import OWNER, ROUTES, Route, fill

Json = dict[str, Any]
NOW = "2027-01-01T10:00:00Z"
HOSTILE = ["a\x00b", "²", "9" * 5000, "a\r\né\u2028\u202e", "\ud800"]
TIMES = ["9999-12-31T23:00:00-23:59", "0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00Z", "10000-01-01T00:00:00Z"]
RANGES = [f"bytes={range_}" for range_ in ("²-", "0-²", "-²", f"{'9' * 5000}-", f"0-{'9' * 5000}", "1²-2")]
CONTENT_RANGES = [f"bytes {range_}/40" for range_ in (f"0-{'9' * 4400}", "0-²", "²-3")]
ANSWER = {"browser_key": "k", "state": "s", "error": "e", "error_description": "d"}
CONSENT = ANSWER | {"tenant": str(uuid.uuid4()), "admin_consent": "True", "scope": "x"}
TOKEN = {"token": "YWNtZQ.secret"}
BODIES: dict[str, Json] = {
    "POST /v1/ledger/{meeting_id}/artefacts/{artefact_id}": {},
    "POST /v1/ledger/{meeting_id}/check": {},
    "POST /v1/tenant/consent": {},
    "POST /v1/tenant/consent/complete": CONSENT,
    "POST /v1/tenant/consent/sign-in": ANSWER | {"code": "c"},
    "POST /v1/tenant/consent/link": {"tenant": "contoso"},
    "POST /v1/tenant/consent/link/open": TOKEN,
    "POST /v1/tenant/consent/link/start": TOKEN,
    "POST /v1/tenant/consent/link/complete": CONSENT | TOKEN,
    "POST /v1/tenant/consent/link/sign-in": ANSWER | TOKEN,
    "POST /v1/tenant/browse": {},
    "POST /v1/tenant/browse/complete": ANSWER | {"code": "c"},
    "POST /v1/tenant/readiness/check": {},
    "PATCH /v1/tenant/features": {"outlook_email": True},
    "POST /internal/app-token": {"org_id": "acme", "refused": "0" * 64},
    "POST /v1/connection/sign-in": {"return_to": "/meetings", "features": ["outlook_email"]},
    "POST /v1/connection/complete": ANSWER,
    "POST /internal/tokens": {"org_id": "acme", "user_id": "anna", "claims": "{}", "refused": "0" * 64},
    "POST /internal/upload-sessions": {
        "org_id": "acme",
        "dedupe_key": "k",
        "path": "a/b",
        "content_type": "video/mp4",
        "size_bytes": 40,
        "owner_id": "anna",
        "name": "Review.mp4",
    },
    "POST /internal/delivered-files": {
        "org_id": "acme",
        "file_id": str(uuid.uuid4()),
        "quick_xor_hash": "A" * 27 + "=",
        "item_id": "01ABC",
    },
    "POST /internal/shared-artefacts": {"org_id": "acme", "user_id": "ben", "kind": "recording", "id": "f"},
    "POST /v1/files": {"name": "a.pdf", "content_type": "application/pdf", "size_bytes": 3, "sha256": "0" * 64},
    "PATCH /v1/files/{file_id}": {"shared": True},
    "POST /v1/files/{file_id}/links": {"expires_in_s": 60},
    "PUT /v1/storage/policy": {"retention_days": 30, "hold": True, "when_stopped": "wait"},
    "POST /v1/storage/migration": {"to": "chosen"},
    "PUT /v1/storage/location": {"address": "https://contoso.sharepoint.com/sites/Sales"},
    "POST /v1/storage/location/check": {},
    "POST /v1/meetings": {
        "subject": "Review",
        "start": NOW,
        "end": "2027-01-01T11:00:00Z",
        "body": "b",
        "attendees": [{"email": "ben@contoso.example", "name": "Ben"}],
        "time_zone": "Europe/Berlin",
        "lobby": "invited",
    },
    "POST /v1/meetings/availability": {
        "addresses": ["ben@contoso.example"],
        "start": NOW,
        "end": "2027-01-01T11:00:00Z",
        "time_zone": "Europe/Berlin",
    },
    "POST /v1/meetings/series": {
        "subject": "Review",
        "start": NOW,
        "end": "2027-01-01T11:00:00Z",
        "attendees": [{"email": "ben@contoso.example", "name": "Ben"}],
        "repeats": {"every": "day", "count": 2},
    },
    "PATCH /v1/meetings/series/{series_id}": {"subject": "s", "body": "b", "attendees": [{"email": "a@b"}]},
    "POST /internal/addresses": {"org_id": "acme", "after": "7:c", "limit": 5},
    "POST /internal/contact-access": {"org_id": "acme", "user_ids": ["anna"]},
    "PATCH /v1/mail/conversations/{conversation_id}": {"shared": True},
    "POST /v1/mail/mailbox/refresh": {},
    "PUT /v1/mail/mailbox/folders/{folder_id}": {"followed": True},
    "PUT /v1/mail/retention": {"keep_days": 90},
    "PUT /v1/contacts/policy": {"removed_in_outlook": "keep"},
    "PATCH /v1/contacts/folders/{folder_id}": {"keep_in_step": True},
    "POST /v1/contacts/imports": {"folders": ["f"], "share": True},
    "POST /v1/contacts/imports/{run_id}/start": {"confirm_removals": True},
    "PATCH /v1/contacts/{contact_id}": {
        "fields": {"notes": "n"},
        "emails": [{"address": "a@b.example", "label": "work"}],
        "phones": [{"number": "+49 30 1", "label": "home"}],
        "adopt": {"notes": "s"},
        "dismiss": {"notes": "s"},
        "shared": False,
    },
    "POST /v1/contacts/{contact_id}/join": {"other": "c"},
    "POST /v1/contacts/{contact_id}/apart": {"other": "c"},
    "POST /v1/contacts/{contact_id}/split": {"source": "s"},
    "POST /v1/mail": {
        "to": [{"email": "ben@contoso.example", "name": "Ben"}],
        "cc": [{"email": "carl@contoso.example"}],
        "bcc": [{"email": "dana@contoso.example"}],
        "subject": "s",
        "body": "b",
        "content_type": "text",
        "answers": {"message_id": "AAk", "everybody": True},
        "files": ["f"],
    },
    "PATCH /v1/meetings/{meeting_id}": {
        "subject": "s",
        "start": NOW,
        "attendees": [{"email": "a@b"}],
        "body": "b",
        "time_zone": "UTC",
        "shared_with_attendees": True,
    },
}
"""What each route with a body takes; each text in it is replaced by each hostile one."""


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, *path, key)


def replaced(body: Json, place: tuple[Any, ...], value: str) -> Json:
    made = copy.deepcopy(body)
    inner: Any = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return made


class Caller:
    """Whoever may call a route, so that what is hostile reaches it."""

    def __init__(self, hosted: Hosted, mine: str) -> None:
        self.hosted, self.mine = hosted, mine
        self.asked = 0

    async def ask(self, route: Route, path: str, what: str, headers: dict[str, bytes], **more: Any) -> None:
        first = {"Idempotency-Key": str(uuid.uuid4()).encode(), "If-Match": b'"0"', "Content-Type": b"application/json"}
        answer = await self.hosted.http.request(route.method, path, headers=first | self.token(route) | headers, **more)
        self.asked += 1
        assert answer.status_code != 500, f"{route.method} {route.template} with {what[:60]!r}: {answer.text[:300]}"
        if answer.status_code >= 400 and answer.status_code != 416:
            assert "code" in answer.json(), f"{route.template}: {answer.text[:300]}"

    def token(self, route: Route) -> dict[str, bytes]:
        if isinstance(route.who, tuple):
            issued = self.hosted.keys_of(route.who[0]).issue(self.hosted.service.name)
        else:
            issued = self.hosted.keys.token(*OWNER, ("org_admin", "user"))
        return {} if route.who == "bearer of the address" else {"Authorization": f"Bearer {issued}".encode()}

    def path(self, route: Route, value: str | None = None) -> str:
        filled = self.mine if value is None else quote(value, safe="", errors="surrogatepass")
        return "/".join(filled if part.startswith("{") else part for part in route.template.split("/"))

    def parameters(self, route: Route, where: str) -> list[str]:
        described = self.hosted.service.app.openapi()["paths"].get(route.template, {}).get(route.method.lower(), {})
        return [found["name"] for found in described.get("parameters", []) if found["in"] == where]


@pytest.fixture
async def caller(hosted: Hosted) -> Caller:
    for name in (
        "schedule_wait_s",
        *(name for name in type(hosted.service.settings).model_fields if "_per_hour" in name),
    ):
        if name in type(hosted.service.settings).model_fields:
            setattr(hosted.service.settings, name, 0 if name == "schedule_wait_s" else 1_000_000)
    about = {"org_id": "acme", "aggregate_version": 1, "tid": "t1", "changed_at": NOW, "connected": True}
    who = {"user_id": "anna", "oid": "o", "name": "Anna", "email": "anna@contoso.example", "status": "connected"}
    tenant = TenantState.model_validate(about | {"features": Features(auto_recording=True)})
    await publish(hosted.service.bus, tenant, UserState.model_validate(about | who))  # type: ignore[arg-type]
    await consume(hosted.service)
    return Caller(hosted, (await fill(hosted))[OWNER])


def routes(caller: Caller) -> Iterator[tuple[str, Route]]:
    for name, who in ROUTES[caller.hosted.service.name].items():
        method, _, template = name.partition(" ")
        yield name, Route(method, template, who)


async def test_a_hostile_value_in_a_path_query_or_header_is_refused(caller: Caller) -> None:
    for name, route in routes(caller):
        body = {"json": BODIES[name]} if name in BODIES else {}
        for value in HOSTILE:
            if "{" in route.template:
                await caller.ask(route, caller.path(route, value), value, {}, **body)
            for query in caller.parameters(route, "query") or ["cursor"]:
                address = f"{caller.path(route)}?{query}={quote(value, errors='surrogatepass')}"
                await caller.ask(route, address, value, {}, **body)
        for header in caller.parameters(route, "header"):
            for value in {"range": RANGES, "content-range": CONTENT_RANGES}.get(header.lower(), HOSTILE):
                sent = value.encode("utf-8", "surrogatepass")
                await caller.ask(route, caller.path(route), value, {header: sent}, **body)


async def test_a_hostile_value_in_a_body_is_refused(caller: Caller) -> None:
    for name, route in routes(caller):
        for place in places(BODIES.get(name, {})):
            for value in TIMES if place[0] in {"start", "end"} else HOSTILE:
                content = json.dumps(replaced(BODIES[name], place, value)).encode()
                await caller.ask(route, caller.path(route), f"{place}: {value}", {}, content=content)


async def test_every_route_with_a_body_has_one_in_the_table(hosted: Hosted) -> None:
    described = hosted.service.app.openapi()["paths"]
    wanted = {
        f"{method.upper()} {path}"
        for path, methods in described.items()
        for method, found in methods.items()
        if "application/json" in found.get("requestBody", {}).get("content", {})
    }
    assert wanted - set(BODIES) == set()


async def test_a_name_with_hidden_marks_is_refused_by_its_field(caller: Caller) -> None:
    if caller.hosted.service.name != "meetings":
        return
    route = Route("POST", "/v1/meetings", "person")
    for field, value in {"subject": "\u202egnp.exe", "start": TIMES[0], "body": "a\x00b"}.items():
        headers = {"Idempotency-Key": b"k"} | caller.token(route)
        body = BODIES["POST /v1/meetings"] | {field: value}
        answer: httpx.Response = await caller.hosted.http.post("/v1/meetings", json=body, headers=headers)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
