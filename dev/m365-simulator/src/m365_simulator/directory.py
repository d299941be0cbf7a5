"""The two tenants, their people, and what the registered application may be granted."""

import uuid
from collections.abc import Iterable

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
DELEGATED = [
    "User.Read",
    "Calendars.ReadWrite",
    "Calendars.Read",
    "OnlineMeetings.ReadWrite",
    "OnlineMeetings.Read",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
    "Contacts.Read",
    "Contacts.ReadWrite",
    "Mail.Send",
    "Mail.ReadWrite",
    "Mail.Read",
    "Files.ReadWrite",
    "Files.ReadWrite.All",
    "Sites.ReadWrite.All",
]
ROLES = [
    "User.Read.All",
    "Organization.Read.All",
    "OnlineMeetings.Read.All",
    "OnlineMeetings.ReadWrite.All",
    "OnlineMeetingRecording.Read.All",
    "OnlineMeetingTranscript.Read.All",
    "Calendars.Read",
    "Sites.Selected",
]
OIDC_SCOPES = {"openid", "profile", "email", "offline_access"}


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
            store.put("users", oid, row)


def find_tenant(store: Store, name: str) -> Row | None:
    """By GUID or by domain."""
    return next((t for t in store.all("tenants") if name.lower() in (t["id"], t["domain"])), None)


def find_user(store: Store, name: str) -> Row | None:
    """By object id or by address."""
    return next((u for u in store.all("users") if name.lower() in (u["id"], u["address"])), None)


def short_scope(scope: str) -> str:
    return scope.removeprefix("https://graph.microsoft.com/")


def wanted_permissions(scopes: Iterable[str]) -> list[str]:
    """Graph permissions asked for; ``.default`` stands for everything registered."""
    short = [short_scope(scope) for scope in scopes]
    return list(DELEGATED) if ".default" in short else [s for s in short if s not in OIDC_SCOPES]


def granted_delegated(store: Store, user: Row) -> set[str]:
    organisation = store.get("consents", user["tenant"]) or {"delegated": []}
    own = store.get("user_consents", user["id"]) or {"delegated": []}
    return {*organisation["delegated"], *own["delegated"]}


def revoke_tenant(store: Store, tid: str) -> None:
    """What removing the enterprise application does: grants, refresh tokens and subscriptions go."""
    store.delete("consents", tid)
    for kind in ("user_consents", "refresh_tokens", "subscriptions"):
        for key in store.keys(kind):
            if (store.get(kind, key) or {}).get("tenant") == tid:
                store.delete(kind, key)
