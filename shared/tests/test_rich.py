"""The ring of certificates: made, loaded, rotated, and what it refuses to open."""

import base64
import hmac
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from m365_simulator.notifying import sealing
from shared.graph.words import moment
from shared.subscriptions.rich import CertificateRing, Unopenable, new_certificate

SECRET = {"id": "MSMj", "subject": "the secret of the house"}


@pytest.fixture(scope="module")
def ring() -> CertificateRing:
    return ring_of(new_certificate(2048))


def ring_of(*made: tuple[str, bytes]) -> CertificateRing:
    """The last one is the current one."""
    return CertificateRing.of(dict(made), made[-1][0])


def sealed(ring: CertificateRing, plain: bytes | None = None, *, secret: bytes | None = None) -> dict[str, Any]:
    """What Graph would send, made by the simulator, which shares no code with the ring."""
    text = json.dumps(SECRET).encode() if plain is None else plain
    wanted = ring.wanted()
    certificate = sealing.certificate_of(wanted["encryptionCertificate"])
    return sealing.encrypt(certificate, wanted["encryptionCertificateId"], text, secret or os.urandom(32))


def test_what_graph_encrypts_for_the_current_certificate_opens(ring: CertificateRing) -> None:
    assert ring.open(sealed(ring)) == SECRET
    assert sealing.bad_certificate(ring.wanted()["encryptionCertificate"]) is None


def test_an_old_certificate_opens_what_is_still_on_its_way() -> None:
    first, second = new_certificate(2048), new_certificate(2048)
    old, new = ring_of(first), ring_of(first, second)
    late = sealed(old)
    assert new.current != old.current
    assert set(new.keys) == {old.current, new.current}
    assert new.open(late) == SECRET
    assert new.wanted()["encryptionCertificateId"] == new.current
    with pytest.raises(Unopenable, match="not in the ring"):
        ring_of(second).open(late)


def changed(content: dict[str, Any], name: str) -> dict[str, Any]:
    """One bit of it is another."""
    raw = bytearray(base64.b64decode(content[name]))
    raw[-1] ^= 1
    return content | {name: base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: changed(content, "dataSignature"), "signature"),
        (lambda content: changed(content, "data"), "signature"),
        (lambda content: changed(content, "dataKey"), "data key"),
        (lambda content: content | {"dataSignature": ""}, "signature"),
        (lambda content: {k: v for k, v in content.items() if k != "dataSignature"}, "no readable dataSignature"),
        (lambda content: content | {"data": 7}, "no readable data"),
        (lambda content: content | {"data": "not base64!"}, "no readable data"),
        (lambda content: content | {"encryptionCertificateId": "another"}, "not in the ring"),
        (lambda content: {}, "not in the ring"),
    ],
)
def test_what_was_changed_on_the_way_does_not_open(ring: CertificateRing, spoil: Any, says: str) -> None:
    with pytest.raises(Unopenable, match=says) as refusal:
        ring.open(spoil(sealed(ring)))
    assert refusal.value.__cause__ is None
    assert "secret" not in str(refusal.value)


def test_the_signature_is_compared_before_anything_is_decrypted(
    ring: CertificateRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    decrypted: list[bytes] = []
    monkeypatch.setattr("shared.subscriptions.rich._decrypted", lambda _secret, data: decrypted.append(data) or b"{}")
    with pytest.raises(Unopenable):
        ring.open(changed(sealed(ring), "dataSignature"))
    assert decrypted == []
    ring.open(sealed(ring))
    assert len(decrypted) == 1


def test_signed_data_that_is_not_a_json_object_does_not_open(ring: CertificateRing) -> None:
    for plain in (b"", b"[]", b"no", b"\xff", b"[" * 100_000):
        with pytest.raises(Unopenable, match="JSON object"):
            ring.open(sealed(ring, plain))
    secret = os.urandom(32)
    content = sealed(ring, secret=secret)
    ragged = base64.b64decode(content["data"])[:-3]
    content["data"] = base64.b64encode(ragged).decode()
    content["dataSignature"] = base64.b64encode(hmac.digest(secret, ragged, "sha256")).decode()
    with pytest.raises(Unopenable, match="decrypted"):
        ring.open(content)


def test_a_key_of_another_size_does_not_open(ring: CertificateRing) -> None:
    with pytest.raises(Unopenable, match="32 bytes"):
        ring.open(sealed(ring, secret=os.urandom(16)))


def test_a_key_that_graph_does_not_take_makes_no_ring() -> None:
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    with pytest.raises(TypeError, match="no RSA key"):
        ring_of(("bad", key))
    with pytest.raises(ValueError, match="PEM"):
        ring_of(("bad", b"not a key"))


def test_a_time_is_read_with_seven_digits_and_without_a_zone() -> None:
    assert moment("2026-11-02T09:00:00.1234567+00:00") is not None
    zoneless = moment("2026-11-02T09:00:00")
    assert zoneless is not None
    assert zoneless.tzinfo is not None
    assert moment("soon") is None
