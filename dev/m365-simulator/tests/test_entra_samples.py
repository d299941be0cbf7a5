"""Requests that Microsoft publishes of Entra and its directory, replayed against a world that holds what they name."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m365_simulator.client import FormReader
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.entra.consents import principal_id
from m365_simulator.entra.permissions import GRAPH_APP_ID, KNOWN
from m365_simulator.schema import first_fault, properties
from m365_simulator.signing import encode_part
from shared.testing.samples import Sample, samples

ADMIN, ANNA = "admin@contoso.example", "anna@contoso.example"
RIGHTS = "DelegatedPermissionGrant.ReadWrite.All Application.ReadWrite.All User.RevokeSessions.All Directory.Read.All"
RIGHTS += " Organization.Read.All AppRoleAssignment.ReadWrite.All"
WORDS = {"common", "organizations", "consumers"}
VERIFIER = "ThisVerifierIsOfTheTestWhereThePageShowsNone"
GRANTS = ("authorization_code", "refresh_token", "client_credentials")
TOPICS = ("oidc discovery", "admin consent redirect", "authorize redirect", "token success", "token error")


def fits(shown: Any, ours: Any, path: str = "") -> list[str]:
    """Where ours has a value of another type than the page shows; what either lacks or leaves null is no fault."""
    if shown is None or ours is None:
        return []
    if isinstance(shown, dict) and isinstance(ours, dict):
        return [fault for key in set(shown) & set(ours) for fault in fits(shown[key], ours[key], f"{path}/{key}")]
    if isinstance(shown, list) and isinstance(ours, list):
        return fits(shown[0], ours[0], f"{path}/0") if shown and ours else []
    same = isinstance(shown, bool) is isinstance(ours, bool)
    kinds = (int, float) if isinstance(shown, int | float) else (type(shown),)
    return [] if same and isinstance(ours, kinds) else [f"{path}: {type(ours).__name__}"]


def tenant_of(path: str) -> str:
    """A word for any stays; every name of a tenant becomes that of ours."""
    first = path.lstrip("/").partition("/")[0]
    return first if first in WORDS else CONTOSO


def form_of(text: str) -> dict[str, str]:
    """A body or query over several lines, some with a comment."""
    lines = [re.sub(r"\s+//\s.*$", "", line.strip()) for line in text.splitlines()]
    return dict(parse_qsl("".join(line for line in lines if not line.startswith("//")), keep_blank_values=True))


class Replay:
    """One request of a page; the application, grants and rows it names are made first."""

    def __init__(self, entra: Any, sample: Sample) -> None:
        self.entra, self.sample = entra, sample
        self.url = urlsplit(str(sample.request["url"]).strip())
        self.shown = sample.response.get("body") or {}

    async def application(self, fields: dict[str, str]) -> None:
        """Registered under the page's id, with what the page asks for."""
        client_id = fields["client_id"]
        uris = [fields.get("redirect_uri", "http://localhost/callback")]
        names = [scope.rpartition("/")[2].lower() for scope in fields.get("scope", "").split()]
        asked = [KNOWN[name] for name in names if name in KNOWN]
        named: dict[str, Any] = {"delegated": asked} if asked else {}
        await self.entra.do("application_register", name="Sample", client_id=client_id, redirect_uris=uris, **named)
        made = await self.entra.do("secret_add", app=client_id)
        self.entra.client = {"client_id": client_id, "client_secret": made["secret"]}
        self.entra.redirect_uri = uris[0]

    async def discovery(self) -> None:
        answer = await self.entra.http.get(f"/{tenant_of(self.url.path)}/v2.0/.well-known/openid-configuration")
        assert answer.status_code == 200
        assert fits(self.shown, answer.json()) == []
        assert set(self.shown) <= set(answer.json())

    async def admin_consent(self) -> None:
        fields = form_of(self.url.query)
        await self.application(fields)
        newer = "/v2.0/" in self.url.path
        path = f"/{tenant_of(self.url.path)}{'/v2.0' if newer else ''}/adminconsent"
        page = await self.entra.walk(await self.entra.http.get(path, params=fields), ADMIN)
        back = dict(parse_qsl(urlsplit(page.headers["location"]).query))
        assert page.headers["location"].startswith(fields["redirect_uri"])
        assert (back["admin_consent"], back["tenant"], back.get("state")) == ("True", CONTOSO, fields.get("state"))

    async def authorize(self) -> None:
        fields = form_of(self.url.query)
        await self.application(fields)
        await self.entra.do("consent_give", tenant=CONTOSO, app=fields["client_id"])
        path = f"/{tenant_of(self.url.path)}/oauth2/v2.0/authorize"
        page = await self.entra.walk(await self.entra.http.get(path, params=fields), ANNA)
        said = self.told(page)
        takes_code = fields.get("response_type") == "code" and fields.get("prompt") != "none"
        assert ("code" in said, said.get("state")) == (takes_code, fields.get("state"))

    def told(self, page: Any) -> dict[str, str]:
        """What the application hears, whichever way it comes."""
        if page.status_code == 200:
            return FormReader(page.text).fields
        location = urlsplit(page.headers["location"])
        return dict(parse_qsl(location.query or location.fragment))

    async def token(self) -> None:
        fields = form_of(str(self.sample.request["body"]))
        await self.application(fields)
        await self.entra.do("consent_give", tenant=CONTOSO, app=fields["client_id"])
        given = fields | self.entra.client | await self.grant(fields)
        given = {name: value for name, value in given.items() if not name.startswith("client_assertion")}
        await self.scripted()
        answer = await self.entra.http.post(f"/{tenant_of(self.url.path)}/oauth2/v2.0/token", data=given)
        if fields["grant_type"] not in GRANTS:
            assert answer.json()["error"] == "unsupported_grant_type"
            return
        assert answer.is_success is ("error" not in self.shown), answer.text
        assert answer.status_code == (self.sample.response.get("status") or answer.status_code)
        assert fits(self.shown, answer.json()) == []
        assert set(self.shown) - {"id_token", "refresh_token", "error_uri"} <= set(answer.json())

    async def scripted(self) -> None:
        """The page's refusal, where it shows one."""
        if "error" in self.shown:
            number = (self.shown.get("error_codes") or [70008])[-1]
            more = {name: self.shown[name] for name in ("suberror", "claims") if name in self.shown}
            await self.entra.world.control.fault("token_error", number=number, error=self.shown["error"], **more)

    async def older(self) -> None:
        """Version 1.0's endpoints are not simulated: nothing of ours asks them."""
        answer = await self.entra.http.post(f"/{tenant_of(self.url.path)}/oauth2/token", data={})
        assert answer.status_code == 404

    async def grant(self, fields: dict[str, str]) -> dict[str, str]:
        """A living code or refresh token in place of the page's."""
        asked = {"scope": f"openid offline_access {fields.get('scope', '')}", "response_type": "code"}
        if fields["grant_type"] == "authorization_code":
            verifier = fields.get("code_verifier", VERIFIER)
            challenge = encode_part(hashlib.sha256(verifier.encode()).digest())
            back = await self.entra.sign_in(ANNA, **asked, code_challenge=challenge)
            return {"code": back["code"], "code_verifier": verifier, "redirect_uri": self.entra.redirect_uri}
        if fields["grant_type"] == "refresh_token":
            return {"refresh_token": (await self.entra.tokens(ANNA, **asked))["refresh_token"]}
        return {}

    async def callback(self) -> None:
        """What the page shows coming to the application is what ours brings there."""
        shown = form_of(self.sample.request.get("body") or self.url.query or self.url.fragment)
        ours = await self.brought(shown)
        left_out = {"state"} if "id_token" not in shown else {"state", "id_token"}
        assert set(shown) - left_out <= set(ours), ours
        if shown.get("error") in ("access_denied", "permission_denied", "consent_required"):
            assert ours["error"] == shown["error"]

    async def brought(self, shown: dict[str, str]) -> dict[str, str]:
        entra = self.entra
        if shown.get("error") == "permission_denied":
            return dict(await entra.admin_consent(decision="cancel", path=""))
        if shown.get("error") == "consent_required":
            return dict(await entra.admin_consent(decision="cancel"))
        if "admin_consent" in shown:
            return dict(await entra.admin_consent(path="v2.0/" if "scope" in shown else ""))
        if "error" in shown:
            await entra.world.control.fault("authorize_error", number=90033, error=shown["error"], skip=0)
        return self.told(await entra.walk(await entra.authorize(), ANNA))

    def kind(self) -> Callable[[], Awaitable[None]]:
        path = self.url.path
        endings = {
            "/openid-configuration": self.discovery,
            "/adminconsent": self.admin_consent,
            "/v2.0/authorize": self.authorize,
            "/v2.0/token": self.token,
            "/oauth2/token": self.older,
            "/oauth2/authorize": self.older,
        }
        return next((found for ending, found in endings.items() if path.endswith(ending)), self.callback)


@pytest.mark.parametrize("sample", samples(*TOPICS, requests=True))
async def test_a_published_request_to_entra_is_answered_as_shown(entra: Any, sample: Sample) -> None:
    await Replay(entra, sample).kind()()


def ids_in(path: str, entra: Any, grant: str) -> str:
    """The page's ids in a path become those of rows that are there."""
    anna = find_user(entra.simulator.store, ANNA) or {}
    ours = {
        "oauth2permissiongrants": grant,
        "serviceprincipals": principal_id(entra.client["client_id"], CONTOSO),
        "users": anna["id"],
        "organization": CONTOSO,
    }
    parts = path.split("/")
    for at in range(1, len(parts)):
        before = parts[at - 1].lower()
        if before in ours and parts[at]:
            parts[at] = ours[before]
    return "/".join(parts)


@pytest.mark.parametrize("sample", samples("oauth2permissiongrant", "organization", requests=True))
async def test_a_published_request_to_the_directory_is_answered_as_shown(entra: Any, sample: Sample) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    graph = entra.world.graph(entra.world.token(ADMIN, RIGHTS))
    (grant,) = (await graph.get("/oauth2PermissionGrants")).json()["value"]
    request, method = sample.request, str(sample.request["method"]).upper()
    url = urlsplit(str(request["url"]).strip())
    path = ids_in(re.sub(r"^/v1(\.0)?", "", url.path), entra, grant["id"])
    body = request.get("body")
    if isinstance(body, dict):
        ids = {"clientId": grant["clientId"], "resourceId": principal_id(GRAPH_APP_ID, CONTOSO)}
        ids["principalId"] = (find_user(entra.simulator.store, ANNA) or {}).get("id", "")
        body = body | {name: value for name, value in ids.items() if body.get(name)}
        if method == "POST" and body.get("consentType") == "AllPrincipals":
            await entra.do("policy_set", tenant="contoso.example", revocation_s=0)
            await graph.delete(f"/oauth2PermissionGrants/{grant['id']}")
    answer = await graph.request(method, f"{path}?{url.query}" if url.query else path, json=body)
    assert answer.status_code == (sample.response.get("status") or 200), answer.text
    if answer.content:
        assert fits(sample.response.get("body"), answer.json()) == []


@pytest.mark.parametrize("sample", samples("oauth2permissiongrant", "organization", responses=True))
async def test_a_published_answer_of_the_directory_has_the_types_of_ours(entra: Any, sample: Sample) -> None:
    shown = sample.response.get("body") or {}
    await entra.do("consent_give", tenant="contoso.example")
    graph = entra.world.graph(entra.world.token(ADMIN, RIGHTS))
    is_grant = "oauth2PermissionGrant" in str(shown.get("@odata.context", ""))
    kind = "graph.oAuth2PermissionGrant" if is_grant else "graph.organization"
    path = "/oauth2PermissionGrants" if is_grant else "/organization"
    (ours,) = (await graph.get(path)).json()["value"]
    for row in shown.get("value", [shown] if shown else []):
        known = {key: value for key, value in row.items() if key in properties(kind)}
        assert fits(known, ours) == []
    assert first_fault(ours, kind) is None
