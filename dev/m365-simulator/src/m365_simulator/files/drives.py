"""Drives: a person's OneDrive and the document libraries of sites, and who may read or write them."""

from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError

READ = "Files.Read.All Files.ReadWrite.All Sites.Read.All Sites.ReadWrite.All Sites.Manage.All Sites.FullControl.All"
WRITE = "Files.ReadWrite.All Sites.ReadWrite.All Sites.Manage.All Sites.FullControl.All"
OWN_READ, OWN_WRITE = f"Files.Read Files.ReadWrite {READ}", f"Files.ReadWrite {WRITE}"
SELECTED = "Sites.Selected"
TERABYTE = 1024**4
WRITING = {"write", "owner", "fullcontrol"}


def denied() -> GraphError:
    return GraphError(403, "accessDenied", "Access denied")


def missing() -> GraphError:
    return GraphError(404, "itemNotFound", "The resource could not be found.")


def make(simulator: Simulator, tenant: str, name: str, *, owner: str | None = None, site: str | None = None) -> Row:
    """A drive with its root folder."""
    key = f"b!{simulator.ids.text('drive', 64)}"
    kind = "business" if owner else "documentLibrary"
    row: Row = {"id": key, "tenant": tenant, "name": name, "kind": kind, "owner": owner, "site": site}
    row |= {"total": TERABYTE, "root": f"01{_upper(simulator, 'root')}", "created": simulator.now().isoformat()}
    return simulator.store.put("drives", key, row)


def _upper(simulator: Simulator, kind: str) -> str:
    return simulator.ids.text(kind, 32).replace("-", "A").replace("_", "B").upper()


def new_item_id(simulator: Simulator) -> str:
    return f"01{_upper(simulator, 'drive-item')}"


def personal(simulator: Simulator, user: Row) -> Row:
    """Made at the first look, as OneDrive does it."""
    for row in simulator.store.all("drives"):
        if row["owner"] == user["id"]:
            return row
    return make(simulator, user["tenant"], "OneDrive", owner=user["id"])


def of_site(simulator: Simulator, site: Row) -> list[Row]:
    return [row for row in simulator.store.all("drives") if row["site"] == site["id"]]


def admit(caller: Caller, drive: Row, *, write: bool) -> None:
    """Raises 403 unless the caller may use the drive so."""
    if drive["site"] is not None:
        enter(caller, caller.store.get("sites", drive["site"]), write=write)
        return
    caller.need(delegated=OWN_WRITE if write else OWN_READ, role=WRITE if write else READ, place="files")
    if not caller.app_only and drive["owner"] != caller.claims["oid"]:
        raise denied()


def enter(caller: Caller, site: Row | None, *, write: bool) -> None:
    """Refuse a site to an application without its grant (Sites.Selected), and a private one to who is no member."""
    allowed = f"{WRITE if write else READ} {SELECTED}"
    caller.need(delegated=allowed, role=allowed, place="files")
    selected = caller.request.state.permission == SELECTED
    if site is None or site["tenant"] != caller.tenant:
        raise denied() if selected else missing()
    if selected and not _granted(caller, site, write=write):
        raise denied()
    if not caller.app_only and site["members"] is not None and caller.claims["oid"] not in site["members"]:
        raise denied()


def _granted(caller: Caller, site: Row, *, write: bool) -> bool:
    held = {role for row in site["permissions"] if row["app"] == caller.app for role in row["roles"]}
    return bool(held & WRITING) if write else bool(held)


def shown(simulator: Simulator, row: Row, used: int) -> Row:
    owner = simulator.store.get("users", row["owner"] or "")
    site = simulator.store.get("sites", row["site"] or "")
    named = {"user": {"id": owner["id"], "displayName": owner["name"]}} if owner else {}
    named = named or {"group": {"displayName": f"{(site or {}).get('name')} Owners"}}
    return {
        "id": row["id"],
        "name": row["name"],
        "driveType": row["kind"],
        "createdDateTime": row["created"],
        "lastModifiedDateTime": row["created"],
        "webUrl": web_url(simulator, row),
        "owner": named,
        "createdBy": {"user": {"displayName": "System Account"}},
        "quota": {
            "total": row["total"],
            "used": used,
            "remaining": max(0, row["total"] - used),
            "deleted": 0,
            "state": "exceeded" if used >= row["total"] else "normal",
        },
    }


def web_url(simulator: Simulator, row: Row) -> str:
    site = simulator.store.get("sites", row["site"] or "")
    if site:
        return f"https://{site['host']}{site['path']}/{row['name'].replace(' ', '%20')}"
    owner = simulator.store.get("users", row["owner"] or "") or {"address": "nobody@example"}
    folder = owner["address"].replace("@", "_").replace(".", "_")
    host = owner["address"].partition("@")[2].partition(".")[0]
    return f"https://{host}-my.sharepoint.example/personal/{folder}/Documents"
