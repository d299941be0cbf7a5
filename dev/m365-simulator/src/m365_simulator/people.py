"""The organisation and its people, as far as callers read them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from .odata import Allows
from .store import Row
from .wire import Caller, GraphError, GraphRoute, answer, listed

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
READERS = "Organization.Read.All User.Read.All"
ONE = Allows()


def organisation_shown(tenant: Row) -> Row:
    domain = {"name": tenant["domain"], "isDefault": True, "isInitial": True, "type": "Managed", "capabilities": ""}
    return {"id": tenant["id"], "displayName": tenant["name"], "verifiedDomains": [domain]}


def person_shown(user: Row) -> Row:
    return {
        "id": user["id"],
        "displayName": user["name"],
        "userPrincipalName": user["address"],
        "mail": user["address"] if user["mailbox"] else None,
    }


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


@router.get("/me")
@router.get("/users/{name}")
async def person(request: Request, name: str | None = None) -> Response:
    caller = Caller(request).need(delegated="User.Read User.Read.All", role="User.Read.All")
    shown = caller.query("graph.user", ONE).shape(person_shown(caller.user(name)))
    return answer(caller.simulator, "users/$entity", shown, kind="graph.user")
