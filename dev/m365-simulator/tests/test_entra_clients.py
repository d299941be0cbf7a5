"""How an application proves itself: secrets and certificates, two at a time, and what it gets by itself."""

import datetime
import time
import uuid
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from m365_simulator.directory import CONTOSO
from m365_simulator.entra.clients import ASSERTION_TYPE

Made = tuple[rsa.RSAPrivateKey, str]


def make_certificate() -> Made:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Prospo")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    certificate = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    return key, certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def certificate() -> Made:
    return make_certificate()


@pytest.fixture(scope="module")
def stranger() -> Made:
    return make_certificate()


def refused(answer: Any) -> tuple[int, str, int]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_codes"][0]


class Prover:
    """Makes client assertions; what is given replaces the right thing."""

    def __init__(self, entra: Any, key: rsa.RSAPrivateKey, registered: dict[str, str]) -> None:
        self.entra, self.key, self.registered = entra, key, registered
        self.client_id = entra.client["client_id"]

    def assertion(self, *, key: Any = None, alg: str = "PS256", headers: Any = None, **claims: Any) -> str:
        name = "x5t#S256" if alg == "PS256" else "x5t"
        now = int(time.time())
        base = self.entra.simulator.settings.https_base_url
        said = {"aud": f"{base}/{CONTOSO}/oauth2/v2.0/token", "iss": self.client_id, "sub": self.client_id}
        said |= {"jti": str(uuid.uuid4()), "nbf": now, "exp": now + 600, **claims}
        given = {name: self.registered[name]} if headers is None else headers
        return jwt.encode(said, key or self.key, alg, given)

    async def ask(self, assertion: str, **form: str | None) -> Any:
        given = {"client_secret": None, "client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
        return await self.entra.app_token(CONTOSO, **(given | form))


@pytest.fixture
async def prover(entra: Any, certificate: Made) -> Prover:
    await entra.do("consent_give", tenant="contoso.example")
    registered = await entra.do("certificate_add", pem=certificate[1])
    return Prover(entra, certificate[0], registered)


@pytest.mark.behaviour(12)
@pytest.mark.parametrize("alg", ["PS256", "RS256"])
async def test_a_certificate_proves_the_application(prover: Prover, alg: str) -> None:
    answer = await prover.ask(prover.assertion(alg=alg))
    assert answer.status_code == 200, answer.text
    claims = prover.entra.simulator.entra.read(answer.json()["access_token"], "https://graph.microsoft.com")
    assert claims["appidacr"] == "2"


@pytest.mark.behaviour(12)
async def test_an_assertion_with_a_wrong_claim_or_time_is_refused(prover: Prover) -> None:
    now = int(time.time())
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"aud": "https://login.microsoftonline.com/x/oauth2/v2.0/token"}, 700023),
        ({"aud": None}, 700023),
        ({"iss": "another"}, 700021),
        ({"sub": "another"}, 700021),
        ({"exp": "soon"}, 50027),
        ({"exp": now - 60}, 700024),
        ({"nbf": now + 300}, 700024),
        ({"exp": now + 3600}, 700024),
    ]
    for claims, number in wrong:
        assert refused(await prover.ask(prover.assertion(**claims))) == (401, "invalid_client", number), claims


@pytest.mark.behaviour(12)
async def test_an_assertion_of_another_key_thumbprint_or_algorithm_is_refused(prover: Prover, stranger: Made) -> None:
    strange = [
        prover.assertion(key=stranger[0]),
        prover.assertion(headers={"x5t#S256": "bm9ib2R5"}),
        prover.assertion(headers={}),
        jwt.encode({"iss": prover.client_id, "sub": prover.client_id}, "s" * 32, "HS256", prover.registered),
        "not-a-token",
    ]
    for assertion in strange:
        status, error, number = refused(await prover.ask(assertion))
        assert (status, error, number in (700027, 50027)) == (401, "invalid_client", True)
    wrong_type = await prover.ask(prover.assertion(), client_assertion_type="saml")
    assert refused(wrong_type)[1] == "invalid_client"


@pytest.mark.behaviour(12)
async def test_a_repeated_assertion_is_refused_where_the_application_wants_it(prover: Prover) -> None:
    """MSAL repeats one for nine minutes, so it is taken unless asked otherwise."""
    same = prover.assertion()
    assert [(await prover.ask(same)).status_code for _ in range(2)] == [200, 200]
    await prover.entra.do("application_change", single_use_assertions=True)
    same = prover.assertion()
    assert [(await prover.ask(same)).status_code for _ in range(2)] == [200, 401]
    assert refused(await prover.ask(prover.assertion(jti="")))[2] == 50027


@pytest.mark.behaviour(12)
async def test_two_certificates_count_until_one_is_removed_or_over(prover: Prover, stranger: Made) -> None:
    second = await prover.entra.do("certificate_add", pem=stranger[1], lasts_s=60)
    newer = Prover(prover.entra, stranger[0], second)
    assert [(await one.ask(one.assertion())).status_code for one in (prover, newer)] == [200, 200]
    await prover.entra.world.control.advance(61, clock="service")
    assert refused(await newer.ask(newer.assertion()))[2] == 700027
    await prover.entra.do("certificate_remove", key_id=prover.registered["key_id"])
    assert refused(await prover.ask(prover.assertion()))[2] == 700027


@pytest.mark.behaviour(12)
async def test_two_secrets_count_and_an_expired_one_says_so(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    second = (await entra.do("secret_add", lasts_s=3600))["secret"]
    assert (await entra.app_token()).status_code == 200
    assert (await entra.app_token(client_secret=second)).status_code == 200
    await entra.do("secret_expire")
    assert refused(await entra.app_token()) == (401, "invalid_client", 7000222)
    await entra.world.control.advance(3601, clock="service")
    assert refused(await entra.app_token(client_secret=second)) == (401, "invalid_client", 7000222)
    await entra.do("secret_remove")
    assert refused(await entra.app_token()) == (401, "invalid_client", 7000215)


@pytest.mark.behaviour(12)
async def test_a_secret_may_come_by_http_basic_form_encoded(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    secret = "a:b~c+d%/"
    await entra.do("secret_add", secret=secret)
    name = entra.client["client_id"]
    form = {"grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}
    for sent, status in ((quote_plus(secret), 200), (quote_plus("wrong"), 401)):
        basic = b64encode(f"{name}:{sent}".encode()).decode()
        answer = await entra.http.post(
            f"/{CONTOSO}/oauth2/v2.0/token", data=form, headers={"Authorization": f"Basic {basic}"}
        )
        assert answer.status_code == status


@pytest.mark.behaviour(12)
async def test_an_application_asks_one_tenant_for_everything(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    for tenant, scope, number in (
        ("common", "https://graph.microsoft.com/.default", 9001023),
        ("organizations", "https://graph.microsoft.com/.default", 9001023),
        ("contoso.example", "https://graph.microsoft.com/User.Read.All", 1002012),
        ("contoso.example", "User.Read.All", 1002012),
        ("contoso.example", None, 900144),
        ("contoso.example", "https://nothing.example/.default", 500011),
        ("nobody.example", "https://graph.microsoft.com/.default", 90002),
    ):
        assert refused(await entra.app_token(tenant, scope=scope))[2] == number, (tenant, scope)


@pytest.mark.behaviour(12)
async def test_its_roles_are_those_of_the_consent_and_it_gets_no_refresh_token(entra: Any) -> None:
    assert refused(await entra.app_token()) == (400, "unauthorized_client", 700016)
    await entra.do("application_change", roles=["User.Read.All", "Mail.Read"])
    await entra.do("consent_give", tenant="contoso.example")
    said = (await entra.app_token()).json()
    assert not {"refresh_token", "id_token", "scope"} & set(said)
    claims = entra.simulator.entra.read(said["access_token"], "https://graph.microsoft.com")
    assert claims["roles"] == ["User.Read.All", "Mail.Read"]
    await entra.do("application_enable", tenant="contoso.example", enabled=False)
    assert refused(await entra.app_token()) == (400, "unauthorized_client", 7000112)
