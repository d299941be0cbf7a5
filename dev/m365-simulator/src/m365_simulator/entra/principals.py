"""Enterprise applications, grants and sessions, as administrators and Prospo see and end them through Graph.

What Graph shows changes at once; the effect on tokens comes after the tenant's ``revocation_s``.
"""

import base64
import uuid
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.directory import find_tenant, find_user, policy
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, body_of, listed

from .applications import Application, applications
from .consents import consent_of, in_a_while, principal_id, principal_of, revoke_sessions
from .permissions import GRAPH_APP_ID

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
READ_GRANTS = "DelegatedPermissionGrant.ReadWrite.All Directory.Read.All Directory.ReadWrite.All"
CHANGE_GRANTS = "DelegatedPermissionGrant.ReadWrite.All"
READ_APPS = "Application.Read.All Application.ReadWrite.All Directory.Read.All Directory.ReadWrite.All"
CHANGE_APPS = "Application.ReadWrite.All"
READ_ROLES = f"AppRoleAssignment.ReadWrite.All {READ_APPS}"
CHANGE_ROLES = "AppRoleAssignment.ReadWrite.All"
REVOKE = "User.RevokeSessions.All User.ReadWrite.All Directory.ReadWrite.All"
GRANT_FILTERS = ("clientId", "consentType", "principalId", "resourceId", "scope")
GRANTS = Allows(filters=GRANT_FILTERS, top=999, page=100)
PRINCIPALS = Allows(filters=("appId", "displayName", "id", "accountEnabled"), top=999, page=100, count=True)
ONE = Allows()


def _caller(request: Request, permissions: str) -> Caller:
    """With a person's token the person must be an administrator as well."""
    caller = Caller(request).need(delegated=permissions, role=permissions)
    person = caller.store.get("users", caller.claims["oid"])
    if not caller.app_only and not (person and person["admin"]):
        raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    return caller


def _missing(key: str) -> GraphError:
    text = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
    return GraphError(404, "Request_ResourceNotFound", text)


def _delay_s(caller: Caller) -> float:
    return float(policy(find_tenant(caller.store, caller.tenant) or {}, "revocation_s"))


def _is_leaving(caller: Caller, key: str) -> bool:
    return caller.store.get("leaving", key) is not None


def _leave(caller: Caller, key: str) -> None:
    caller.store.put("leaving", key, {"id": key})


def _bytes_id(*guids: str) -> str:
    """An opaque id like Microsoft's: GUIDs, or what stands for them, in base64url."""
    raw = b"".join(_guid(one).bytes_le for one in guids)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _guid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, text)


def principals(caller: Caller) -> list[Row]:
    """Shown rows: Graph's own, and the applications the tenant consented to."""
    here = [
        app
        for app in applications(caller.simulator)
        if consent_of(caller.simulator, app, caller.tenant) and not _is_leaving(caller, principal_of_app(caller, app))
    ]
    shown = [_shown(caller, app.client_id, app.name, app.redirect_uris) for app in here]
    return [_shown(caller, GRAPH_APP_ID, "Microsoft Graph", []), *shown]


def principal_of_app(caller: Caller, app: Application) -> str:
    return principal_id(app.client_id, caller.tenant)


def _shown(caller: Caller, client_id: str, name: str, uris: list[str]) -> Row:
    switches = principal_of(caller.simulator, client_id, caller.tenant)
    return {
        "id": switches["id"],
        "deletedDateTime": None,
        "accountEnabled": switches["enabled"],
        "appId": client_id,
        "appDisplayName": name,
        "displayName": name,
        "appRoleAssignmentRequired": False,
        "replyUrls": uris,
        "servicePrincipalNames": [client_id],
        "servicePrincipalType": "Application",
        "signInAudience": "AzureADMultipleOrgs",
        "tags": [],
    }


def _principal(caller: Caller, key: str) -> Row:
    """By object id, or ``appId=...`` in the path's parentheses. Raises 404."""
    found = next((row for row in principals(caller) if key.lower() in (row["id"], f"appid={row['appId']}")), None)
    if found is None:
        raise _missing(key)
    return found


def _app(caller: Caller, principal: Row) -> Application | None:
    return next((app for app in applications(caller.simulator) if app.client_id == principal["appId"]), None)


@router.get("/servicePrincipals")
async def list_principals(request: Request) -> Response:
    caller = _caller(request, READ_APPS)
    query = caller.query("graph.servicePrincipal", PRINCIPALS)
    return listed(caller, "servicePrincipals", principals(caller), kind="graph.servicePrincipal", query=query)


def _one_principal(caller: Caller, key: str) -> Response:
    shown = caller.query("graph.servicePrincipal", ONE).shape(_principal(caller, key))
    return answer(caller.simulator, "servicePrincipals/$entity", shown, kind="graph.servicePrincipal")


@router.get("/servicePrincipals(appId='{client_id}')")
async def principal_by_app(request: Request, client_id: str) -> Response:
    return _one_principal(_caller(request, READ_APPS), f"appId={client_id}")


@router.get("/servicePrincipals/{key}")
async def one_principal(request: Request, key: str) -> Response:
    return _one_principal(_caller(request, READ_APPS), key)


@router.patch("/servicePrincipals/{key}")
async def change_principal(request: Request, key: str) -> Response:
    """``accountEnabled`` is what can be changed here."""
    caller = _caller(request, CHANGE_APPS)
    principal = _principal(caller, key)
    body = await body_of(request, "graph.servicePrincipal")
    if set(body) - {"accountEnabled"} or not isinstance(body.get("accountEnabled"), bool):
        raise GraphError(400, "Request_BadRequest", "Only accountEnabled can be changed here, to true or false.")
    switches = principal_of(caller.simulator, principal["appId"], caller.tenant)
    caller.store.put("principals", switches["id"], switches | {"enabled": body["accountEnabled"]})
    in_a_while(caller.simulator, _delay_s(caller), "principal_switched", {"id": switches["id"]})
    return Response(status_code=204)


@router.delete("/servicePrincipals/{key}")
async def delete_principal(request: Request, key: str) -> Response:
    caller = _caller(request, CHANGE_APPS)
    principal = _principal(caller, key)
    if principal["appId"] == GRAPH_APP_ID:
        raise GraphError(400, "Request_BadRequest", "Microsoft's own service principal cannot be deleted.")
    _leave(caller, principal["id"])
    payload = {"tenant": caller.tenant, "app": principal["appId"]}
    in_a_while(caller.simulator, _delay_s(caller), "application_leaves", payload)
    return Response(status_code=204)


@router.get("/servicePrincipals/{key}/appRoleAssignments")
async def list_roles(request: Request, key: str) -> Response:
    caller = _caller(request, READ_ROLES)
    rows = _roles(caller, _principal(caller, key))
    query = caller.query("graph.appRoleAssignment", Allows(top=999, page=100))
    context = f"servicePrincipals('{key}')/appRoleAssignments"
    return listed(caller, context, rows, kind="graph.appRoleAssignment", query=query)


def _roles(caller: Caller, principal: Row) -> list[Row]:
    app = _app(caller, principal)
    consent = consent_of(caller.simulator, app, caller.tenant) if app else None
    rows = [_role_shown(caller, principal, name) for name in (consent or {}).get("roles", [])]
    return [row for row in rows if not _is_leaving(caller, row["id"])]


def _role_shown(caller: Caller, principal: Row, name: str) -> Row:
    role = role_id(name)
    return {
        "id": _bytes_id(principal["id"], role),
        "appRoleId": role,
        "createdDateTime": "2026-01-01T00:00:00Z",
        "principalDisplayName": principal["displayName"],
        "principalId": principal["id"],
        "principalType": "ServicePrincipal",
        "resourceDisplayName": "Microsoft Graph",
        "resourceId": principal_id(GRAPH_APP_ID, caller.tenant),
    }


def role_id(name: str) -> str:
    """Stands for Microsoft's fixed id of an application permission."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://graph.microsoft.com/{name}"))


@router.delete("/servicePrincipals/{key}/appRoleAssignments/{role}")
async def delete_role(request: Request, key: str, role: str) -> Response:
    caller = _caller(request, CHANGE_ROLES)
    principal = _principal(caller, key)
    found = next((row for row in _roles(caller, principal) if row["id"] == role), None)
    app = _app(caller, principal)
    if found is None or app is None:
        raise _missing(role)
    consent = consent_of(caller.simulator, app, caller.tenant) or {"roles": []}
    names = [name for name in consent["roles"] if role_id(name) == found["appRoleId"]]
    _take(caller, found["id"], {"kind": "consents", "key": app.key(caller.tenant), "roles": True, "names": names})
    return Response(status_code=204)


def _take(caller: Caller, key: str, payload: Row) -> None:
    _leave(caller, key)
    in_a_while(caller.simulator, _delay_s(caller), "grant_taken", {"id": key, **payload})


def grants(caller: Caller) -> list[tuple[Row, Row]]:
    """Shown grants, each with where its delegated permissions are kept."""
    apps = {app.client_id: app for app in applications(caller.simulator)}
    found = [_grant(caller, app, "consents", app.key(caller.tenant), None) for app in apps.values()]
    own = [row for row in caller.store.all("user_consents") if row["tenant"] == caller.tenant and row["app"] in apps]
    for row in own:
        app = apps[row["app"]]
        found.append(_grant(caller, app, "user_consents", app.key(row["user"]), row["user"]))
    return [(shown, place) for shown, place in found if shown["scope"] and not _is_leaving(caller, shown["id"])]


def _grant(caller: Caller, app: Application, kind: str, key: str, person: str | None) -> tuple[Row, Row]:
    row = caller.store.get(kind, key) or {"delegated": []}
    client, resource = principal_of_app(caller, app), principal_id(GRAPH_APP_ID, caller.tenant)
    shown = {
        "id": _bytes_id(client, resource, *([person] if person else [])),
        "clientId": client,
        "consentType": "Principal" if person else "AllPrincipals",
        "principalId": person,
        "resourceId": resource,
        "scope": " ".join(row["delegated"]),
    }
    return shown, {"kind": kind, "key": key, "names": row["delegated"]}


def _listed_grants(caller: Caller, context: str, chosen: list[Row]) -> Response:
    query = caller.query("graph.oAuth2PermissionGrant", GRANTS)
    return listed(caller, context, chosen, kind="graph.oAuth2PermissionGrant", query=query)


@router.get("/oauth2PermissionGrants")
async def list_grants(request: Request) -> Response:
    caller = _caller(request, READ_GRANTS)
    return _listed_grants(caller, "oauth2PermissionGrants", [shown for shown, _ in grants(caller)])


@router.get("/servicePrincipals/{key}/oauth2PermissionGrants")
async def grants_of_principal(request: Request, key: str) -> Response:
    caller = _caller(request, READ_GRANTS)
    client = _principal(caller, key)["id"]
    chosen = [shown for shown, _ in grants(caller) if shown["clientId"] == client]
    return _listed_grants(caller, f"servicePrincipals('{key}')/oauth2PermissionGrants", chosen)


@router.get("/me/oauth2PermissionGrants")
@router.get("/users/{name}/oauth2PermissionGrants")
async def grants_of_person(request: Request, name: str | None = None) -> Response:
    caller = Caller(request).need(delegated=READ_GRANTS, role=READ_GRANTS)
    person = caller.user(name) if name is None or caller.app_only else _person(_caller(request, READ_GRANTS), name)
    chosen = [shown for shown, _ in grants(caller) if shown["principalId"] == person["id"]]
    return _listed_grants(caller, f"users('{person['id']}')/oauth2PermissionGrants", chosen)


def _held(caller: Caller, key: str) -> tuple[Row, Row]:
    found = next(((shown, place) for shown, place in grants(caller) if shown["id"] == key), None)
    if found is None:
        raise _missing(key)
    return found


@router.get("/oauth2PermissionGrants/{key}")
async def one_grant(request: Request, key: str) -> Response:
    caller = _caller(request, READ_GRANTS)
    shown = caller.query("graph.oAuth2PermissionGrant", ONE).shape(_held(caller, key)[0])
    context = "oauth2PermissionGrants/$entity"
    return answer(caller.simulator, context, shown, kind="graph.oAuth2PermissionGrant")


@router.post("/oauth2PermissionGrants")
async def add_grant(request: Request) -> Response:
    caller = _caller(request, CHANGE_GRANTS)
    body = await body_of(request, "graph.oAuth2PermissionGrant")
    _check_grant(body)
    app = next((one for one in applications(caller.simulator) if _is_client(caller, one, body["clientId"])), None)
    if app is None or body["resourceId"].lower() != principal_id(GRAPH_APP_ID, caller.tenant):
        raise _missing(body["clientId"] if app is None else body["resourceId"])
    person = body.get("principalId") if body["consentType"] == "Principal" else None
    if person and _person(caller, person)["id"] != person:
        raise _missing(person)
    return _granted(caller, app, person, str(body.get("scope") or "").split())


def _is_client(caller: Caller, app: Application, key: str) -> bool:
    known = consent_of(caller.simulator, app, caller.tenant) is not None
    return known and principal_of_app(caller, app) == key.lower()


def _check_grant(body: Row) -> None:
    for name in ("clientId", "consentType", "resourceId"):
        if not body.get(name):
            raise GraphError(400, "Request_BadRequest", f"A value is required for property '{name}' of the grant.")
    if body["consentType"] not in ("AllPrincipals", "Principal"):
        raise GraphError(400, "Request_BadRequest", "consentType is AllPrincipals or Principal.")
    if (body["consentType"] == "Principal") != bool(body.get("principalId")):
        raise GraphError(
            400, "Request_BadRequest", "principalId goes with the consentType Principal, and only with it."
        )


def _granted(caller: Caller, app: Application, person: str | None, names: list[str]) -> Response:
    kind, key = ("user_consents", app.key(person)) if person else ("consents", app.key(caller.tenant))
    row = caller.store.get(kind, key)
    if row and row["delegated"]:
        raise GraphError(409, "Request_MultipleObjectsWithSameKeyValue", "Permission entry already exists.")
    made: dict[str, Any] = row or {"tenant": caller.tenant, "user": person, "app": app.client_id}
    caller.store.put(kind, key, made | {"delegated": sorted(names)})
    shown, _ = _grant(caller, app, kind, key, person)
    context = "oauth2PermissionGrants/$entity"
    return answer(caller.simulator, context, shown, 201, kind="graph.oAuth2PermissionGrant")


@router.patch("/oauth2PermissionGrants/{key}")
async def change_grant(request: Request, key: str) -> Response:
    """The scope as a whole; what is added counts at once, what is taken after a while."""
    caller = _caller(request, CHANGE_GRANTS)
    _, place = _held(caller, key)
    body = await body_of(request, "graph.oAuth2PermissionGrant")
    if set(body) != {"scope"}:
        raise GraphError(400, "Request_BadRequest", "Only the scope of a grant can be changed.")
    row, names = caller.store.get(place["kind"], place["key"]) or {}, str(body["scope"] or "").split()
    caller.store.put(place["kind"], place["key"], row | {"delegated": sorted(names)})
    return Response(status_code=204)


@router.delete("/oauth2PermissionGrants/{key}")
async def delete_grant(request: Request, key: str) -> Response:
    caller = _caller(request, CHANGE_GRANTS)
    shown, place = _held(caller, key)
    _take(caller, shown["id"], place)
    return Response(status_code=204)


def _person(caller: Caller, name: str) -> Row:
    found = find_user(caller.store, name)
    if found is None or found["tenant"] != caller.tenant:
        raise _missing(name)
    return found


@router.post("/me/revokeSignInSessions")
@router.post("/users/{name}/revokeSignInSessions")
async def end_sessions(request: Request, name: str | None = None) -> Response:
    """One's own, or as an administrator somebody's; a guest's are at home."""
    caller = Caller(request).need(delegated=f"{REVOKE} User.ReadWrite", role=REVOKE)
    person = caller.user(None) if name is None else _person(_caller(request, REVOKE), name)
    revoke_sessions(caller.simulator, person, _delay_s(caller))
    return answer(caller.simulator, "Edm.Boolean", {"value": True}, kind=None)
