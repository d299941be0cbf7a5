"""Resource data in notifications: encrypted for the subscriber's certificate, vouched for by validation tokens.

The symmetric key comes from the seed; what RSA makes of it is never twice the same, which its padding wants so.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from m365_simulator.core import Simulator
from m365_simulator.faults import fault
from m365_simulator.store import Row

from .striking import strikes

PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
KEY_BITS = range(2048, 4097)
TAMPER = fault("tamper_signature", "the dataSignature of encrypted content is not that of its data")
CAPITAL = fault("capital_encrypted_content", "the key is spelt EncryptedContent, as on one of Microsoft's pages")
OLD_CERTIFICATE = fault("old_certificate", "content is encrypted for the certificate before the last change")
WRONGS = ["audience", "expired", "tenant", "publisher", "issuer", "signature", "unknown_key", "unsigned", "missing"]
BAD_TOKEN = fault(
    "bad_validation_token",
    f"a validation token is not good; wrong: {', '.join(WRONGS)}",
    "wrong",
)
FOREIGN = "99999999-0000-4000-8000-000000000099"


def certificate_of(text: str) -> x509.Certificate:
    """Raises ``ValueError``. Base64 of DER, or of PEM, which Microsoft's samples have as well."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64.") from error
    return x509.load_pem_x509_certificate(raw) if raw.startswith(b"-----") else x509.load_der_x509_certificate(raw)


def bad_certificate(text: str) -> str | None:
    """Why it cannot be used, or None."""
    try:
        key = certificate_of(text).public_key()
    except ValueError as error:
        return str(error)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in KEY_BITS:
        return "its key must be RSA of 2048 to 4096 bits."
    return None


def sealed(simulator: Simulator, subscription: Row, data: Row) -> Row:
    """The item's part: ``encryptedContent``, or what a fault makes of it."""
    tenant, about = subscription["tenant"], {"subscription": subscription["id"]}
    text, name = subscription["encryptionCertificate"], subscription["encryptionCertificateId"]
    before = subscription.get("certificate_before")
    if before and strikes(simulator, OLD_CERTIFICATE, tenant, **about):
        text, name = before["encryptionCertificate"], before["encryptionCertificateId"]
    content = encrypt(certificate_of(text), name, json.dumps(data).encode(), _fresh_key(simulator))
    if strikes(simulator, TAMPER, tenant, **about):
        content["dataSignature"] = base64.b64encode(bytes(32)).decode()
    spelling = "EncryptedContent" if strikes(simulator, CAPITAL, tenant, **about) else "encryptedContent"
    return {spelling: content}


def _fresh_key(simulator: Simulator) -> bytes:
    return hashlib.sha256(simulator.ids.text("data key", 64).encode()).digest()


def encrypt(certificate: x509.Certificate, name: str, plain: bytes, key: bytes) -> Row:
    """As the resource-data page describes it; ``key`` is 32 bytes."""
    public = certificate.public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("An RSA certificate is expected.")
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    data = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(hmac.digest(key, data, "sha256")).decode(),
        "dataKey": base64.b64encode(public.encrypt(key, oaep)).decode(),
        "encryptionCertificateId": name,
        "encryptionCertificateThumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),
    }


def validation_tokens(simulator: Simulator, pairs: list[tuple[str, str]]) -> list[str]:
    """One per pair of application and tenant, in the order of the items."""
    found = []
    for app, tenant in dict.fromkeys(pairs):
        struck = strikes(simulator, BAD_TOKEN, tenant, app=app)
        wrong = str((struck or {}).get("wrong", "audience")) if struck else ""
        if wrong != "missing":
            found.append(validation_token(simulator, app, tenant, wrong))
    return found


def validation_token(simulator: Simulator, app: str, tenant: str, wrong: str = "", *, version: int = 1) -> str:
    """A version 1 token, as Microsoft's page shows it, or version 2; ``wrong`` names what is not right about it."""
    tid = FOREIGN if wrong == "tenant" else tenant
    issuer = f"https://sts.windows.net/{tid}/"
    if version == 2:
        issuer = f"{simulator.settings.https_base_url}/{tid}/v2.0"
    claims: dict[str, Any] = {
        "aud": FOREIGN if wrong == "audience" else app,
        "iss": "https://issuer.example/" if wrong == "issuer" else issuer,
        "azp" if version == 2 else "appid": FOREIGN if wrong == "publisher" else PUBLISHER,
        "tid": tid,
        "ver": f"{version}.0",
        "uti": simulator.ids.passing(),
    }
    if wrong == "expired":
        claims |= {"iat": int(time.time()) - 7200, "nbf": int(time.time()) - 7200, "exp": int(time.time()) - 3600}
    token = (simulator.prospo if wrong == "unknown_key" else simulator.entra).sign(claims)
    head, _, signature = token.rpartition(".")
    other = "B" if signature.startswith("A") else "A"
    spoilt = {"signature": f"{head}.{other}{signature[1:]}", "unsigned": f"{head}."}
    return spoilt.get(wrong, token)
