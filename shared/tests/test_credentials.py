"""The application's credentials: which are live, in what order, and that one can replace another."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import SecretStr
from structlog.testing import capture_logs

from m365_simulator import Simulator, SimulatorSettings
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, FABRIKAM
from shared.entra.aadsts import EntraMisconfigured, EntraTenantGone
from shared.entra.client import Entra
from shared.entra.credentials import credentials
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings
from tenant_connector.tokens import acquire


def certificate(days: int) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "prospo")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=400))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made.public_bytes(pem)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "credentials"
    made.mkdir()
    return made


@pytest.fixture
def settings(make_settings: MakeSettings, folder: Path) -> ServiceSettings:
    found: ServiceSettings = make_settings(ServiceSettings, "meetings", client_credentials_dir=folder)
    return found.model_copy(update={"client_secret": SecretStr("")})


def names(settings: ServiceSettings) -> list[str]:
    return [one.name for one in credentials(settings)]


def test_certificates_come_first_and_the_one_that_lasts_longest_of_them(
    settings: ServiceSettings, folder: Path
) -> None:
    (folder / "a.secret").write_text("s1\n")
    (folder / "b.jwt").write_text("header.claims.signature")
    (folder / "c.pem").write_bytes(certificate(100))
    (folder / "d.pem").write_bytes(certificate(200))
    (folder / "README").write_text("not one")
    assert names(settings) == ["d.pem", "c.pem", "b.jwt", "a.secret"]
    with_single = settings.model_copy(update={"client_secret": SecretStr("s2")})
    assert names(with_single)[-1] == "settings"
    assert "s2" not in repr(credentials(with_single))


def test_an_expired_one_is_passed_over_while_there_is_another(settings: ServiceSettings, folder: Path) -> None:
    (folder / "old.pem").write_bytes(certificate(-1))
    (folder / "old.secret").write_text("s\nexpires 2020-01-01\n")
    assert names(settings) == ["old.pem", "old.secret"]
    (folder / "new.secret").write_text("s\nexpires 2999-01-01\n")
    assert names(settings) == ["new.secret"]


@pytest.mark.parametrize(("days", "warned"), [(29, True), (31, False)])
def test_the_operator_is_warned_thirty_days_before(
    settings: ServiceSettings, folder: Path, days: int, warned: bool
) -> None:
    (folder / "a.pem").write_bytes(certificate(days))
    with capture_logs() as logs:
        credentials(settings)
    assert any(line["event"] == "credential.expires_soon" for line in logs) is warned


def test_the_warning_of_an_expiring_credential_comes_once_a_day(
    settings: ServiceSettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.pem").write_bytes(certificate(20))
    with capture_logs() as logs:
        for _ in range(3):
            credentials(settings)
    assert [(line["log_level"], line["days"]) for line in logs] == [("warning", 19)]
    a_day_on = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    monkeypatch.setattr(
        "shared.entra.credentials.datetime", type("Later", (datetime.datetime,), {"now": lambda _: a_day_on})
    )
    with capture_logs() as logs:
        for _ in range(3):
            credentials(settings)
    assert [line["days"] for line in logs] == [18]


@pytest.mark.parametrize(
    ("name", "content"), [("a.pem", "no PEM"), ("a.secret", ""), ("a.secret", "s\nexpires soon"), (None, "")]
)
def test_none_or_an_unreadable_one_is_said_and_never_shown(
    settings: ServiceSettings, folder: Path, name: str | None, content: str
) -> None:
    if name:
        (folder / name).write_text(content)
    with pytest.raises(ConfigurationError, match=r"(?i)credential"):
        credentials(settings)
    with pytest.raises(EntraMisconfigured):
        Entra(settings).ask(CONTOSO, lambda application: None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.pem", ""),
        ("new.pem", "-----BEGIN PRIVATE KEY-----\nMIIE"),
        ("new.jwt", "\n"),
        ("new.secret", ""),
        ("new.secret", "s3cret-s3cret\nexpires 31.01.2027"),
        ("new.secret", "s3cret-s3cret\nexpires \nsoon"),
    ],
)
def test_an_unreadable_credential_is_logged_once_and_others_serve(
    settings: ServiceSettings, folder: Path, name: str, content: str
) -> None:
    (folder / "old.secret").write_text("old")
    (folder / name).write_text(content)
    with capture_logs() as logs:
        assert [names(settings) for _ in range(3)] == [["old.secret"]] * 3
    assert [(line["log_level"], line["credential"]) for line in logs] == [("error", name)]
    assert "s3cret" not in str(logs)
    (folder / name).write_text({".pem": certificate(100).decode()}.get((folder / name).suffix, "new"))
    assert set(names(settings)) == {"old.secret", name}


@pytest.fixture
async def microsoft(simulator: Simulator) -> AsyncIterator[SimulatorSettings]:
    query = {"client_id": simulator.settings.client_id, "redirect_uri": simulator.settings.redirect_uris[0]}
    query["scope"] = "https://graph.microsoft.com/.default"
    url = f"{simulator.settings.http_base_url}/organizations/v2.0/adminconsent?{urlencode(query)}"
    async with SimulatorClient(simulator.settings.http_base_url) as client:
        await client.approve_admin_consent(url, "admin@contoso.example")
        yield simulator.settings


async def test_the_next_credential_serves_when_entra_refuses_the_first(
    settings: ServiceSettings, folder: Path, microsoft: SimulatorSettings
) -> None:
    (folder / "1.secret").write_text("not the application's")
    (folder / "2.secret").write_text(microsoft.client_secret)
    at = {"entra_authority": microsoft.https_base_url, "client_id": microsoft.client_id}
    entra = Entra(settings.model_copy(update=at | {"ca_bundle": microsoft.state_dir / "ca.pem"}))

    def ask() -> dict[str, Any]:
        return entra.ask(CONTOSO, lambda application: application.acquire_token_for_client(entra.graph_default)) or {}

    with capture_logs() as first:
        assert "access_token" in await asyncio.to_thread(ask)
    assert [(line["credential"], line["aadsts"]) for line in first if line["event"] == "credential.refused"] == [
        ("1.secret", 7000215)
    ]
    with capture_logs() as second:
        assert "access_token" in await asyncio.to_thread(ask)
    assert not [line for line in second if line["event"] == "credential.refused"], "the good one is tried first now"
    assert microsoft.client_secret not in str(first + second)
    (folder / "2.secret").unlink()
    assert (await asyncio.to_thread(ask))["error"] == "invalid_client"


async def test_a_tenant_without_the_application_is_asked_once_only(
    settings: ServiceSettings, folder: Path, microsoft: SimulatorSettings
) -> None:
    (folder / "1.secret").write_text(microsoft.client_secret)
    (folder / "2.secret").write_text("not the application's")
    async with SimulatorClient(microsoft.http_base_url) as client:
        await client.do("policy_set", tenant=FABRIKAM, unknown_number=7000229)
    at = {"entra_authority": microsoft.https_base_url, "client_id": microsoft.client_id}
    entra = Entra(settings.model_copy(update=at | {"ca_bundle": microsoft.state_dir / "ca.pem"}))
    with capture_logs() as written, pytest.raises(EntraTenantGone) as refused:
        await asyncio.to_thread(acquire, entra, FABRIKAM)
    assert (refused.value.number, refused.value.error) == (7000229, "invalid_client")
    assert not [line for line in written if line["event"] == "credential.refused"]
