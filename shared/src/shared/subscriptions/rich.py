"""Notifications with resource data: whether Graph sent them, and the key ring that opens them.

Basic notifications are proven by their ``clientState`` alone. Those with resource data carry ``validationTokens``
beside it, one per application and tenant, which Microsoft Entra signed for Graph's publisher of change notifications;
one bad token makes the whole batch hostile. The data is encrypted for a certificate of ours: its signature is compared,
in constant time, before anything is decrypted. What was decrypted is returned and nothing else; it is in no log and no
error. Source: Microsoft's page on change notifications with resource data.
"""

import base64
import binascii
import hmac
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.x509.oid import NameOID

from shared.settings import ServiceSettings
from shared.web.issuer_keys import IssuerKeys

MAX_TOKENS = 100
KEY_BITS = 3072
CERTIFICATE_DAYS = 730
_LEEWAY_S = 60
_AWAY = "Microsoft's signing keys cannot be fetched right now. Send the notifications again."
_FETCH_S = 1.0
"""Graph waits three seconds for the whole answer."""


class NotGenuine(Exception):
    """A batch that somebody else sent, or that came to the wrong address; the sentence says what is wrong, to us."""


class Unopenable(Exception):
    """Resource data that was changed on the way, or is for a certificate that is not in the ring."""


@dataclass(frozen=True, slots=True)
class CertificateRing:
    """Certificates by id. ``current`` is for new and renewed subscriptions.

    Keep an old one until every subscription made with it was renewed and four more hours have passed.
    """

    keys: dict[str, rsa.RSAPrivateKey]
    certificates: dict[str, x509.Certificate]
    current: str

    @classmethod
    def of(cls, pems: Mapping[str, bytes], current: str) -> "CertificateRing":
        """Read certificates that ``new_certificate`` made, by id. It does not check whether a key is a good one."""
        keys: dict[str, rsa.RSAPrivateKey] = {}
        for name, pem in pems.items():
            # Testing its primes takes a tenth of a second, and each notification with resource data reads its ring.
            key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
            if not isinstance(key, rsa.RSAPrivateKey):
                raise TypeError(f"The certificate {name} has no RSA key.")
            keys[name] = key
        return cls(keys, {name: x509.load_pem_x509_certificate(pem) for name, pem in pems.items()}, current)

    def wanted(self) -> dict[str, Any]:
        """The fields of a subscription that name the current certificate."""
        der = self.certificates[self.current].public_bytes(serialization.Encoding.DER)
        return {
            "encryptionCertificate": base64.b64encode(der).decode(),
            "encryptionCertificateId": self.current,
        }

    def open(self, content: dict[str, Any]) -> dict[str, Any]:
        """The resource in an item's ``encryptedContent``. Raises ``Unopenable``."""
        key = self.keys.get(str(content.get("encryptionCertificateId")))
        if key is None:
            raise Unopenable("The certificate it was encrypted for is not in the ring.")
        data, signature = _decoded(content, "data"), _decoded(content, "dataSignature")
        try:
            secret = key.decrypt(_decoded(content, "dataKey"), _OAEP)
        except ValueError:
            raise Unopenable("Its data key is not for the certificate it names.") from None
        if not hmac.compare_digest(hmac.digest(secret, data, "sha256"), signature):
            raise Unopenable("The signature of its data is wrong.")
        return _resource(_decrypted(secret, data))


def new_certificate(bits: int = KEY_BITS) -> tuple[str, bytes]:
    """Its id, and its private key with the certificate; some tenths of a second of work for the processor."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    made = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + _self_signed(key).public_bytes(pem)
    return uuid.uuid4().hex[:12], made


_OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - Microsoft's choice of hash


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Prospo change notifications")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    return made.not_valid_after(now + timedelta(days=CERTIFICATE_DAYS)).sign(key, hashes.SHA256())


def _decoded(content: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(content[name], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise Unopenable(f"It has no readable {name}.") from None


def _decrypted(secret: bytes, data: bytes) -> bytes:
    """AES-256 in CBC mode; the initial vector is the first half of the key."""
    if len(secret) != 32:
        raise Unopenable("Its data key is not of 32 bytes.")
    decryptor, unpadder = Cipher(algorithms.AES(secret), modes.CBC(secret[:16])).decryptor(), PKCS7(128).unpadder()
    try:
        return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise Unopenable("Its data cannot be decrypted.") from None


def _resource(plain: bytes) -> dict[str, Any]:
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unopenable("Its data is not a JSON object.")
    return found


class ValidationTokens:
    """Verifies validation tokens against Microsoft Entra's published keys, as this platform's application."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        url = f"{settings.entra_authority.rstrip('/')}/common/discovery/v2.0/keys"
        self.keys = IssuerKeys(settings, url, timeout_s=_FETCH_S, away=("microsoft_busy", _AWAY))

    async def check(self, tokens: Any, tenants: Iterable[str]) -> None:
        """Return when every token is good and the tokens are of the items' ``tenants``, no more and no fewer.

        Raises ``NotGenuine``, or ``Unavailable`` when Microsoft's keys cannot be fetched.
        """
        if not isinstance(tokens, list) or not 0 < len(tokens) <= MAX_TOKENS:
            raise NotGenuine("A batch with resource data needs validation tokens.")
        vouched = {await self._tenant(token) for token in tokens}
        named = {tenant.lower() for tenant in tenants}
        if named and named != vouched:
            raise NotGenuine("The tokens are of other tenants than the notifications.")

    async def _tenant(self, token: Any) -> str:
        """Whom the token vouches for."""
        try:
            claims = await self.keys.claims(
                token,
                "RS256",
                audience=self._settings.client_id,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "tid"], "strict_aud": True},
            )
        except (jwt.InvalidTokenError, TypeError, AttributeError, ValueError) as error:
            raise NotGenuine(f"A token is not good ({type(error).__name__}).") from None
        tid = str(claims["tid"]).lower()
        v1_issuer, v2_issuer = self._settings.token_issuers(tid)
        is_v2 = claims.get("ver") == "2.0"
        issuer, publisher = (v2_issuer, claims.get("azp")) if is_v2 else (v1_issuer, claims.get("appid"))
        if claims["iss"] != issuer or publisher != self._settings.notification_publisher:
            raise NotGenuine("A token is not from Graph's publisher of change notifications.")
        return tid
