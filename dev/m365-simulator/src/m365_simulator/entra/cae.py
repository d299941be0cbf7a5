"""Continuous access evaluation: long-lived tokens for clients that can answer a claims challenge, and the challenge.

Only delegated tokens: for the own tokens of an application of several tenants Microsoft does not offer it.
"""

import base64
import json
from typing import Any

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.directory import home_of
from m365_simulator.store import Row
from m365_simulator.verbs import verb
from m365_simulator.wire import TOKEN_CHECKS, GraphError

from .consents import is_revoked, revoke_sessions
from .errors import TokenError
from .people import account_row

CAPABILITY = "cp1"
LIFETIME_S = 86_399
"""24 hours; the published range is 20 to 28."""
EPOCH = "xms_epoch"
"""Our own claim: how often the person's sessions had been revoked when the token was made."""
_TEXT = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "


def read_claims(text: str | None) -> dict[str, Any]:
    """The ``access_token`` part of a ``claims`` parameter. Raises ``TokenError`` for what is no JSON object."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise TokenError(90023, "The claims parameter is not valid JSON.", error="invalid_request") from error
    part = found.get("access_token", {}) if isinstance(found, dict) else None
    if not isinstance(part, dict):
        raise TokenError(90023, "The claims parameter is not a JSON object.", error="invalid_request")
    return part


def _values(asked: dict[str, Any], name: str) -> list[str]:
    found = asked.get(name)
    found = found if isinstance(found, dict) else {}
    values = found.get("values", [found["value"]] if "value" in found else [])
    return [str(value) for value in values] if isinstance(values, list) else []


def claims_of(account: Row, asked: dict[str, Any]) -> tuple[Row, bool]:
    """What the access token carries of it, and whether it is one that lives long."""
    capable = CAPABILITY in _values(asked, "xms_cc")
    carried: Row = {EPOCH: account.get("epoch", 0)}
    if capable:
        carried["xms_cc"] = [CAPABILITY]
    if contexts := _values(asked, "acrs"):
        carried["acrs"] = contexts
    return carried, capable


def check(simulator: Simulator, claims: dict[str, Any]) -> None:
    """Asked for each token that reaches Graph. Raises the challenge; tokens without the capability pass."""
    user = simulator.store.get("users", claims.get("oid", ""))
    account = home_of(simulator.store, user) if user else None
    if account is None or CAPABILITY not in claims.get("xms_cc", []):
        return
    if is_revoked(account, claims.get(EPOCH, 0)) or not account.get("enabled", True):
        # The moment of what happened to the account, not of the call: all who are challenged get one challenge.
        since = account.get("sessions_valid_from")
        moment = str(int((moment_of(since) if since else simulator.clock.service()).timestamp()))
        raise _challenge(simulator, {"nbf": {"essential": True, "value": moment}}, "TokenCreatedWithOutdatedPolicies")
    needed = account.get("needs_context")
    if needed and needed not in claims.get("acrs", []):
        raise _challenge(simulator, {"acrs": {"essential": True, "value": needed}}, "AuthenticationContextRequired")


def _challenge(simulator: Simulator, wanted: Row, code: str) -> GraphError:
    encoded = base64.b64encode(json.dumps({"access_token": wanted}).encode()).decode()
    place = f"{simulator.settings.https_base_url}/common/oauth2/authorize"
    parts = ['realm=""', f'authorization_uri="{place}"', 'error="insufficient_claims"', f'claims="{encoded}"']
    headers = {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}
    return GraphError(401, "InvalidAuthenticationToken", _TEXT + code, headers=headers)


TOKEN_CHECKS.append(check)


@verb
def claims_challenge(simulator: "Simulator", *, user: str, context: str | None = None) -> Row:
    """Challenge a person's cp1 tokens: those made before now, or until one carries the authentication context."""
    row = account_row(simulator, user)
    if context is not None:
        return simulator.store.put("users", row["id"], row | {"needs_context": context or None})
    challenged = row.get("epoch", 0) + 1
    spared = simulator.store.all("refresh_tokens")
    revoke_sessions(simulator, row, 0)
    for token in spared:  # a challenge alone ends no session
        if token["account"] == row["id"]:
            simulator.store.put("refresh_tokens", token["token"], token | {"epoch": challenged})
    return simulator.store.get("users", row["id"]) or row
