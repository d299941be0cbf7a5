"""Each of Microsoft's clouds by one setting: the addresses made, the scopes asked for, and foreign hosts refused."""

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import msal
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError
from structlog.testing import capture_logs

from console.protection import content_policy
from console.settings import Settings as ConsoleSettings
from shared.clouds import ARTEFACT_PERMISSIONS, CLOUDS, CloudName
from shared.entra.aadsts import EntraMisconfigured, EntraOtherCloud, EntraTellAdmin, refusal
from shared.entra.client import Entra
from shared.entra.id_tokens import IdTokens
from shared.graph.errors import GraphGiveUp
from shared.graph.links import Links
from shared.problems import Conflict
from shared.settings import ServiceSettings
from shared.subscriptions.rich import NotGenuine, ValidationTokens
from tenant_connector import consent
from tenant_connector.settings import Settings as ConnectorSettings
from tenant_connector.tokens import acquire
from user_auth.microsoft import Microsoft
from user_auth.permissions import PERMISSIONS, SIGN_IN
from user_auth.settings import Settings

from .said_by_entra import TID, document, query_of, scripted, settings_of

LOGIN = {
    "global": "login.microsoftonline.com",
    "us_gov_l4": "login.microsoftonline.us",
    "us_gov_l5": "login.microsoftonline.us",
    "china": "login.chinacloudapi.cn",
}
GRAPH = {
    "global": "graph.microsoft.com",
    "us_gov_l4": "graph.microsoft.us",
    "us_gov_l5": "dod-graph.microsoft.us",
    "china": "microsoftgraph.chinacloudapi.cn",
}
ISSUER = {**LOGIN, "china": "login.partner.microsoftonline.cn"}
V1_ISSUER = dict.fromkeys(LOGIN, "sts.windows.net") | {"china": "sts.chinacloudapi.cn"}
each_cloud = pytest.mark.parametrize("cloud", list(LOGIN))
each_pair = pytest.mark.parametrize(
    ("cloud", "other"), [(cloud, other) for cloud in LOGIN for other in LOGIN if GRAPH[cloud] != GRAPH[other]]
)


def settings_in(cloud: str, kind: type[Any] = Settings, **more: Any) -> Any:
    return settings_of(kind, cloud=cloud, **more)


def test_every_cloud_is_tried_here() -> None:
    assert set(LOGIN) == set(CLOUDS)


@each_cloud
def test_one_setting_gives_the_addresses_of_the_cloud(cloud: str) -> None:
    settings = settings_in(cloud)
    assert settings.entra_authority == f"https://{LOGIN[cloud]}"
    assert settings.graph_base_url == f"https://{GRAPH[cloud]}/v1.0"
    assert Entra(settings).page_authority("organizations") == f"https://{LOGIN[cloud]}/organizations"
    assert Entra(settings).graph_default == [f"https://{GRAPH[cloud]}/.default"]


@each_cloud
def test_explicit_addresses_win(cloud: str) -> None:
    settings = settings_in(cloud, graph_base_url="http://localhost:1/v1.0", entra_authority="https://localhost:2")
    assert (settings.graph_base_url, settings.entra_authority) == ("http://localhost:1/v1.0", "https://localhost:2")
    assert Entra(settings).issuer(TID) == f"https://localhost:2/{TID}/v2.0"


def test_a_cloud_that_is_none_is_refused_by_its_name_alone() -> None:
    with pytest.raises(ValidationError) as refused:
        settings_in("mars")
    assert [error["loc"] for error in refused.value.errors()] == [("cloud",)]


@each_cloud
def test_the_organisation_consents_at_its_clouds_page_to_its_clouds_graph(cloud: str) -> None:
    settings = settings_in(cloud, ConnectorSettings)
    url = consent.consent_url(settings, Entra(settings), "s")
    assert urlsplit(url).hostname == LOGIN[cloud]
    assert query_of(url)["scope"] == f"https://{GRAPH[cloud]}/.default"


@each_cloud
def test_the_applications_token_is_of_the_clouds_graph_and_sign_in(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = scripted(monkeypatch, (200, document(f"https://{LOGIN[cloud]}", f"https://{ISSUER[cloud]}")))
    acquire(Entra(settings_in(cloud)), TID)
    assert [form["scope"] for form in said.forms] == [f"https://{GRAPH[cloud]}/.default"]
    assert said.hosts("POST") == said.hosts("GET") == {LOGIN[cloud]}


@each_cloud
async def test_people_are_asked_for_the_permissions_that_the_cloud_has(
    cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, (200, document(f"https://{LOGIN[cloud]}")))
    settings = settings_in(cloud)
    microsoft = Microsoft(settings, Entra(settings))
    address, _ = await microsoft.begin(TID, "s", [*PERMISSIONS, SIGN_IN], None)
    await microsoft.aclose()
    assert urlsplit(address).hostname == LOGIN[cloud]
    asked = set(query_of(address)["scope"].split()) - {"openid", "profile", "offline_access"}
    prefix = "" if cloud == "global" else f"https://{GRAPH[cloud]}/"
    assert all(scope.startswith(prefix) for scope in asked)
    names = {scope.removeprefix(prefix) for scope in asked}
    assert {"Contacts.Read", "Calendars.ReadWrite", "OnlineMeetings.ReadWrite", "User.Read"} <= names
    assert (names >= ARTEFACT_PERMISSIONS) is (cloud != "china")
    assert (ARTEFACT_PERMISSIONS & names == set()) is (cloud == "china")


@each_cloud
async def test_nothing_is_missed_that_the_cloud_does_not_have(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh whose answer names what China has; elsewhere the permissions of recordings are then missing."""
    scope = " ".join(f"https://{GRAPH[cloud]}/{name}" for name in ("Contacts.Read", "Calendars.ReadWrite"))
    scope += f" https://{GRAPH[cloud]}/OnlineMeetings.ReadWrite"
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "scope": scope}
    scripted(monkeypatch, (200, document(f"https://{LOGIN[cloud]}")), token=(200, token))
    settings = settings_in(cloud)
    microsoft = Microsoft(settings, Entra(settings))
    grant = await microsoft.refresh(TID, cache_with_a_refresh_token(LOGIN[cloud]), None, None)
    await microsoft.aclose()
    assert set(grant.missing) == (set() if cloud == "china" else ARTEFACT_PERMISSIONS)


def cache_with_a_refresh_token(host: str) -> str:
    cache = msal.SerializableTokenCache()
    said = {
        "access_token": "old",
        "refresh_token": "r",
        "expires_in": 1,
        "client_info": "eyJ1aWQiOiJ1IiwidXRpZCI6InQifQ",
    }
    said |= {"id_token_claims": {"sub": "s", "oid": "o", "tid": TID, "preferred_username": "anna@contoso.example"}}
    cache.add({"client_id": "c", "scope": ["User.Read"], "token_endpoint": f"https://{host}/{TID}/x", "response": said})
    return str(cache.serialize())


@each_cloud
def test_a_proof_wants_the_application_permissions_that_the_cloud_has(cloud: str) -> None:
    wanted = settings_in(cloud, ConnectorSettings).required_roles_there
    assert "Organization.Read.All" in wanted
    assert ARTEFACT_PERMISSIONS & wanted == (set() if cloud == "china" else ARTEFACT_PERMISSIONS)


@each_pair
def test_our_token_never_follows_a_link_into_another_cloud(cloud: str, other: str) -> None:
    settings = settings_in(cloud)
    links = Links(settings.graph_base_url, settings.graph_hosts)
    own = f"https://{GRAPH[cloud]}/v1.0/me/contacts?$skip=10"
    assert links.check_link(own) == own
    with pytest.raises(GraphGiveUp, match="foreign host"):
        links.check_link(f"https://{GRAPH[other]}/v1.0/me/contacts?$skip=10")


@pytest.mark.parametrize(
    ("cloud", "other"), [(cloud, other) for cloud in LOGIN for other in LOGIN if LOGIN[cloud] != LOGIN[other]]
)
def test_no_credential_goes_to_a_tenant_of_another_cloud(
    cloud: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = scripted(monkeypatch, (200, document(f"https://{LOGIN[other]}")))
    with pytest.raises(EntraOtherCloud) as refused:
        acquire(Entra(settings_in(cloud)), TID)
    assert_says_what_to_do_about_the_cloud(refused.value)
    assert said.forms == []


@each_cloud
def test_a_discovery_document_of_nobodys_host_gets_no_credential(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = scripted(monkeypatch, (200, document("https://login.microsoftonline.evil.example")))
    with pytest.raises(EntraMisconfigured, match="not its own"):
        acquire(Entra(settings_in(cloud)), TID)
    assert said.forms == []


def assert_says_what_to_do_about_the_cloud(error: Exception) -> None:
    assert isinstance(error, EntraTellAdmin)
    assert "national cloud" in error.message
    assert "Ask your Microsoft 365 administrator" in error.message
    assert "registration" not in error.message


@pytest.mark.parametrize("number", [90038, 90043, 900382, 900383, 900384])
def test_a_refusal_for_another_cloud_is_no_misconfiguration(number: int) -> None:
    error = refusal({"error": "invalid_request", "error_codes": [number]})
    assert (type(error), error.number) == (EntraOtherCloud, number)
    assert_says_what_to_do_about_the_cloud(error)


def test_a_discovery_that_refuses_a_tenant_for_its_cloud_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"error": "invalid_request", "error_codes": [90038], "trace_id": "tr", "error_description": "AADSTS90038: x"}
    scripted(monkeypatch, (400, body))
    with pytest.raises(EntraOtherCloud) as refused:
        acquire(Entra(settings_in("global")), TID)
    assert (refused.value.number, refused.value.trace_id) == (90038, "tr")


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = {"keys": [jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k", "use": "sig"}]}


def signed(**claims: Any) -> str:
    now = int(time.time())
    said = {"aud": "c", "tid": TID, "iat": now, "nbf": now, "exp": now + 600} | claims
    return jwt.encode(said, KEY, "RS256", {"kid": "k"})


@each_cloud
async def test_an_id_token_is_of_the_clouds_issuer_and_no_other(cloud: str) -> None:
    settings = settings_in(cloud)
    verifier = IdTokens(settings, Entra(settings))
    keys = verifier.keys(TID)
    assert httpx.URL(keys.url).host == LOGIN[cloud]
    keys.accept(JWKS)
    for issuer in sorted({*ISSUER.values(), "login.evil.example"}):
        token = signed(iss=f"https://{issuer}/{TID}/v2.0", ver="2.0", oid="o", preferred_username="a@b.example")
        if issuer == ISSUER[cloud]:
            assert (await verifier.verify(token, TID)).oid == "o"
        else:
            with pytest.raises(Conflict):
                await verifier.verify(token, TID)


def of_version(version: int, host: str, publisher: str) -> str:
    if version == 1:
        return signed(iss=f"https://{host}/{TID}/", ver="1.0", appid=publisher)
    return signed(iss=f"https://{host}/{TID}/v2.0", ver="2.0", azp=publisher)


@each_cloud
@pytest.mark.parametrize(("version", "issuers"), [(1, V1_ISSUER), (2, ISSUER)])
async def test_a_validation_token_is_of_the_clouds_issuer_and_publisher(
    cloud: str, version: int, issuers: dict[str, str]
) -> None:
    settings = settings_in(cloud, ServiceSettings, notification_publisher="publisher-of-this-cloud")
    verifier = ValidationTokens(settings)
    verifier.keys.accept(JWKS)
    await verifier.check([of_version(version, issuers[cloud], "publisher-of-this-cloud")], [TID])
    for host in sorted(set(issuers.values()) - {issuers[cloud]}):
        with pytest.raises(NotGenuine, match="publisher"):
            await verifier.check([of_version(version, host, "publisher-of-this-cloud")], [TID])
    with pytest.raises(NotGenuine, match="publisher"):
        await verifier.check([of_version(version, issuers[cloud], "another")], [TID])


def test_the_publisher_of_notifications_is_the_published_one_unless_set() -> None:
    assert settings_in("us_gov_l4").notification_publisher == "0bf30f3b-4a52-48df-9a82-234910c4a086"


@each_cloud
def test_forms_of_the_console_may_lead_to_the_clouds_pages_only(cloud: CloudName) -> None:
    policy = content_policy(ConsoleSettings(cloud=cloud))
    assert f"form-action 'self' https://{LOGIN[cloud]};" in policy
    assert not any(LOGIN[other] in policy for other in LOGIN if LOGIN[other] != LOGIN[cloud])


@each_cloud
async def test_a_service_says_at_its_start_that_the_cloud_has_no_recordings(cloud: str, make_service: Any) -> None:
    service = await make_service()
    service.settings.cloud = cloud
    with capture_logs() as logs:
        await service.start(api=False, worker=False)
    said = [line for line in logs if line["event"] == "cloud.without_recordings"]
    assert [line["cloud"] for line in said] == (["china"] if cloud == "china" else [])
