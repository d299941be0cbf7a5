"""Behaviour 43: resource data is encrypted and vouched for as Microsoft describes it, and wrongly so on demand."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from m365_simulator.directory import CONTOSO, FABRIKAM
from m365_simulator.notifying.sealing import PUBLISHER, validation_token

ALL = "communications/onlineMeetings/getAllTranscripts"


def certificate(key: Any, encoding: Encoding = Encoding.DER) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "notifications")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return base64.b64encode(made.sign(key, hashes.SHA256()).public_bytes(encoding)).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def rich(key: Any, name: str = "one") -> dict[str, Any]:
    return {"includeResourceData": True, "encryptionCertificate": certificate(key), "encryptionCertificateId": name}


def opened(key: rsa.RSAPrivateKey, content: dict[str, str]) -> Any:
    """As the resource-data page says to do it; the signature comes first."""
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    secret = key.decrypt(base64.b64decode(content["dataKey"]), oaep)
    data = base64.b64decode(content["data"])
    assert len(secret) == 32
    assert hmac.digest(secret, data, "sha256") == base64.b64decode(content["dataSignature"])
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    return json.loads(padded[: -padded[-1]])


@pytest.mark.behaviour(43)
async def test_the_data_opens_with_the_certificates_key_each_item_by_its_own(watcher: Any, key: Any) -> None:
    await watcher.subscribe(ALL, **rich(key))
    first, second = watcher.tell(ALL, meetingId="m", createdDateTime=None), watcher.tell(ALL, text="ü" * 40)
    await watcher.after()
    one, two = (item["encryptedContent"] for item in watcher.address.items)
    assert opened(key, one) == {"id": first, "meetingId": "m", "createdDateTime": None}
    assert opened(key, two) == {"id": second, "text": "ü" * 40}
    assert one["encryptionCertificateId"] == "one"
    made = x509.load_der_x509_certificate(base64.b64decode(watcher.simulator.store.all("subscriptions")[0]
                                                           ["encryptionCertificate"]))  # fmt: skip
    assert one["encryptionCertificateThumbprint"] == made.fingerprint(hashes.SHA1()).hex().upper()
    assert one["dataKey"] != two["dataKey"]
    assert all(item["resourceData"]["id"] in (first, second) for item in watcher.address.items)
    assert "encryptedContent" not in json.dumps([row["item"].get("encryptedContent", {}).get("data")
                                                 for row in await watcher.log()])  # fmt: skip


@pytest.mark.behaviour(43)
async def test_basic_notifications_have_no_tokens_and_rich_ones_one_per_tenant(watcher: Any, key: Any) -> None:
    await watcher.subscribe("users", changeType="updated")
    await watcher.subscribe(ALL, **rich(key))
    fabrikam = watcher.world.graph(watcher.world.app_token(FABRIKAM, "OnlineMeetingTranscript.Read.All"))
    switch = {"tenant": FABRIKAM, "transcripts": True}
    await watcher.world.control.do("tenant_change", **switch)
    await watcher.subscribe(ALL, graph=fabrikam, **rich(key))
    watcher.tell("users", change="updated")
    for tenant in (CONTOSO, FABRIKAM, CONTOSO):
        watcher.tell(ALL, tenant=tenant)
    await watcher.after()
    basic, sealed = watcher.address.received
    assert set(basic) == {"value"}
    assert len(sealed["value"]) == 3
    keys = {one["kid"]: jwt.PyJWK(one).key for one in watcher.simulator.entra.jwks()["keys"]}
    claims = [
        jwt.decode(token, keys[jwt.get_unverified_header(token)["kid"]], ["RS256"], audience=settings_id(watcher))
        for token in sealed["validationTokens"]
    ]
    assert [one["tid"] for one in claims] == [CONTOSO, FABRIKAM]
    for one in claims:
        assert one["iss"] == f"https://sts.windows.net/{one['tid']}/"
        assert (one["appid"], one["ver"]) == (PUBLISHER, "1.0")


def settings_id(watcher: Any) -> str:
    return str(watcher.simulator.settings.client_id)


@pytest.mark.behaviour(43)
async def test_after_a_rotation_the_new_certificate_is_used_the_old_on_demand(
    watcher: Any, key: Any, new_key: Any
) -> None:
    made = await watcher.subscribe(ALL, **rich(key, "old"))
    queued = watcher.tell(ALL)
    change = {name: value for name, value in rich(new_key, "new").items() if name != "includeResourceData"}
    answer = await watcher.graph.patch(f"/subscriptions/{made['id']}", json=change)
    assert answer.json()["encryptionCertificateId"] == "new"
    fresh = watcher.tell(ALL)
    await watcher.world.control.fault("old_certificate")
    late = watcher.tell(ALL)
    await watcher.after()
    contents = [item["encryptedContent"] for item in watcher.address.items]
    assert [one["encryptionCertificateId"] for one in contents] == ["old", "new", "old"]
    found = [opened(which, one)["id"] for which, one in zip((key, new_key, key), contents, strict=True)]
    assert found == [queued, fresh, late]


@pytest.mark.behaviour(43)
async def test_signatures_are_tampered_with_and_keys_are_respelt_on_demand(watcher: Any, key: Any) -> None:
    await watcher.subscribe(ALL, **rich(key))
    await watcher.world.control.fault("tamper_signature")
    await watcher.world.control.fault("capital_encrypted_content", skip=1)
    watcher.tell(ALL)
    capital = watcher.tell(ALL)
    await watcher.after()
    tampered, other = watcher.address.items
    with pytest.raises(AssertionError):
        opened(key, tampered["encryptedContent"])
    assert opened(key, other["EncryptedContent"])["id"] == capital
    assert "encryptedContent" not in other


WRONG = {
    "audience": lambda claims, _app: claims["aud"] != _app,
    "expired": lambda claims, _app: claims["exp"] < datetime.now(UTC).timestamp(),
    "tenant": lambda claims, _app: claims["tid"] != CONTOSO,
    "publisher": lambda claims, _app: claims["appid"] != PUBLISHER,
    "issuer": lambda claims, _app: claims["iss"] != f"https://sts.windows.net/{CONTOSO}/",
}


@pytest.mark.behaviour(43)
@pytest.mark.parametrize("wrong", [*WRONG, "signature", "unknown_key", "unsigned", "missing"])
async def test_bad_validation_tokens_are_sent_on_demand(watcher: Any, key: Any, wrong: str) -> None:
    await watcher.subscribe(ALL, **rich(key))
    await watcher.world.control.fault("bad_validation_token", wrong=wrong, match={"tenant": "contoso.example"})
    for _ in range(2):
        watcher.tell(ALL)
        await watcher.after()
    bad, good = (body["validationTokens"] for body in watcher.address.received)
    keys = {one["kid"]: jwt.PyJWK(one).key for one in watcher.simulator.entra.jwks()["keys"]}
    app = settings_id(watcher)
    assert jwt.decode(good[0], keys[jwt.get_unverified_header(good[0])["kid"]], ["RS256"], audience=app)
    if wrong == "missing":
        assert bad == []
        return
    options = {"verify_aud": False, "verify_exp": False}
    kid = jwt.get_unverified_header(bad[0])["kid"]
    if wrong in WRONG:
        assert WRONG[wrong](jwt.decode(bad[0], keys[kid], ["RS256"], options=options), app)
    elif wrong == "unknown_key":
        assert kid not in keys
    else:
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(bad[0], keys[kid], ["RS256"], options=options)


@pytest.mark.behaviour(43)
async def test_a_token_of_version_2_names_its_publisher_in_azp(watcher: Any) -> None:
    token = validation_token(watcher.simulator, "app", CONTOSO, version=2)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["azp"], claims["iss"].endswith(f"/{CONTOSO}/v2.0"), "appid" in claims) == (PUBLISHER, True, False)


@pytest.mark.behaviour(38, 43)
async def test_outlook_wants_the_properties_selected_and_gives_a_day(watcher: Any, key: Any) -> None:
    resource = f"users/{watcher.oid()}/messages"
    answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(resource, **rich(key)))
    assert "$select" in answer.json()["error"]["message"]
    selected = f"{resource}?$select=subject"
    answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(selected, minutes=1_441, **rich(key)))
    assert answer.json()["error"]["message"] == "Subscription expiration can only be 1440 minutes in the future."
    await watcher.subscribe(selected, minutes=1_439, changeType="created,deleted", **rich(key))
    created = watcher.tell(resource, subject="s", bodyPreview="hidden")
    watcher.tell(resource, change="deleted")
    await watcher.after()
    rich_body, basic_body = watcher.address.received
    assert opened(key, rich_body["value"][0]["encryptedContent"]) == {"id": created, "subject": "s"}
    assert "encryptedContent" not in basic_body["value"][0]


@pytest.mark.behaviour(38)
async def test_a_certificate_is_rsa_of_enough_bits_and_its_resource_has_data(watcher: Any, key: Any) -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for bad in (small, ec.generate_private_key(ec.SECP256R1())):
        answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(ALL, **rich(bad)))
        assert "2048 to 4096" in answer.json()["error"]["message"]
    answer = await watcher.graph.post("/subscriptions", json=watcher.wanted("users", changeType="updated", **rich(key)))
    assert "includeResourceData" in answer.json()["error"]["message"]
    pem = rich(key) | {"encryptionCertificate": certificate(key, Encoding.PEM)}
    made = await watcher.subscribe(ALL, **pem)
    path = f"/subscriptions/{made['id']}"
    answer = await watcher.graph.patch(path, json={"encryptionCertificate": "bm8="})
    assert "not usable" in answer.json()["error"]["message"]
    answer = await watcher.graph.patch(path, json={"clientState": "other"})
    assert "can be changed" in answer.json()["error"]["message"]


@pytest.mark.behaviour(42)
async def test_the_ids_of_a_mailbox_are_the_lasting_ones_for_who_prefers_them(watcher: Any) -> None:
    resource = f"users/{watcher.oid()}/messages"
    body = watcher.wanted(resource)
    answer = await watcher.graph.post("/subscriptions", json=body, headers={"Prefer": 'IdType="ImmutableId"'})
    assert answer.status_code == 201
    (row,) = watcher.simulator.store.all("subscriptions")
    assert row["immutable"] is True
