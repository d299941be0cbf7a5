"""The edge of every service: who is let in, what is refused and how it is said."""

import base64
import hmac
import json
import os
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared import metrics
from shared.settings import ServiceSettings
from shared.testing.fixtures import ISSUER, MakeSettings, PlatformKeys
from shared.web.identity import ServiceTokens


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_note_is_committed_before_the_answer(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    mine = bearer(platform_keys.token())
    assert (await http.post("/v1/notes", json={"words": "hello"}, headers=mine)).status_code == 201
    assert (await http.get("/v1/notes", headers=mine)).json() == ["hello"]


async def test_another_organisation_sees_nothing_of_it(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    await http.post("/v1/notes", json={"words": "ours"}, headers=bearer(platform_keys.token("acme")))
    theirs = await http.get("/v1/notes", headers=bearer(platform_keys.token("globex")))
    assert theirs.json() == []


async def test_without_a_token_the_answer_is_a_401_problem(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/notes")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_signed_in"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def signed_with_public_key(keys: PlatformKeys, claims: dict[str, Any]) -> str:
    """The algorithm confusion: HS256 with the issuer's public key as the secret."""
    pem = keys.issuer_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "test"}, claims]
    signing = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = hmac.new(pem, signing.encode(), "sha256").digest()
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def forged(keys: PlatformKeys, kind: str) -> str:
    claims = {"iss": ISSUER, "aud": "prospo-m365", "sub": "a", "org_id": "acme", "exp": int(time.time()) + 300}
    match kind:
        case "unsigned":
            return jwt.encode(claims, None, algorithm="none")
        case "public key as a secret":
            return signed_with_public_key(keys, claims)
        case "another key":
            other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            return jwt.encode(claims, other, algorithm="RS256", headers={"kid": "test"})
        case "unknown kid":
            return jwt.encode(claims, keys.issuer_key, algorithm="RS256", headers={"kid": "elsewhere"})
        case "expired":
            return keys.token(exp=int(time.time()) - 60)
        case "other audience":
            return keys.token(aud="another-api")
        case "other issuer":
            return keys.token(iss="https://evil.example")
        case "no organisation":
            return keys.token(org_id="")
        case _:
            return "not.a.token"


@pytest.mark.parametrize(
    "kind",
    [
        "unsigned",
        "public key as a secret",
        "another key",
        "unknown kid",
        "expired",
        "other audience",
        "other issuer",
        "no organisation",
        "nonsense",
    ],
)
async def test_a_forged_token_is_refused(http: httpx.AsyncClient, platform_keys: PlatformKeys, kind: str) -> None:
    answer = await http.get("/v1/notes", headers=bearer(forged(platform_keys, kind)))
    assert answer.status_code == 401
    assert answer.json()["code"] == "invalid_token"


async def test_who_is_refused_and_which_service_calls_is_counted(
    http: httpx.AsyncClient, make_settings: MakeSettings, platform_keys: PlatformKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[dict[str, str]] = []

    class Counter:
        def add(self, _count: int, labels: dict[str, str]) -> None:
            counted.append(labels)

    for name in ("requests_refused", "internal_calls"):
        monkeypatch.setattr(metrics, name, Counter())
    await http.get("/v1/notes")
    await http.get("/v1/notes", headers=bearer("nonsense"))
    await http.get("/v1/notes", headers=bearer(platform_keys.token()))
    await http.delete("/v1/notes", headers=bearer(platform_keys.token()))
    assert [labels["code"] for labels in counted] == ["not_signed_in", "invalid_token", "org_admin_required"]
    for name in ("meetings", "storage"):
        tokens = ServiceTokens(make_settings(ServiceSettings, name), name)
        await http.get("/internal/who", headers=bearer(tokens.issue("notes")))
    assert counted[3:] == [
        {"caller": "meetings", "outcome": "admitted"},
        {"caller": "storage", "outcome": "refused"},
        {"code": "service_not_admitted"},
    ]


async def test_identity_headers_are_not_believed(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/notes", headers={"X-User-Id": "anna", "X-Org-Id": "acme"})
    assert answer.status_code == 401


async def test_an_admin_route_refuses_a_user_and_takes_an_admin(
    http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    refused = await http.delete("/v1/notes", headers=bearer(platform_keys.token()))
    allowed = await http.delete("/v1/notes", headers=bearer(platform_keys.token(roles=("org_admin",))))
    assert (refused.status_code, refused.json()["code"]) == (403, "org_admin_required")
    assert allowed.status_code == 200


async def test_an_unknown_field_is_named(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    answer = await http.post("/v1/notes", json={"words": "a", "more": 1}, headers=bearer(platform_keys.token()))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "more"


async def test_an_oversized_body_is_refused_with_and_without_a_length(
    http: httpx.AsyncClient, platform_keys: PlatformKeys
) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 10_000

    mine = bearer(platform_keys.token()) | {"content-type": "application/json"}
    declared = await http.post("/v1/notes", content=b"x" * 300_000, headers=mine)
    streamed = await http.post("/v1/notes", content=pieces(), headers=mine)
    assert [declared.status_code, streamed.status_code] == [413, 413]
    assert streamed.json()["code"] == "body_too_large"


async def test_unknown_paths_and_methods_are_problems(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/nowhere")).json()["code"] == "not_found"
    assert (await http.put("/v1/notes")).json()["code"] == "method_not_allowed"


async def test_an_internal_route_takes_a_service_and_refuses_a_person(
    http: httpx.AsyncClient, platform_keys: PlatformKeys, make_settings: MakeSettings
) -> None:
    meetings = ServiceTokens(make_settings(ServiceSettings, "meetings"), "meetings")
    welcome = await http.get("/internal/who", headers=bearer(meetings.issue("notes")))
    misdirected = await http.get("/internal/who", headers=bearer(meetings.issue("storage")))
    person = await http.get("/internal/who", headers=bearer(platform_keys.token()))
    assert welcome.json() == {"caller": "meetings"}
    assert [misdirected.status_code, person.status_code] == [401, 401]


async def test_a_services_key_that_was_changed_counts_at_once(
    http: httpx.AsyncClient, platform_keys: PlatformKeys, make_settings: MakeSettings
) -> None:
    settings = make_settings(ServiceSettings, "meetings")
    before = ServiceTokens(settings, "meetings")
    assert (await http.get("/internal/who", headers=bearer(before.issue("notes")))).status_code == 200
    platform_keys.add_service("meetings")
    public = settings.service_public_keys_dir / "meetings.pem"
    os.utime(public, ns=(0, public.stat().st_mtime_ns + 1_000_000_000))
    after = ServiceTokens(settings, "meetings")
    assert (await http.get("/internal/who", headers=bearer(before.issue("notes")))).status_code == 401
    assert (await http.get("/internal/who", headers=bearer(after.issue("notes")))).status_code == 200


async def test_two_keys_of_a_service_count_while_one_replaces_the_other(
    http: httpx.AsyncClient, platform_keys: PlatformKeys, make_settings: MakeSettings
) -> None:
    settings = make_settings(ServiceSettings, "meetings")
    before = ServiceTokens(settings, "meetings")
    old = before.issue("notes")
    public = settings.service_public_keys_dir / "meetings.pem"
    first = public.read_text()
    platform_keys.add_service("meetings")
    new = ServiceTokens(settings, "meetings").issue("notes")
    for place, (content, statuses) in enumerate(
        [
            (first + public.read_text(), [200, 200]),
            (public.read_text() + first, [200, 200]),
            (public.read_text(), [401, 200]),
            ("no key at all", [401, 401]),
        ]
    ):
        public.write_text(content)
        os.utime(public, ns=(0, public.stat().st_mtime_ns + 1_000_000_000 * (place + 1)))
        answers = [await http.get("/internal/who", headers=bearer(token)) for token in (old, new)]
        assert [answer.status_code for answer in answers] == statuses


async def test_health_answers(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health/live")).status_code == 200
    assert (await http.get("/health/ready")).status_code == 200


async def test_a_wrong_signature_of_a_known_service_is_refused(
    http: httpx.AsyncClient, make_settings: MakeSettings, platform_keys: PlatformKeys
) -> None:
    platform_keys.add_service("intruder")
    settings = make_settings(ServiceSettings, "intruder")
    as_meetings = ServiceTokens(settings, "meetings")
    answer = await http.get("/internal/who", headers=bearer(as_meetings.issue("notes")))
    assert answer.status_code == 401
