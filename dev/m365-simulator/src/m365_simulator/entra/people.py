"""Verbs of the directory: tenants and their policies, people, sessions, and what administrators do."""

from typing import Any, Literal

from m365_simulator.core import Simulator
from m365_simulator.directory import LICENCES, POLICIES, find_tenant, find_user, home_of
from m365_simulator.named import person_row, tenant_row
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

from .applications import find_application
from .consents import consent_for_tenant, in_a_while, principal_id, principal_of, revoke_sessions


def account_row(simulator: Simulator, name: str) -> Row:
    """What signs in: a guest's is the account at home."""
    found = person_row(simulator, name)
    return home_of(simulator.store, found) or found


@verb
def tenant_add(
    simulator: "Simulator", *, name: str, domain: str, transcripts: bool = False, tenant_id: str | None = None
) -> Row:
    """A new organisation, empty of people."""
    if find_tenant(simulator.store, domain) or (tenant_id and find_tenant(simulator.store, tenant_id)):
        raise Refused(f"There is a tenant '{domain}' already.")
    key = (tenant_id or simulator.ids.guid("tenant")).lower()
    row = {"id": key, "name": name, "domain": domain.lower(), "transcripts": transcripts}
    return simulator.store.put("tenants", key, row)


@verb
def policy_set(
    simulator: "Simulator",
    *,
    tenant: str,
    user_consent: Literal["managed", "allowed", "none"] | None = None,
    approval_workflow: bool | None = None,
    consent_unknown_s: float | None = None,
    unknown_number: Literal[700016, 7000229] | None = None,
    consent_delay_s: float | None = None,
    revocation_s: float | None = None,
    scopes_told: Literal["asked", "all"] | None = None,
    withheld: list[str] | None = None,
    cloud: str | None = None,
) -> Row:
    """Set a tenant's policies.

    ``user_consent``: managed is Microsoft's list, allowed the permissions' own flags, none nothing at all.
    ``approval_workflow``: people may ask their administrators (90095). ``consent_unknown_s`` and ``consent_delay_s``:
    how long after an administrator's consent Entra does not know the application, and gives tokens without roles.
    ``unknown_number``: what it answers to client credentials while it does not know it; seen are both.
    ``revocation_s``: how long a revocation through Graph takes to have effect. ``scopes_told``: token replies name
    the scopes asked for, or all that were granted (unproven which); ``withheld`` are left out of tokens though granted.
    ``cloud``: the host of the national cloud the tenant really lives in.
    """
    given = {name: value for name, value in locals().items() if name in POLICIES and value is not None}
    row = tenant_row(simulator, tenant)
    return simulator.store.put("tenants", row["id"], row | {"policies": {**(row.get("policies") or {}), **given}})


@verb
def user_add(
    simulator: "Simulator",
    *,
    tenant: str,
    name: str,
    local: str,
    admin: bool = False,
    mailbox: bool = True,
    licences: list[str] | None = None,
) -> Row:
    """A new person; `local` is the part of the address before the @."""
    home = tenant_row(simulator, tenant)
    address = f"{local}@{home['domain']}".lower()
    if find_user(simulator.store, address):
        raise Refused(f"There is somebody with the address {address} already.")
    row: Row = {"id": simulator.ids.guid("user"), "tenant": home["id"], "address": address, "name": name}
    row |= {"admin": admin, "mailbox": mailbox, "enabled": True, "guest": False}
    row["licences"] = (LICENCES if mailbox else []) if licences is None else licences
    return simulator.store.put("users", row["id"], row)


@verb
def guest_add(simulator: "Simulator", *, tenant: str, user: str) -> Row:
    """Invite somebody of another tenant: the same account, another object id, no mailbox."""
    host, account = tenant_row(simulator, tenant), account_row(simulator, user)
    if account["tenant"] == host["id"]:
        raise Refused(f"{account['address']} is at home in {host['domain']}.")
    address = f"{account['address'].replace('@', '_')}#EXT#@{host['domain']}".lower()
    if find_user(simulator.store, address):
        raise Refused(f"{account['address']} is a guest of {host['domain']} already.")
    row: Row = {"id": simulator.ids.guid("user"), "tenant": host["id"], "address": address, "name": account["name"]}
    row |= {"admin": False, "mailbox": False, "enabled": True, "guest": True, "home": account["id"], "licences": []}
    return simulator.store.put("users", row["id"], row)


@verb
def user_change(
    simulator: "Simulator",
    *,
    user: str,
    enabled: bool | None = None,
    admin: bool | None = None,
    mailbox: bool | None = None,
    licences: list[str] | None = None,
    name: str | None = None,
    directory_roles: list[str] | None = None,
    aliases: list[str] | None = None,
    password: Literal["reset_by_admin", "changed_by_user"] | None = None,
) -> Row:
    """Change a person; a password reset by an administrator ends refresh tokens, one changed by the person does not.

    ``directory_roles`` are template ids for the claim `wids`, in place of the one that ``admin`` stands for.
    ``aliases`` are further addresses of the mailbox.
    """
    row = person_row(simulator, user)
    given: dict[str, Any] = {
        "enabled": enabled,
        "admin": admin,
        "mailbox": mailbox,
        "licences": licences,
        "name": name,
        "directory_roles": directory_roles,
        "aliases": aliases,
    }
    row = row | {key: value for key, value in given.items() if value is not None}
    simulator.store.put("users", row["id"], row)
    return revoke_sessions(simulator, row, 0) if password == "reset_by_admin" else row


@verb
def user_delete(simulator: "Simulator", *, user: str) -> None:
    """Delete a person; what they own stays where it is, as Microsoft keeps it a while."""
    simulator.store.delete("users", person_row(simulator, user)["id"])


@verb
def sessions_revoke(simulator: "Simulator", *, user: str, effect_after_s: float = 0) -> Row:
    """End a person's sessions: what was issued before now is refused once the effect has come."""
    return revoke_sessions(simulator, account_row(simulator, user), effect_after_s)


@verb
def consent_revoke(
    simulator: "Simulator", *, tenant: str | None = None, app: str | None = None, effect_after_s: float = 0
) -> None:
    """The administrator removes the enterprise application: of one tenant, or of all."""
    rows = simulator.store.all("tenants") if tenant is None else [tenant_row(simulator, tenant)]
    client_id = app or simulator.settings.client_id
    for row in rows:
        in_a_while(simulator, effect_after_s, "application_leaves", {"tenant": row["id"], "app": client_id})


@verb
def consent_give(simulator: "Simulator", *, tenant: str, app: str | None = None, roles: bool = True) -> Row:
    """An administrator consents to everything registered, as the consent page does it."""
    row, found = tenant_row(simulator, tenant), find_application(simulator, app or simulator.settings.client_id)
    if found is None:
        raise Refused(f"There is no application '{app}'.")
    consent_for_tenant(simulator, found, row, found.delegated, roles)
    return simulator.store.get("consents", found.key(row["id"])) or {}


@verb
def application_enable(
    simulator: "Simulator", *, tenant: str, enabled: bool, app: str | None = None, effect_after_s: float = 0
) -> Row:
    """Switch the enterprise application of one tenant off or on."""
    row, client_id = tenant_row(simulator, tenant), app or simulator.settings.client_id
    principal = principal_of(simulator, client_id, row["id"]) | {"enabled": enabled}
    key = principal_id(client_id, row["id"])
    simulator.store.put("principals", key, principal)
    in_a_while(simulator, effect_after_s, "principal_switched", {"id": key})
    return simulator.store.get("principals", key) or principal


@verb
def consent_request_decide(simulator: "Simulator", *, request: str, approve: bool) -> Row:
    """An administrator decides on what somebody asked for on the approval page."""
    row = simulator.store.get("consent_requests", request)
    if row is None:
        known = ", ".join(simulator.store.keys("consent_requests")) or "none"
        raise Refused(f"There is no consent request '{request}'. Known: {known}.")
    found, tenant = find_application(simulator, row["app"]), simulator.store.get("tenants", row["tenant"])
    if approve and found is not None and tenant is not None:
        consent_for_tenant(simulator, found, tenant, row["permissions"], roles=False)
    decided = row | {"status": "approved" if approve else "denied"}
    return simulator.store.put("consent_requests", request, decided)


@verb
def keys_rotate(simulator: "Simulator", *, announced: bool = True, keep_old: bool = True) -> Row:
    """Sign with another key: one that was published before, or one that no client can know yet."""
    kid = simulator.entra.rotate(keep_old=keep_old)
    return {"kid": kid if announced else simulator.entra.rotate(keep_old=keep_old)}
