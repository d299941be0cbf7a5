"""Tokens that must not be taken, by what is wrong with them: a person's, and a service's."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.testing.fixtures import ISSUER, PlatformKeys

Claims = dict[str, Any]
_CURVE = ec.generate_private_key(ec.SECP256R1())
HS256 = {"alg": "HS256", "typ": "JWT", "kid": "test"}
ES256 = HS256 | {"alg": "ES256"}
_STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _part(value: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed_with(secret: bytes, claims: Claims, kid: str | None = "test") -> str:
    """The algorithm confusion: HS256 with a public key as the secret. PyJWT refuses to make it."""
    header = {"alg": "HS256", "typ": "JWT"} | ({"kid": kid} if kid else {})
    signing = f"{_part(header)}.{_part(claims)}"
    signature = hmac.new(secret, signing.encode(), "sha256").digest()
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _without(claims: Claims, name: str) -> Claims:
    return {key: value for key, value in claims.items() if key != name}


def _cut(token: str) -> str:
    """The same token without its signature."""
    return token.rpartition(".")[0] + "."


def of_a_person(keys: PlatformKeys) -> dict[str, str]:
    now = int(time.time())
    good: Claims = {"iss": ISSUER, "aud": "prospo-m365", "sub": "anna", "org_id": "acme", "roles": ["org_admin"]}
    good["exp"] = now + 300
    public = keys.issuer_key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    stranger = jwt.algorithms.RSAAlgorithm.to_jwk(_STRANGER.public_key(), as_dict=True)

    def by_issuer(claims: Claims, **header: Any) -> str:
        return jwt.encode(claims, keys.issuer_key, "RS256", {"kid": "test"} | header)

    return {
        "no token": "",
        "nonsense": "nonsense",
        "algorithm none": jwt.encode(good, None, algorithm="none", headers={"kid": "test"}),
        "HS256 with the public key": signed_with(pem, good),
        "ES256 with the id of the issuer's RSA key": signed_with(b"", good).replace(_part(HS256), _part(ES256)),
        "ES256 with the id of the issuer's RSA key, signed": jwt.encode(good, _CURVE, "ES256", {"kid": "test"}),
        "NUL in a claim": by_issuer(good | {"org_id": "ac\x00me"}),
        "RS512": jwt.encode(good, keys.issuer_key, "RS512", {"kid": "test"}),
        "no signature": _cut(by_issuer(good)),
        "another key under a known id": jwt.encode(good, _STRANGER, "RS256", {"kid": "test"}),
        "a key of its own in the header": jwt.encode(good, _STRANGER, "RS256", {"kid": "test", "jwk": stranger}),
        "unknown key": by_issuer(good, kid="elsewhere"),
        "no key id": jwt.encode(good, keys.issuer_key, "RS256"),
        "another issuer": by_issuer(good | {"iss": "https://evil.example"}),
        "no issuer": by_issuer(_without(good, "iss")),
        "another audience": by_issuer(good | {"aud": "another-api"}),
        "no audience": by_issuer(_without(good, "aud")),
        "expired": by_issuer(good | {"exp": now - 60}),
        "never expires": by_issuer(_without(good, "exp")),
        "not valid yet": by_issuer(good | {"nbf": now + 600}),
        "no person": by_issuer(_without(good, "sub")),
        "no organisation": by_issuer(good | {"org_id": ""}),
        "organisation of another type": by_issuer(good | {"org_id": ["acme"]}),
        "roles that are no list": by_issuer(good | {"roles": "org_admin"}),
        "a service's token": of_service(keys, "meetings", {"iss": "meetings", "aud": "prospo-m365", "exp": now + 300}),
    }


def of_service(keys: PlatformKeys, signer: str, claims: Claims) -> str:
    key = serialization.load_pem_private_key((keys.private / f"{signer}.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return jwt.encode({"iat": int(time.time())} | claims, key, algorithm="EdDSA")


def of_services(keys: PlatformKeys, callee: str) -> dict[str, str]:
    now = int(time.time())
    caller = "meetings" if callee != "meetings" else "storage"
    good: Claims = {"iss": caller, "aud": callee, "iat": now, "exp": now + 300}
    public = (keys.public / f"{caller}.pem").read_bytes()

    def signed(claims: Claims, signer: str = caller) -> str:
        return jwt.encode(claims, (keys.private / f"{signer}.pem").read_bytes(), algorithm="EdDSA")

    return {
        "no token": "",
        "nonsense": "nonsense",
        "a person's token": keys.token(roles=("org_admin",)),
        "a person's token for the service": keys.token(roles=("org_admin",), aud=callee),
        "algorithm none": jwt.encode(good, None, algorithm="none"),
        "HS256 with the public key": signed_with(public, good, kid=None),
        "RS256": jwt.encode(good, _STRANGER, "RS256"),
        "no signature": _cut(signed(good)),
        "for another service": signed(good | {"aud": "mail" if callee != "mail" else "contacts"}),
        "for nobody": signed(_without(good, "aud")),
        "signed by another service": signed(good, "user-auth" if caller != "user-auth" else "storage"),
        "of an unknown service": signed(good | {"iss": "intruder"}),
        "of a file elsewhere": signed(good | {"iss": f"../public/{caller}"}),
        "of nobody": signed(_without(good, "iss")),
        "expired": signed(good | {"iat": now - 400, "exp": now - 60}),
        "never expires": signed(_without(good, "exp")),
        "of no known age": signed(_without(good, "iat")),
        "lives too long": signed(good | {"exp": now + 3600}),
        "not valid yet": signed(good | {"nbf": now + 120}),
    }
