"""What a tenant and its people have granted an application, and how long Entra takes to know it.

A consent row of a tenant is its service principal: no row, no enterprise application. A row holds the delegated
permissions granted for everybody and the application permissions.
"""

import datetime
import uuid

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import policy, revoke_tenant
from m365_simulator.store import Row
from m365_simulator.timeline import action

from .applications import Application, find_application
from .errors import TokenError


def consent_of(simulator: Simulator, app: Application, tid: str) -> Row | None:
    return simulator.store.get("consents", app.key(tid))


def principal_id(client_id: str, tid: str) -> str:
    """The object id of an application's service principal, other in each tenant."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{client_id}.{tid}"))


def principal_of(simulator: Simulator, client_id: str, tid: str) -> Row:
    """Its switches; an enabled one has no row."""
    key = principal_id(client_id, tid)
    return simulator.store.get("principals", key) or {"id": key, "enabled": True, "in_force": True}


def granted(simulator: Simulator, app: Application, user: Row) -> set[str]:
    """Delegated permissions in force for one person: the organisation's and their own."""
    whole = consent_of(simulator, app, user["tenant"]) or {"delegated": []}
    own = simulator.store.get("user_consents", app.key(user["id"])) or {"delegated": []}
    return {*whole["delegated"], *own["delegated"]}


def consent_for_tenant(simulator: Simulator, app: Application, tenant: Row, delegated: list[str], roles: bool) -> None:
    """Adds to what was granted. How long Entra does not know them is the tenant's policy."""
    before = consent_of(simulator, app, tenant["id"])
    row: Row = {"delegated": sorted({*(before or {}).get("delegated", []), *delegated})}
    given = app.roles if roles else []
    row["roles"] = list(dict.fromkeys([*(before or {}).get("roles", []), *given]))
    if before is None:
        row["known_at"] = _later(simulator, policy(tenant, "consent_unknown_s"))
    if set(row["roles"]) - set((before or {}).get("roles", [])):
        row["roles_at"] = _later(simulator, policy(tenant, "consent_delay_s"))
    simulator.store.put("consents", app.key(tenant["id"]), row | {"tenant": tenant["id"], "app": app.client_id})


def consent_for_person(simulator: Simulator, app: Application, user: Row, delegated: list[str]) -> None:
    """The first consent of anybody in a tenant makes the service principal, without application permissions."""
    if consent_of(simulator, app, user["tenant"]) is None:
        made: Row = {"delegated": [], "roles": [], "tenant": user["tenant"], "app": app.client_id}
        simulator.store.put("consents", app.key(user["tenant"]), made)
    own = simulator.store.get("user_consents", app.key(user["id"])) or {"delegated": []}
    both = sorted({*own["delegated"], *delegated})
    row = {"tenant": user["tenant"], "user": user["id"], "app": app.client_id, "delegated": both}
    simulator.store.put("user_consents", app.key(user["id"]), row)


def _later(simulator: Simulator, seconds: float) -> str:
    return stamp(simulator.clock.service() + datetime.timedelta(seconds=seconds))


def _yet(simulator: Simulator, moment: str | None) -> bool:
    return moment is None or moment_of(moment) <= simulator.clock.service()


def roles_in_force(simulator: Simulator, app: Application, tenant: Row) -> list[str]:
    """Application permissions; raises ``TokenError`` where the tenant does not know the application, or disabled it."""
    consent = consent_of(simulator, app, tenant["id"])
    if consent is None or not _yet(simulator, consent.get("known_at")):
        raise _unknown(app, tenant, policy(tenant, "unknown_number"))
    check_enabled(simulator, app, tenant["id"])
    return list(consent["roles"]) if _yet(simulator, consent.get("roles_at")) else []


def check_known(simulator: Simulator, app: Application, tenant: Row) -> None:
    """Refuse a person's grant for an application that Entra does not know yet. A missing consent is another refusal."""
    consent = consent_of(simulator, app, tenant["id"])
    if consent is not None and not _yet(simulator, consent.get("known_at")):
        raise _unknown(app, tenant, 700016)


def _unknown(app: Application, tenant: Row, number: int) -> TokenError:
    return TokenError(number, f"Application '{app.client_id}' was not found in the directory '{tenant['name']}'.")


def check_enabled(simulator: Simulator, app: Application, tid: str) -> None:
    if not principal_of(simulator, app.client_id, tid)["in_force"]:
        raise TokenError(7000112, f"Application '{app.client_id}'({app.name}) is disabled.")


def in_a_while(simulator: Simulator, seconds: float, act: str, payload: Row) -> None:
    """Let one of the effects below happen after so many seconds of the service clock; at once for none."""
    effect = EFFECTS[act]
    if seconds <= 0:
        effect(simulator, payload)
        return
    due = simulator.clock.service() + datetime.timedelta(seconds=seconds)
    key = f"{act}/{'/'.join(str(value) for value in payload.values())}"
    simulator.timeline.at(due, effect, payload, key=key, clock="service")


@action
def application_leaves(simulator: Simulator, payload: Row) -> None:
    """The deleted service principal is gone everywhere."""
    app, tid = find_application(simulator, payload["app"]), payload["tenant"]
    simulator.store.delete("leaving", principal_id(payload["app"], tid))
    if app is None or app.is_configured:
        revoke_tenant(simulator.store, tid)
        return
    simulator.store.delete("consents", app.key(tid))
    for row in simulator.store.all("user_consents"):
        if row["tenant"] == tid and row.get("app") == app.client_id:
            simulator.store.delete("user_consents", app.key(row["user"]))


@action
def principal_switched(simulator: Simulator, payload: Row) -> None:
    row = simulator.store.get("principals", payload["id"])
    if row is not None:
        simulator.store.put("principals", row["id"], row | {"in_force": row["enabled"]})


@action
def grant_taken(simulator: Simulator, payload: Row) -> None:
    """A delegated grant, or one application permission, is no longer in force."""
    row = simulator.store.get(payload["kind"], payload["key"])
    simulator.store.delete("leaving", payload["id"])
    if row is None:
        return
    field = "roles" if payload.get("roles") else "delegated"
    left = [name for name in row[field] if name not in payload["names"]]
    simulator.store.put(payload["kind"], payload["key"], row | {field: left})


@action
def sessions_end(simulator: Simulator, payload: Row) -> None:
    """What was issued before the revocation is refused from now on."""
    user = simulator.store.get("users", payload["user"])
    if user is not None:
        in_force = max(user.get("epoch_in_force", 0), payload["epoch"])
        simulator.store.put("users", user["id"], user | {"epoch_in_force": in_force})


EFFECTS = {one.__name__: one for one in (application_leaves, principal_switched, grant_taken, sessions_end)}


def revoke_sessions(simulator: Simulator, user: Row, delay_s: float) -> Row:
    """Refresh tokens, browser sessions and CAE tokens issued before now end; Entra takes ``delay_s`` to act on it."""
    epoch = user.get("epoch", 0) + 1
    row = user | {"epoch": epoch, "sessions_valid_from": stamp(simulator.clock.service())}
    simulator.store.put("users", user["id"], row)
    in_a_while(simulator, delay_s, "sessions_end", {"user": user["id"], "epoch": epoch})
    return simulator.store.get("users", user["id"]) or row


def is_revoked(user: Row, epoch: int) -> bool:
    return epoch < int(user.get("epoch_in_force", 0))
