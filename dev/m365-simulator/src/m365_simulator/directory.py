"""The two tenants, their people, and what the registered application may be granted."""

import uuid
from typing import Any

from .store import Row, Store

CONTOSO = "c0a70500-0000-4000-8000-000000000001"
FABRIKAM = "fab41ca0-0000-4000-8000-000000000002"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
TENANTS = {
    CONTOSO: ("Contoso", "contoso.example", True),
    FABRIKAM: ("Fabrikam", "fabrikam.example", False),
    PERSONAL: ("Personal accounts", "outlook.example", False),
}
PEOPLE = [
    (CONTOSO, "admin", "Adele Admin", True, True),
    (CONTOSO, "anna", "Anna Andersson", False, True),
    (CONTOSO, "ben", "Ben Berg", False, True),
    (CONTOSO, "unlicensed", "Ursula Unlicensed", False, False),
    (FABRIKAM, "admin", "Frida Admin", True, True),
    (FABRIKAM, "carl", "Carl Carlsson", False, True),
    (FABRIKAM, "dana", "Dana Dahl", False, True),
    (PERSONAL, "pat", "Pat Personal", False, True),
]
LICENCES = ["SPE_E3"]
DELEGATED = [
    "User.Read",
    "Calendars.ReadWrite",
    "OnlineMeetings.ReadWrite",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
    "Contacts.Read",
    "Mail.Send",
    "Mail.ReadWrite",
]
ROLES = [
    "User.Read.All",
    "Organization.Read.All",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
    "Calendars.Read",
    "Sites.Selected",
]
"""What the registration holds: docs/how-to/live-tenant.md, no more and no less, so that nothing works here only."""
OIDC_SCOPES = {"openid", "profile", "email", "offline_access"}
POLICIES: Row = {
    "user_consent": "managed",
    "approval_workflow": False,
    "consent_unknown_s": 0,
    "unknown_number": 700016,
    "consent_delay_s": 0,
    "revocation_s": 120,
    "scopes_told": "asked",
    "withheld": [],
    "cloud": None,
}
"""A tenant's switches and what holds until ``policy_set`` changes them; that verb says what each is."""


GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
MEMBER_ROLE = "b79fbf4d-3ef9-4689-8143-76b194e85509"
GUEST_ROLE = "10dae51f-b6af-4016-8d66-8c2a99b929b3"
"""Template ids of directory roles; published tokens of members hold the second, the guests' one is unproven."""


def seed_directory(store: Store) -> None:
    """Tenants and users, once; what a test or a person changed later stays."""
    for tid, (name, domain, transcripts) in TENANTS.items():
        if store.get("tenants", tid) is None:
            store.put("tenants", tid, {"id": tid, "name": name, "domain": domain, "transcripts": transcripts})
    for tid, local, name, admin, mailbox in PEOPLE:
        address = f"{local}@{TENANTS[tid][1]}"
        oid = str(uuid.uuid5(uuid.NAMESPACE_DNS, address))
        if store.get("users", oid) is None:
            row = {"id": oid, "tenant": tid, "address": address, "name": name, "admin": admin, "mailbox": mailbox}
            store.put("users", oid, row | {"enabled": True, "guest": False, "licences": LICENCES if mailbox else []})


def find_tenant(store: Store, name: str) -> Row | None:
    """By GUID or by domain."""
    return next((t for t in store.all("tenants") if name.lower() in (t["id"], t["domain"])), None)


def find_user(store: Store, name: str) -> Row | None:
    """By object id or by address."""
    return next((u for u in store.all("users") if name.lower() in (u["id"], u["address"])), None)


def policy(tenant: Row, name: str) -> Any:
    return (tenant.get("policies") or {}).get(name, POLICIES[name])


def directory_roles(user: Row) -> list[str]:
    """Template ids of the person's roles in their tenant's directory; everybody has one, as a member or as a guest."""
    own = user.get("directory_roles") or ([GLOBAL_ADMINISTRATOR] if user["admin"] else [])
    return [*own, GUEST_ROLE if user.get("guest") else MEMBER_ROLE]


def home_of(store: Store, user: Row) -> Row | None:
    """The account a guest signs in with; anybody else is at home."""
    return store.get("users", user["home"]) if user.get("guest") else user


def identity_in(store: Store, account: Row, tid: str) -> Row | None:
    """Who the account is in a tenant: itself at home, a guest with an object id of its own elsewhere."""
    if account["tenant"] == tid:
        return account
    return next((u for u in store.all("users") if u["tenant"] == tid and u.get("home") == account["id"]), None)


def revoke_tenant(store: Store, tid: str) -> None:
    """What removing the enterprise application does: grants and subscriptions go; issued access tokens live on."""
    store.delete("consents", tid)
    for kind in ("user_consents", "subscriptions"):
        for key in store.keys(kind):
            if (store.get(kind, key) or {}).get("tenant") == tid:
                store.delete(kind, key)
