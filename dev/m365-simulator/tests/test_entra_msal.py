"""Microsoft's own library against the https listener, with nothing of it bent but its trust."""

import asyncio
import datetime
import json
import re
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from m365_simulator import Simulator, SimulatorSettings, create_simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from m365_simulator.testing import Hosting

# MSAL recommends form_post; the callbacks here are plain links.
pytestmark = pytest.mark.filterwarnings("ignore:response_mode=:UserWarning")
REDIRECT = "http://localhost:8365/integrations/microsoft/callback"
SCOPES = ["User.Read", "Calendars.ReadWrite"]
DEFAULT = ["https://graph.microsoft.com/.default"]


class Microsoft:
    """A running simulator, and MSAL's applications for it."""

    def __init__(self, settings: SimulatorSettings, client: SimulatorClient) -> None:
        self.settings, self.client = settings, client

    def application(self, tenant: str = CONTOSO, **more: Any) -> msal.ConfidentialClientApplication:
        session = requests.Session()
        session.trust_env = False  # a REQUESTS_CA_BUNDLE would win over the session's own CA
        session.headers["Connection"] = "close"
        session.verify = str(self.settings.state_dir / "ca.pem")
        given = {"client_credential": self.settings.client_secret, "instance_discovery": False} | more
        authority = f"{self.settings.https_base_url}/{tenant}"
        return msal.ConfidentialClientApplication(
            self.settings.client_id, authority=authority, http_client=session, **given
        )

    async def app_token(self, **more: Any) -> dict[str, Any]:
        """A token of an application of its own, because MSAL remembers refusals for a minute."""

        def ask() -> dict[str, Any]:
            return dict(self.application(**more).acquire_token_for_client(DEFAULT))

        return await asyncio.to_thread(ask)

    async def signed_in(self, application: msal.ConfidentialClientApplication) -> dict[str, Any]:
        flow = application.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT)
        back = await self.client.sign_in(flow["auth_uri"], "anna@contoso.example")
        answer = dict(parse_qsl(urlsplit(back).query))
        return dict(await asyncio.to_thread(application.acquire_token_by_auth_code_flow, flow, answer))

    async def silent(self, application: msal.ConfidentialClientApplication, **more: Any) -> dict[str, Any]:
        account = application.get_accounts()[0]
        found = await asyncio.to_thread(application.acquire_token_silent_with_error, SCOPES, account, **more)
        return dict(found or {})

    async def me(self, token: str) -> httpx.Response:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as graph:
            return await graph.get(f"{self.settings.http_base_url}/v1.0/me")


@pytest.fixture
async def microsoft(simulator: Simulator) -> AsyncIterator[Microsoft]:
    async with SimulatorClient(simulator.settings.http_base_url) as client:
        await client.do("consent_give", tenant="contoso.example")
        yield Microsoft(simulator.settings, client)


@pytest.mark.behaviour(1)
async def test_the_authority_is_https_with_a_certificate_of_the_test_authority(microsoft: Microsoft) -> None:
    url = f"{microsoft.settings.https_base_url}/{CONTOSO}/v2.0/.well-known/openid-configuration"
    trusting = ssl.create_default_context(cafile=microsoft.settings.state_dir / "ca.pem")
    async with httpx.AsyncClient(verify=trusting, trust_env=False) as http:
        assert (await http.get(url)).status_code == 200
    async with httpx.AsyncClient(trust_env=False) as stranger:
        with pytest.raises(httpx.ConnectError):
            await stranger.get(url)
    with pytest.raises(ValueError, match="https"):
        msal.ConfidentialClientApplication("x", client_credential="y", authority=f"http://localhost:1/{CONTOSO}")


@pytest.mark.behaviour(2)
async def test_an_unknown_tenant_is_a_value_error_of_msal(microsoft: Microsoft) -> None:
    with pytest.raises(ValueError, match="tenant"):
        await asyncio.to_thread(microsoft.application, "nobody.example")


@pytest.mark.behaviour(5, 7, 10)
async def test_msal_signs_in_refreshes_silently_and_rotates(microsoft: Microsoft) -> None:
    application = await asyncio.to_thread(microsoft.application)
    said = await microsoft.signed_in(application)
    assert said["id_token_claims"]["preferred_username"] == "anna@contoso.example"
    kept = await microsoft.silent(application)
    assert kept["access_token"] == said["access_token"]
    renewed = await microsoft.silent(application, force_refresh=True)
    assert renewed["access_token"] != said["access_token"]
    assert (await microsoft.me(renewed["access_token"])).status_code == 200
    (account,) = application.get_accounts()
    assert account["home_account_id"].endswith(f".{CONTOSO}")


@pytest.mark.behaviour(10, 11)
async def test_msal_is_told_of_a_revocation(microsoft: Microsoft) -> None:
    application = await asyncio.to_thread(microsoft.application)
    await microsoft.signed_in(application)
    await microsoft.client.do("sessions_revoke", user="anna@contoso.example")
    refused = await microsoft.silent(application, force_refresh=True)
    assert (refused["error"], refused["error_codes"]) == ("invalid_grant", [50173])


@pytest.mark.behaviour(12)
async def test_msal_proves_itself_by_secret_and_by_certificate(microsoft: Microsoft) -> None:
    assert "access_token" in await microsoft.app_token()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Prospo")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credential = {"private_key": plain.decode(), "public_certificate": pem.decode()}
    unknown = await microsoft.app_token(client_credential=credential)
    assert unknown["error_codes"] == [700027]
    await microsoft.client.do("certificate_add", pem=pem.decode())
    assert "access_token" in await microsoft.app_token(client_credential=credential)
    older = {
        "private_key": plain.decode(),
        "thumbprint": x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA1()).hex(),
    }
    assert "access_token" in await microsoft.app_token(client_credential=older)


@pytest.mark.behaviour(13)
async def test_msal_answers_a_claims_challenge(microsoft: Microsoft) -> None:
    application = await asyncio.to_thread(lambda: microsoft.application(client_capabilities=["cp1"]))
    said = await microsoft.signed_in(application)
    assert said["expires_in"] > 20 * 3600
    await microsoft.client.do("claims_challenge", user="anna@contoso.example", context="c1")
    refused = await microsoft.me(said["access_token"])
    assert refused.status_code == 401
    found = re.search(r'claims="([^"]+)"', refused.headers["www-authenticate"])
    assert found is not None
    claims = b64decode(found[1]).decode()
    assert json.loads(claims)["access_token"]["acrs"]["value"] == "c1"
    renewed = await microsoft.silent(application, claims_challenge=claims)
    assert (await microsoft.me(renewed["access_token"])).status_code == 200


@pytest.mark.behaviour(4)
async def test_msal_that_forgot_to_turn_instance_discovery_off_is_noticed(
    microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks the public cloud, whose name leads here."""
    send, base = requests.Session.request, microsoft.settings.https_base_url

    def rerouted(session: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        return send(session, method, url.replace("https://login.microsoftonline.com", base), **more)

    monkeypatch.setattr(requests.Session, "request", rerouted)
    await asyncio.to_thread(microsoft.application)
    assert await microsoft.client.findings() == []
    await asyncio.to_thread(lambda: microsoft.application(instance_discovery=None))
    assert [found["kind"] for found in await microsoft.client.findings()] == ["instance_discovery"]


@pytest.mark.behaviour(1, 2)
async def test_an_authority_under_another_host_as_a_national_cloud_has_it(hosting: Hosting, tmp_path: Path) -> None:
    host = f"https://127.0.0.1:{hosting.settings.https_port}"
    there = hosting.simulator(tmp_path / "cloud", https_base_url=host)
    async with there as simulator, SimulatorClient(hosting.settings.http_base_url) as client:
        await client.do("consent_give", tenant="contoso.example")
        cloud = Microsoft(simulator.settings, client)
        application = await asyncio.to_thread(cloud.application)
        said = await cloud.signed_in(application)
        assert said["id_token_claims"]["iss"] == f"{host}/{CONTOSO}/v2.0"
        assert application.get_accounts()[0]["environment"] == "127.0.0.1"
        await client.do("policy_set", tenant="contoso.example", cloud="login.microsoftonline.us")
        moved = await cloud.silent(application, force_refresh=True)
        assert moved["error_codes"] == [90038]


def test_a_host_of_its_own_is_in_the_certificate(tmp_path: Path) -> None:
    made = create_simulator(SimulatorSettings(state_dir=tmp_path, https_base_url="https://login.sovereign.example:1"))
    made.store.close()
    certificate = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "login.sovereign.example" in names.get_values_for_type(x509.DNSName)
