"""Registered applications: one from the settings, more by verb; their redirect URIs, secrets and certificates."""

import datetime
import hashlib
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import DELEGATED, ROLES, find_tenant
from m365_simulator.signing import encode_part
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

CONFIGURED = "configured"
"""The key id of the secret that the settings hold."""


class Application:
    """A registration as it is now; the settings' one is read anew each time, so that a change counts at once."""

    def __init__(self, simulator: Simulator, row: Row) -> None:
        settings = simulator.settings
        self.client_id: str = row["id"]
        self.is_configured = self.client_id == settings.client_id
        self.name: str = row.get("name") or "Prospo"
        self.redirect_uris: list[str] = row.get("redirect_uris") or (
            settings.redirect_uris if self.is_configured else []
        )
        self.multi_tenant: bool = row.get("multi_tenant", True)
        self.tenant: str | None = row.get("tenant")
        self.delegated: list[str] = row.get("delegated", DELEGATED)
        self.roles: list[str] = row.get("roles", ROLES)
        self.group_membership_claims: str = row.get(
            "group_membership_claims", "DirectoryRole" if self.is_configured else "None"
        )
        self.single_use_assertions: bool = row.get("single_use_assertions", False)
        self.secrets: list[Row] = row.get("secrets", [])
        self.certificates: list[Row] = row.get("certificates", [])
        if self.is_configured and not row.get("configured_removed"):
            own = {"key_id": CONFIGURED, "secret": settings.client_secret, "expires": row.get("configured_expires")}
            self.secrets = [own, *self.secrets]

    def key(self, name: str) -> str:
        """Where consent rows of a tenant or a person are kept for this application."""
        return name if self.is_configured else f"{name}/{self.client_id}"


def find_application(simulator: Simulator, client_id: str | None) -> Application | None:
    row = simulator.store.get("applications", client_id or "")
    if row is None and client_id == simulator.settings.client_id:
        row = {"id": client_id}
    return Application(simulator, row) if row else None


def applications(simulator: Simulator) -> list[Application]:
    ids = dict.fromkeys([simulator.settings.client_id, *simulator.store.keys("applications")])
    return [found for client_id in ids if (found := find_application(simulator, client_id))]


def is_over(simulator: Simulator, credential: Row) -> bool:
    expires = credential.get("expires")
    return expires is not None and moment_of(expires) <= simulator.clock.service()


def _row(simulator: Simulator, app: str | None) -> Row:
    """For change; the settings' application gets a row when it is first changed. Raises ``Refused``."""
    client_id = app or simulator.settings.client_id
    if find_application(simulator, client_id) is None:
        known = ", ".join(f"{one.name} {one.client_id}" for one in applications(simulator))
        raise Refused(f"There is no application '{app}'. Known: {known}.")
    return simulator.store.get("applications", client_id) or {"id": client_id}


def _in(simulator: Simulator, seconds: float | None) -> str | None:
    return None if seconds is None else stamp(simulator.clock.service() + datetime.timedelta(seconds=seconds))


@verb
def application_register(
    simulator: "Simulator",
    *,
    name: str,
    redirect_uris: list[str],
    client_id: str | None = None,
    tenant: str | None = None,
    multi_tenant: bool = True,
    delegated: list[str] | None = None,
    roles: list[str] | None = None,
) -> Row:
    """Register an application; `tenant` is where it is at home, `delegated` and `roles` what .default stands for."""
    key = client_id or simulator.ids.guid("application")
    if find_application(simulator, key):
        raise Refused(f"The application {key} is registered already; application_change changes it.")
    home = find_tenant(simulator.store, tenant) if tenant else None
    if (tenant and home is None) or not (multi_tenant or tenant):
        raise Refused("An application of one tenant needs that tenant's GUID or domain.")
    row: Row = {"id": key, "name": name, "redirect_uris": redirect_uris, "multi_tenant": multi_tenant}
    row |= {"tenant": home["id"] if home else None, "delegated": DELEGATED if delegated is None else delegated}
    return simulator.store.put("applications", key, row | {"roles": ROLES if roles is None else roles})


@verb
def application_change(
    simulator: "Simulator",
    *,
    app: str | None = None,
    name: str | None = None,
    redirect_uris: list[str] | None = None,
    multi_tenant: bool | None = None,
    tenant: str | None = None,
    delegated: list[str] | None = None,
    roles: list[str] | None = None,
    group_membership_claims: Literal["None", "SecurityGroup", "DirectoryRole", "All"] | None = None,
    single_use_assertions: bool | None = None,
) -> Row:
    """Change a registration; without `app` the one of the settings. single_use_assertions refuses a repeated jti.

    group_membership_claims is the manifest's: with DirectoryRole or All, id_tokens name the person's roles in `wids`.
    """
    given: dict[str, Any] = {
        "name": name,
        "redirect_uris": redirect_uris,
        "multi_tenant": multi_tenant,
        "tenant": tenant,
        "delegated": delegated,
        "roles": roles,
        "group_membership_claims": group_membership_claims,
        "single_use_assertions": single_use_assertions,
    }
    row = _row(simulator, app) | {key: value for key, value in given.items() if value is not None}
    return simulator.store.put("applications", row["id"], row)


@verb
def secret_add(
    simulator: "Simulator", *, app: str | None = None, secret: str | None = None, lasts_s: float | None = None
) -> Row:
    """Give an application one more client secret; returns it with its key_id."""
    row = _row(simulator, app)
    made: Row = {"key_id": simulator.ids.guid("secret"), "secret": secret or simulator.ids.text("secret", 40)}
    made["expires"] = _in(simulator, lasts_s)
    simulator.store.put("applications", row["id"], row | {"secrets": [*row.get("secrets", []), made]})
    return made


@verb
def secret_expire(simulator: "Simulator", *, app: str | None = None, key_id: str = CONFIGURED, in_s: float = 0) -> None:
    """Let a client secret end in `in_s` seconds of the service clock."""
    row = _row(simulator, app)
    if key_id == CONFIGURED and row["id"] == simulator.settings.client_id:
        simulator.store.put("applications", row["id"], row | {"configured_expires": _in(simulator, in_s)})
        return
    left = [
        one | {"expires": _in(simulator, in_s)} if one["key_id"] == key_id else one for one in row.get("secrets", [])
    ]
    if left == row.get("secrets", []):
        raise Refused(f"There is no secret '{key_id}'. Known: {[one['key_id'] for one in left]}.")
    simulator.store.put("applications", row["id"], row | {"secrets": left})


@verb
def secret_remove(simulator: "Simulator", *, app: str | None = None, key_id: str = CONFIGURED) -> None:
    """Take a client secret away."""
    row = _row(simulator, app)
    if key_id == CONFIGURED and row["id"] == simulator.settings.client_id:
        simulator.store.put("applications", row["id"], row | {"configured_removed": True})
        return
    left = [one for one in row.get("secrets", []) if one["key_id"] != key_id]
    if len(left) == len(row.get("secrets", [])):
        raise Refused(f"There is no secret '{key_id}'. Known: {[one['key_id'] for one in left]}.")
    simulator.store.put("applications", row["id"], row | {"secrets": left})


@verb
def certificate_add(simulator: "Simulator", *, pem: str, app: str | None = None, lasts_s: float | None = None) -> Row:
    """Register a certificate for client assertions; returns its thumbprints."""
    row = _row(simulator, app)
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Refused("That is no certificate in PEM.") from error
    made: Row = {"pem": pem, "expires": _in(simulator, lasts_s)}
    made["x5t#S256"] = encode_part(certificate.fingerprint(hashes.SHA256()))
    made["x5t"] = encode_part(certificate.fingerprint(hashes.SHA1()))
    made["key_id"] = hashlib.sha256(pem.encode()).hexdigest()[:32]
    simulator.store.put("applications", row["id"], row | {"certificates": [*row.get("certificates", []), made]})
    return {name: made[name] for name in ("key_id", "x5t", "x5t#S256", "expires")}


@verb
def certificate_remove(simulator: "Simulator", *, key_id: str, app: str | None = None) -> None:
    """Take a certificate away."""
    row = _row(simulator, app)
    left = [one for one in row.get("certificates", []) if one["key_id"] != key_id]
    if len(left) == len(row.get("certificates", [])):
        raise Refused(f"There is no certificate '{key_id}'. Known: {[one['key_id'] for one in left]}.")
    simulator.store.put("applications", row["id"], row | {"certificates": left})
