"""Signing keys and the tokens made with them."""

import base64
import functools
import hashlib
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .clock import Clock
from .store import Row, Store

GRAPH_AUDIENCE = "https://graph.microsoft.com"
ACCESS_TOKEN_S = 3600
ISSUED = "xms_issued"
"""Our own claim: when a token was made on the service clock. ``exp`` is real time, because callers check it."""


def encode_part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@functools.lru_cache(maxsize=64)
def private_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("An RSA key is expected.")
    return key


def _thumbprint(key: rsa.RSAPrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    return hashlib.sha256(f"{numbers.n}/{numbers.e}".encode()).hexdigest()


class Signer:
    """RS256 with at least two published keys (the next waits for a rotation), kept in the store under ``name``."""

    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self._store, self._name, self._clock = store, name, clock
        self._read: dict[str, dict[str, Any]] = {}
        for _ in range(2 - len(self._rows())):
            self._add()

    def _rows(self) -> list[Row]:
        """Oldest first; the current key is the one before the last."""
        return [row for row in self._store.all("signing_keys") if row["signer"] == self._name]

    def _add(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        kid = f"{self._name}-{_thumbprint(key)[:12]}"
        self._store.put("signing_keys", kid, {"kid": kid, "signer": self._name, "pem": pem.decode()})

    @property
    def current(self) -> Row:
        return self._rows()[-2]

    def rotate(self, *, keep_old: bool = True) -> str:
        """Sign with the next key from now on; the old one stays published unless told otherwise. Returns the kid."""
        old = self.current
        self._add()
        if not keep_old:
            self._store.delete("signing_keys", old["kid"])
        self._read.clear()
        return str(self.current["kid"])

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self._public(row) for row in self._rows()]}

    def _public(self, row: Row) -> dict[str, Any]:
        described = jwt.algorithms.RSAAlgorithm.to_jwk(private_key(row["pem"]).public_key(), as_dict=True)
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": row["kid"], "n": described["n"], "e": described["e"]}

    def sign(self, claims: dict[str, Any], lifetime_s: int = ACCESS_TOKEN_S) -> str:
        now = int(time.time())
        claims = {"iat": now, "nbf": now, "exp": now + lifetime_s, **claims}
        claims[ISSUED] = self._clock.service().timestamp()
        return jwt.encode(claims, private_key(self.current["pem"]), "RS256", {"kid": self.current["kid"]})

    def read(self, token: str, audience: str) -> dict[str, Any]:
        """Claims of a token made here and still good; raises ``jwt.InvalidTokenError``."""
        claims = self._read.get(token)
        if claims is None:
            claims = self._verified(token, audience)
            if len(self._read) > 1000:
                self._read.clear()
            self._read[token] = claims
        lived = self._clock.service().timestamp() - float(claims.get(ISSUED, claims["iat"]))
        if lived > claims["exp"] - claims["iat"] or claims["exp"] < time.time():
            raise jwt.ExpiredSignatureError("Lifetime validation failed, the token is expired.")
        return claims

    def _verified(self, token: str, audience: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        row = next((row for row in self._rows() if row["kid"] == kid), None)
        if row is None:
            raise jwt.InvalidTokenError("Signing key is invalid.")
        key = private_key(row["pem"]).public_key()
        found: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=audience, options={"verify_exp": False})
        return found


def pairwise_subject(client_id: str, oid: str) -> str:
    return encode_part(hashlib.sha256(f"{client_id}/{oid}".encode()).digest())


def client_info(user: Row) -> str:
    return encode_part(json.dumps({"uid": user["id"], "utid": user["tenant"]}).encode())


def _unlike(claims: dict[str, Any]) -> str:
    """An identifier of this token alone."""
    return hashlib.sha256(f"{time.time_ns()}/{json.dumps(claims, default=str)}".encode()).hexdigest()[:22]


def access_token(signer: Signer, issuer: str, claims: dict[str, Any]) -> str:
    lifetime_s = claims.pop("lifetime_s", ACCESS_TOKEN_S)
    claims = {"aud": GRAPH_AUDIENCE, "iss": issuer, "ver": "1.0", "uti": _unlike(claims), **claims}
    return signer.sign(claims, lifetime_s)
