"""The tokens themselves: access tokens for Graph, id_tokens and, on demand, id_tokens that prove nothing."""

import functools
from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from m365_simulator.clock import real_now
from m365_simulator.core import Simulator
from m365_simulator.directory import FABRIKAM, directory_roles, home_of
from m365_simulator.faults import fault
from m365_simulator.signing import access_token, encode_part, pairwise_subject
from m365_simulator.store import Row

from .applications import Application

BAD_ID_TOKEN = fault(
    "bad_id_token",
    "an id_token proves nothing; `wrong` is signature, alg_none, kid, aud, iss, tid, expired, not_yet or nonce",
    "wrong",
)
ID_TOKEN_S = 3600


def issuer(simulator: Simulator, tid: str) -> str:
    return f"{simulator.settings.https_base_url}/{tid}/v2.0"


def user_claims(app: Application, user: Row) -> Row:
    """What the access token says of a person; clients must not read it."""
    return {
        "tid": user["tenant"],
        "oid": user["id"],
        "sub": pairwise_subject("Graph", user["id"]),
        "name": user["name"],
        "upn": user["address"],
        "unique_name": user["address"],
        "idtyp": "user",
        "app_displayname": app.name,
    }


def graph_token(simulator: Simulator, app: Application, audience: str, claims: Row, lifetime_s: int) -> str:
    """In the form of version 1.0, which Graph asks for; ``roles`` and ``scp`` are absent when empty."""
    said = {key: value for key, value in claims.items() if value not in ("", [])}
    said |= {"aud": audience, "appid": app.client_id, "uti": simulator.ids.text("uti", 22), "lifetime_s": lifetime_s}
    return access_token(simulator.entra, f"https://sts.windows.net/{claims['tid']}/", said)


def id_token(simulator: Simulator, app: Application, user: Row, asked: list[str], nonce: str, about: Row) -> str:
    """oid and the names only with the profile scope, the address only with email."""
    home = home_of(simulator.store, user) or user
    claims: Row = {
        "ver": "2.0",
        "iss": issuer(simulator, user["tenant"]),
        "aud": app.client_id,
        "sub": pairwise_subject(app.client_id, user["id"]),
        "tid": user["tenant"],
        "uti": simulator.ids.text("uti", 22),
        "aio": simulator.ids.text("aio", 60),
    }
    if "profile" in asked:
        claims |= {"oid": user["id"], "name": user["name"], "preferred_username": home["address"]}
    if "email" in asked:
        claims["email"] = home["address"]
    if app.group_membership_claims in ("DirectoryRole", "All"):
        claims["wids"] = directory_roles(user)
    if user.get("guest"):
        claims["idp"] = f"https://sts.windows.net/{home['tenant']}/"
    if nonce:
        claims["nonce"] = nonce
    found = simulator.faults.due(BAD_ID_TOKEN, **about)
    if found is not None:
        return _bad(simulator, str(found.get("wrong", "signature")), claims)
    return simulator.entra.sign(claims, ID_TOKEN_S)


def _bad(simulator: Simulator, wrong: str, claims: Row) -> str:
    if wrong in FORGED:
        return FORGED[wrong](simulator, claims)
    now = int(real_now().timestamp())
    foreign = FABRIKAM if claims["tid"] != FABRIKAM else "00000000-0000-4000-8000-000000000000"
    changed: dict[str, Row] = {
        "aud": {"aud": "00000000-0000-4000-8000-00000000beef"},
        "iss": {"iss": claims["iss"].replace(claims["tid"], foreign)},
        "tid": {"tid": foreign},
        "expired": {"iat": now - 9000, "nbf": now - 9000, "exp": now - 5400},
        "not_yet": {"iat": now + 5400, "nbf": now + 5400, "exp": now + 9000},
        "nonce": {"nonce": "another-sign-in"},
    }
    return simulator.entra.sign(claims | changed.get(wrong, {}), ID_TOKEN_S)


@functools.cache
def _strangers_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _by_a_stranger(simulator: Simulator, claims: Row) -> str:
    good = simulator.entra.sign(claims, ID_TOKEN_S)
    said = jwt.decode(good, options={"verify_signature": False})
    return jwt.encode(said, _strangers_key(), "RS256", {"kid": simulator.entra.current["kid"]})


def _unsigned(simulator: Simulator, claims: Row) -> str:
    said = jwt.decode(simulator.entra.sign(claims, ID_TOKEN_S), options={"verify_signature": False})
    return jwt.encode(said, "", "none", {"kid": simulator.entra.current["kid"]})


def _unknown_key(simulator: Simulator, claims: Row) -> str:
    said = jwt.decode(simulator.entra.sign(claims, ID_TOKEN_S), options={"verify_signature": False})
    return jwt.encode(said, _strangers_key(), "RS256", {"kid": encode_part(b"nobody published this")})


FORGED: dict[str, Callable[[Simulator, Row], str]] = {
    "signature": _by_a_stranger,
    "alg_none": _unsigned,
    "kid": _unknown_key,
}
