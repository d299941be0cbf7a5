"""Signing keys and the tokens made with them."""

import base64
import hashlib
import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .store import Row, Store

GRAPH_AUDIENCE = "https://graph.microsoft.com"
ACCESS_TOKEN_S = 3600


def encode_part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Signer:
    """RS256 with two published keys (the second waits for a rotation), kept in the store under ``name``."""

    def __init__(self, store: Store, name: str) -> None:
        self._rows = [self._key(store, f"{name}-{number}") for number in (1, 2)]

    @staticmethod
    def _key(store: Store, kid: str) -> Row:
        known = store.get("signing_keys", kid)
        if known is not None:
            return known
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return store.put("signing_keys", kid, {"kid": f"{kid}-{uuid.uuid4().hex[:8]}", "pem": pem.decode()})

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self._public(row) for row in self._rows]}

    def _public(self, row: Row) -> dict[str, Any]:
        key = serialization.load_pem_private_key(row["pem"].encode(), None).public_key()
        described: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key))  # type: ignore[arg-type]
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": row["kid"], "n": described["n"], "e": described["e"]}

    def sign(self, claims: dict[str, Any], lifetime_s: int = ACCESS_TOKEN_S) -> str:
        now = int(time.time())
        claims = {"iat": now, "nbf": now, "exp": now + lifetime_s, **claims}
        return jwt.encode(claims, self._rows[0]["pem"], "RS256", {"kid": self._rows[0]["kid"]})

    def read(self, token: str, audience: str) -> dict[str, Any]:
        """Claims of a token made here; raises ``jwt.InvalidTokenError``."""
        key = serialization.load_pem_private_key(self._rows[0]["pem"].encode(), None).public_key()
        claims: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=audience)  # type: ignore[arg-type]
        return claims


def pairwise_subject(client_id: str, oid: str) -> str:
    return encode_part(hashlib.sha256(f"{client_id}/{oid}".encode()).digest())


def client_info(user: Row) -> str:
    return encode_part(json.dumps({"uid": user["id"], "utid": user["tenant"]}).encode())


def access_token(signer: Signer, issuer: str, claims: dict[str, Any]) -> str:
    return signer.sign({"aud": GRAPH_AUDIENCE, "iss": issuer, "ver": "1.0", "uti": uuid.uuid4().hex, **claims})
