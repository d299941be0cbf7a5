"""The organisation and its people, as far as callers read them."""

import uuid

from fastapi import APIRouter, Request
from fastapi.responses import Response

from .odata import Allows
from .store import Row
from .wire import Caller, GraphError, GraphRoute, answer, listed

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
READERS = "Organization.Read.All User.Read.All"
ONE = Allows()
MANY = Allows(
    filters=("displayName", "userPrincipalName", "mail", "id", "city", "accountEnabled"),
    orders=("displayName", "userPrincipalName"),
    top=999,
    count=True,
    page=100,
)
ONE_AT_A_TIME = {
    *("aboutMe", "birthday", "hireDate", "interests", "mailboxSettings", "mySite", "pastProjects", "preferredName"),
    *("responsibilities", "schools", "skills"),
}
"""Properties that Graph gives of a single person only."""
SINCE = "2021-08-02T10:30:06Z"
EXCHANGE = "efb87545-963c-4e0d-99df-69c6916d9eb0"
PLANS = {"exchange": EXCHANGE, "TeamspaceAPI": "57ff2da0-773e-42df-b2af-ffb7a2317929"}
WITHIN = {"EXCHANGESTANDARD": ("exchange",), "TEAMS_ESSENTIALS": ("TeamspaceAPI",)}
"""Licences of one service; any other has both. How Teams names its service is unproven."""

USUAL = {"id", "displayName", "givenName", "surname", "userPrincipalName", "mail"}
"""What of a person is shown when nothing is selected; Graph shows telephones besides."""


def organisation_shown(tenant: Row) -> Row:
    domain = {"name": tenant["domain"], "isDefault": True, "isInitial": True, "type": "Managed", "capabilities": ""}
    return {
        "id": tenant["id"],
        "deletedDateTime": None,
        "displayName": tenant["name"],
        "createdDateTime": SINCE,
        "tenantType": "AAD",
        "countryLetterCode": None,
        "preferredLanguage": "en",
        "businessPhones": [],
        "technicalNotificationMails": [],
        "assignedPlans": [_plan("exchange")],
        "provisionedPlans": [],
        "verifiedDomains": [domain],
    }


def person_shown(user: Row) -> Row:
    given, _, surname = user["name"].partition(" ")
    return {
        "id": user["id"],
        "displayName": user["name"],
        "givenName": given,
        "surname": surname or None,
        "userPrincipalName": user["address"],
        "mail": user["address"] if user["mailbox"] else None,
        "proxyAddresses": _proxies(user),
        "accountEnabled": user.get("enabled", True),
        "userType": "Guest" if user.get("guest") else "Member",
        "assignedLicenses": [{"skuId": _sku(name), "disabledPlans": []} for name in user.get("licences", [])],
        "assignedPlans": [_plan(name) for name in sorted(_services(user))],
        "signInSessionsValidFromDateTime": user.get("sessions_valid_from", SINCE),
    }


def _proxies(user: Row) -> list[str]:
    """Exchange's addresses of a mailbox; the one in capitals is the first."""
    if not user["mailbox"]:
        return []
    return [f"SMTP:{user['address']}", *(f"smtp:{alias}" for alias in user.get("aliases", []))]


def _plan(service: str) -> Row:
    enabled = {"assignedDateTime": SINCE, "capabilityStatus": "Enabled"}
    return enabled | {"service": service, "servicePlanId": PLANS[service]}


def _services(user: Row) -> set[str]:
    return {service for licence in user.get("licences", []) for service in WITHIN.get(licence, tuple(PLANS))}


def _sku(name: str) -> str:
    """Stands for Microsoft's id of a licence."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://microsoft.com/licences/{name}"))


@router.get("/organization")
async def organization(request: Request) -> Response:
    caller = Caller(request).need(delegated=f"User.Read {READERS}", role=READERS)
    tenant = caller.store.get("tenants", caller.tenant) or {}
    query = caller.query("graph.organization", ONE)
    return listed(caller, "organization", [organisation_shown(tenant)], kind="graph.organization", query=query)


@router.get("/organization/{key}")
async def one_organization(request: Request, key: str) -> Response:
    caller = Caller(request).need(delegated=f"User.Read {READERS}", role=READERS)
    if key != caller.tenant:
        raise GraphError(404, "Request_ResourceNotFound", f"Resource '{key}' does not exist.")
    tenant = caller.store.get("tenants", caller.tenant) or {}
    query = caller.query("graph.organization", ONE)
    shown = query.shape(organisation_shown(tenant))
    return answer(caller.simulator, "organization/$entity", shown, kind="graph.organization")


@router.get("/organization/{key}/branding")
async def branding(request: Request, key: str) -> Response:
    """Nobody here has any; Graph says so without a body."""
    Caller(request).need(delegated=f"User.Read {READERS}", role=READERS)
    return Response(status_code=404)


@router.get("/users")
@router.get("/users/")
async def everybody(request: Request) -> Response:
    caller = Caller(request).need(delegated="User.Read.All User.ReadBasic.All", role="User.Read.All")
    query = caller.query("graph.user", MANY)
    if set(query.select or ()) & ONE_AT_A_TIME:
        raise GraphError(501, "NotImplemented", "This operation target is not yet supported.")
    rows = [person_shown(row) for row in caller.store.all("users") if row["tenant"] == caller.tenant]
    return listed(caller, "users", rows, kind="graph.user", query=query)


@router.get("/me")
@router.get("/users/{name}")
async def person(request: Request, name: str | None = None) -> Response:
    caller = Caller(request).need(delegated="User.Read User.Read.All", role="User.Read.All")
    query, row = caller.query("graph.user", ONE), person_shown(caller.user(name))
    shown = query.shape(row if query.select else {key: value for key, value in row.items() if key in USUAL})
    return answer(caller.simulator, "users/$entity", shown, kind="graph.user")
