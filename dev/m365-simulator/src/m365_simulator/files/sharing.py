"""Sharing links: 201 when made, 200 when the same one stands, 403 where the tenant forbids the scope."""

from fastapi.responses import Response

from m365_simulator.clock import moment_of, real_now
from m365_simulator.core import Simulator
from m365_simulator.directory import find_tenant
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import GraphError, answer, json_of, listed

from . import drives
from .visits import Visit, place

KIND = "graph.permission"
TYPES = {"view": "read", "edit": "write", "embed": "read"}
SCOPES = ("anonymous", "organization", "users")
TAKES = {
    "type",
    "scope",
    "password",
    "expirationDateTime",
    "retainInheritedPermissions",
    "message",
    "recipients",
    "sendNotification",
}


def _policy(simulator: Simulator, tenant: str) -> list[str]:
    row = simulator.store.get("settings", f"sharing/{tenant}") or {"scopes": list(SCOPES)}
    return list(row["scopes"])


def _wanted(visit: Visit, body: object) -> Row:
    if not isinstance(body, dict) or set(body) - TAKES or str(body.get("type")) not in TYPES:
        raise GraphError(400, "invalidRequest", f"createLink takes {sorted(TAKES)}; type is one of {sorted(TYPES)}.")
    allowed = _policy(visit.caller.simulator, visit.caller.tenant)
    usual = "anonymous" if body["type"] == "embed" else "organization"
    scope = body.get("scope") or usual
    if scope not in SCOPES:
        raise GraphError(400, "invalidRequest", f"scope is one of {', '.join(SCOPES)}.")
    if scope not in allowed:
        text = f"Sharing with the scope '{scope}' has been disabled by the organisation."
        raise GraphError(403, "accessDenied", text, inner="sharingDisabled")
    return {"type": body["type"], "scope": scope, "password": body.get("password"), "until": _until(body)}


def _until(body: Row) -> str | None:
    text = body.get("expirationDateTime")
    if text is None:
        return None
    try:
        if moment_of(str(text)) > real_now():
            return str(text)
    except ValueError as error:
        raise GraphError(400, "invalidRequest", "expirationDateTime is not a time.") from error
    raise GraphError(400, "invalidRequest", "expirationDateTime must be in the future.")


@place("POST", "createLink", write=True)
async def create_link(visit: Visit) -> Response:
    row, wanted = visit.item(), _wanted(visit, await json_of(visit.request))
    same = next((link for link in row["links"] if {key: link[key] for key in wanted} == wanted), None)
    if same is not None:
        return _answered(visit, same, 200)
    simulator = visit.caller.simulator
    link = {**wanted, "id": simulator.ids.guid("sharing-link"), "token": simulator.ids.text("sharing-token", 40)}
    row["links"].append(link)
    visit.tree.put(row, content_changed=False)
    return _answered(visit, link, 201)


def _shown(visit: Visit, link: Row) -> Row:
    url = f"{drives.web_url(visit.caller.simulator, visit.tree.drive)}/share/{link['token']}"
    shown = {"type": link["type"], "scope": link["scope"], "webUrl": url, "preventsDownload": False}
    if link["type"] == "embed":
        shown["webHtml"] = f'<iframe src="{url}"></iframe>'
    found = {"id": link["id"], "roles": [TYPES[link["type"]]], "link": shown, "hasPassword": bool(link["password"])}
    return found | ({"expirationDateTime": link["until"]} if link["until"] else {})


def _answered(visit: Visit, link: Row, status: int) -> Response:
    return answer(visit.caller.simulator, "permission", _shown(visit, link), status, kind=KIND)


@place("GET", "permissions")
async def permissions(visit: Visit) -> Response:
    shown = [_shown(visit, link) for link in visit.item()["links"]]
    return listed(visit.caller, "permissions", shown, kind=KIND, query=visit.caller.query(KIND, Allows()))


def _link(visit: Visit) -> Row:
    """The one whose id stands behind ``permissions``."""
    found: Row | None = next((one for one in visit.item()["links"] if one["id"] == visit.address.key), None)
    if found is None:
        raise drives.missing()
    return found


@place("GET", "permissions/{key}")
async def permission(visit: Visit) -> Response:
    return _answered(visit, _link(visit), 200)


@place("DELETE", "permissions/{key}", write=True)
async def remove_permission(visit: Visit) -> Response:
    """The link opens nothing from now on."""
    row, link = visit.item(), _link(visit)
    row["links"] = [one for one in row["links"] if one["id"] != link["id"]]
    visit.tree.put(row, content_changed=False)
    return Response(status_code=204)


@verb
def sharing_policy(simulator: Simulator, *, tenant: str, scopes: list[str]) -> Row:
    """Which scopes sharing links of a tenant may have: anonymous, organization, users."""
    found = find_tenant(simulator.store, tenant)
    if found is None or set(scopes) - set(SCOPES):
        raise Refused(f"Name a tenant that is there, and scopes of {', '.join(SCOPES)}.")
    return simulator.store.put("settings", f"sharing/{found['id']}", {"scopes": scopes})
