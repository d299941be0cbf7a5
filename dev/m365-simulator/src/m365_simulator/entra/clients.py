"""Who calls the token endpoint: client secret, HTTP Basic, or a signed client assertion."""

import base64
import binascii
import hmac
from typing import Any
from urllib.parse import unquote_plus

import jwt
from cryptography import x509
from jwt.types import Options

from m365_simulator.clock import real_now
from m365_simulator.core import Simulator
from m365_simulator.store import Row

from .applications import Application, find_application, is_over
from .errors import TokenError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_S = 600
"""An assertion may end at most ten minutes from now; published is 5 to 10 minutes."""
LEEWAY_S = 5
UNCHECKED: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
"""The claims are checked below, each with its own number."""
HEADERS = {"PS256": ("x5t#S256", "x5t"), "RS256": ("x5t", "x5t#S256")}
Fields = dict[str, str]


def basic(header: str) -> Fields:
    """Client id and secret of an Authorization header, each of them form-encoded first."""
    if not header.lower().startswith("basic "):
        return {}
    try:
        name, _, secret = base64.b64decode(header[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise TokenError(9002313, "The Authorization header is malformed.", error="invalid_request") from error
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}


def authenticate(simulator: Simulator, form: Fields, audiences: set[str]) -> tuple[Application, str]:
    """The application, and how it proved itself (``appidacr``: 1 secret, 2 certificate). Raises ``TokenError``."""
    if not form.get("client_id"):
        raise TokenError(900144, "The request body must contain the following parameter: 'client_id'.")
    app = find_application(simulator, form["client_id"])
    if app is None:
        raise TokenError(700016, f"Application with identifier '{form['client_id']}' was not found in the directory.")
    if form.get("client_assertion"):
        _check_assertion(simulator, app, form, audiences)
        return app, "2"
    if not form.get("client_secret"):
        raise TokenError(7000218)
    _check_secret(simulator, app, form["client_secret"])
    return app, "1"


def _check_secret(simulator: Simulator, app: Application, given: str) -> None:
    same = [row for row in app.secrets if hmac.compare_digest(row["secret"].encode(), given.encode())]
    if not same:
        raise TokenError(7000215, f"Invalid client secret provided for app '{app.client_id}'.")
    if all(is_over(simulator, row) for row in same):
        raise TokenError(7000222, f"The provided client secret keys for app '{app.client_id}' are expired.")


def _check_assertion(simulator: Simulator, app: Application, form: Fields, audiences: set[str]) -> None:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise TokenError(50027, f"The client_assertion_type must be '{ASSERTION_TYPE}'.")
    token = form["client_assertion"]
    try:
        header = jwt.get_unverified_header(token)
        certificate = _certificate(simulator, app, header)
        key: Any = x509.load_pem_x509_certificate(certificate["pem"].encode()).public_key()
        claims = jwt.decode(token, key, [header["alg"]], options=UNCHECKED)
    except jwt.InvalidSignatureError as error:
        raise TokenError(700027) from error
    except jwt.InvalidTokenError as error:
        raise TokenError(50027, f"Invalid JWT token: {error}.") from error
    _check_claims(app, form["client_id"], claims, audiences)
    if app.single_use_assertions:
        _check_first_use(simulator, app, claims)


def _certificate(simulator: Simulator, app: Application, header: dict[str, Any]) -> Row:
    """The registered one that the header names by thumbprint, still good."""
    names = HEADERS.get(str(header.get("alg")))
    if names is None:
        raise TokenError(700027, f"The algorithm '{header.get('alg')}' is not supported; use PS256 or RS256.")
    name = next((name for name in names if header.get(name)), None)
    if name is None:
        raise TokenError(700027, "The header names no certificate: x5t#S256 or x5t is needed.")
    given = str(header[name]).rstrip("=")
    for row in app.certificates:
        if row[name] == given and not is_over(simulator, row):
            return row
    raise TokenError(700027, f"The key was not found by the thumbprint '{given}' of the assertion.")


def _check_claims(app: Application, client_id: str, claims: dict[str, Any], audiences: set[str]) -> None:
    if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id or client_id != app.client_id:
        raise TokenError(700021)
    given = claims.get("aud")
    if not isinstance(given, str) or given not in audiences:
        raise TokenError(700023)
    now, ends, begins = real_now().timestamp(), claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(ends, int | float) or not isinstance(begins, int | float):
        raise TokenError(50027, "The assertion needs the times exp and nbf.")
    if not begins - LEEWAY_S <= now < ends + LEEWAY_S or ends > now + LONGEST_S + LEEWAY_S:
        raise TokenError(700024)


def _check_first_use(simulator: Simulator, app: Application, claims: dict[str, Any]) -> None:
    jti = str(claims.get("jti") or "")
    if not jti or simulator.store.get("assertions", f"{app.client_id}/{jti}"):
        raise TokenError(50027, "Invalid JWT token: the identifier jti is missing or was used before.")
    simulator.store.put("assertions", f"{app.client_id}/{jti}", {"exp": claims["exp"]})
