"""What Microsoft publishes of Entra, read by the code that meets it: each kind of document by its own reader."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msal
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from shared.entra.aadsts import EntraError, EntraMisconfigured, refusal
from shared.entra.client import Entra
from shared.entra.id_tokens import IdTokens
from shared.graph.refusals import claims_challenge
from shared.problems import ProspoError
from shared.testing.samples import Sample, samples
from tenant_connector import answers, graph
from tenant_connector.models import ConsentAnswer
from user_auth.microsoft import _grant, granted_scopes
from user_auth.models import SignInAnswer
from user_auth.settings import Settings

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def answered(sample: Sample) -> dict[str, str]:
    """What a browser brings to the callback: of the query, the fragment or the form."""
    url, body = urlsplit(sample.request["url"]), sample.request.get("body")
    text = body if isinstance(body, str) else url.query or url.fragment
    return dict(parse_qsl(text.replace("\n", "")))


def header_of(sample: Sample, name: str) -> str:
    headers = {key.lower(): value for key, value in (sample.response.get("headers") or {}).items()}
    return str(headers.get(name.lower(), ""))


@pytest.mark.parametrize("sample", samples("token error", responses=True))
def test_a_token_error_becomes_a_refusal_with_its_number_and_what_to_do(sample: Sample) -> None:
    said = sample.response["body"]
    error = refusal(said)
    assert isinstance(error, EntraError)
    assert type(error) is not EntraError
    assert error.error == said["error"]
    assert f"AADSTS{error.number}" in said["error_description"]
    assert error.message.endswith(".")
    assert error.claims == (said.get("claims") or "")
    if said["error"] in ("invalid_grant", "interaction_required", "login_required"):
        assert not isinstance(error, EntraMisconfigured)


@pytest.mark.parametrize("sample", samples("token success", responses=True))
def test_a_token_answer_gives_a_token_with_its_end_and_its_scopes(sample: Sample) -> None:
    said, now = sample.response["body"], datetime.now(UTC)
    grant = _grant(said, msal.SerializableTokenCache(), now)
    assert grant.access_token == said["access_token"]
    assert 0 < (grant.expires_at - now).total_seconds() <= 100_000
    for scope in granted_scopes(said):
        assert re.fullmatch(r"[a-z0-9_.\-]+", scope), scope
    assert bool(granted_scopes(said)) is bool(said.get("scope"))


@pytest.mark.parametrize("sample", samples("claims challenge", responses=True))
def test_only_a_challenge_with_claims_is_one(sample: Sample) -> None:
    header = header_of(sample, "WWW-Authenticate")
    claims = claims_challenge(header)
    assert (claims is not None) is bool(re.search(r"\bclaims *=", header))
    if claims is not None:
        assert isinstance(json.loads(claims), dict)


def only(parameters: list[Any], wanted: Callable[[Sample], bool]) -> list[Any]:
    """The samples of the kind that a reader meets; the mark of a missing folder stays."""
    return [one for one in parameters if one.values[0] is None or wanted(one.values[0])]


def is_callback(sample: Sample) -> bool:
    """What comes to us, and no request to Microsoft."""
    return "adminconsent" not in sample.request["url"] and "/oauth2/" not in sample.request["url"]


@pytest.mark.parametrize("sample", only(samples("admin consent redirect", requests=True), is_callback))
def test_what_comes_back_from_an_admin_consent_is_read(sample: Sample) -> None:
    given = answered(sample)
    answer = ConsentAnswer(**given)
    refused = answers.consent_refused(answer)
    if "error" in given:
        assert isinstance(refused, ProspoError)
        assert refused.code.startswith("consent_")
    else:
        assert refused is None
        assert GUID.fullmatch(answer.tenant or "")


@pytest.mark.parametrize("sample", only(samples("authorize redirect", requests=True), is_callback))
def test_what_comes_back_from_a_sign_in_is_a_code_or_an_error(sample: Sample) -> None:
    given = answered(sample)
    known = {"state": "some pages leave it out"} | given
    if not {"code", "error"} & set(given):
        with pytest.raises(ValidationError, match="a code or an error"):
            SignInAnswer.model_validate(known)
        return
    answer = SignInAnswer.model_validate(known).given()
    assert {name: answer[name] for name in ("code", "error", "error_description") if name in given} == {
        name: given[name] for name in ("code", "error", "error_description") if name in given
    }
    if "error" in given:
        assert type(refusal(answer)) is not EntraError


def published(body: Any) -> Callable[..., requests.Response]:
    """Answers MSAL's question for the discovery document."""

    def request(session: requests.Session, *args: Any, **more: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 200
        answer._content = json.dumps(body).encode()
        return answer

    return request


def is_document(sample: Sample) -> bool:
    """Not the list of clouds, which we never ask for."""
    return "token_endpoint" in sample.response["body"]


@pytest.mark.parametrize("sample", only(samples("oidc discovery", responses=True), is_document))
def test_a_discovery_document_tells_msal_where_tokens_are_given(
    sample: Sample, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = sample.response["body"]
    monkeypatch.setattr(requests.Session, "request", published(body))
    settings = make_settings(Settings, "user-auth", client_id="c", client_secret="s")
    with Entra(settings).application("contoso.example") as application:
        assert application.authority.token_endpoint.lower() == body["token_endpoint"].lower()


@pytest.mark.parametrize("sample", samples("id_token"))
async def test_an_id_token_of_a_work_account_is_known_by_tenant_and_object_id(
    sample: Sample, make_settings: Any
) -> None:
    """The page's claims, signed by a key of the test's and moved to now; a text that is no token proves nobody."""
    claims = sample.response.get("body") if sample.document else None
    authority = str((claims or {}).get("iss", "https://x/y/v2.0")).removesuffix("/v2.0").rsplit("/", 1)[0]
    aud = str((claims or {}).get("aud", "c"))
    settings = make_settings(Settings, "user-auth", client_id=aud, client_secret="s", entra_authority=authority)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "k", "use": "sig"}
    verifier = IdTokens(settings, Entra(settings))
    if not isinstance(claims, dict):
        with pytest.raises(ProspoError):
            await verifier.verify(sample.text.strip(), "t")
    else:
        now = int(time.time())
        verifier.keys(claims["tid"]).accept({"keys": [public]})
        token = jwt.encode(claims | {"iat": now, "nbf": now, "exp": now + 600}, key, "RS256", {"kid": "k"})
        account = await verifier.verify(token, claims["tid"])
        assert (account.tid, account.oid) == (claims["tid"], claims["oid"])
        assert account.email == claims.get("preferred_username", "")


class Says:
    """A caller of Graph that gets one answer."""

    def __init__(self, body: Any) -> None:
        self.body = body

    async def get(self, path: str) -> Any:
        return self.body


@pytest.mark.parametrize("sample", samples("organization get", responses=True))
async def test_the_organisation_is_read_alone_or_in_a_list(sample: Sample) -> None:
    body = sample.response["body"]
    found = await graph.organisation(Says(body))  # type: ignore[arg-type]
    item = body["value"][0] if "value" in body else body
    assert found is not None
    assert (found.tid, found.display_name) == (item["id"].lower(), item.get("displayName") or item["id"])
