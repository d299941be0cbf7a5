"""Sites as rows: made with their library, granted to applications, shown."""

from m365_simulator.core import Simulator
from m365_simulator.store import Row

from . import drives


def host_of(simulator: Simulator, tenant: str) -> str:
    row = simulator.store.get("tenants", tenant) or {"domain": "unknown"}
    return f"{row['domain'].partition('.')[0]}.sharepoint.example"


def add(
    simulator: Simulator, tenant: str, name: str, path: str, *, members: list[str] | None = None, title: str = ""
) -> Row:
    """A site with its document library; ``members`` None means everyone of the tenant."""
    host = host_of(simulator, tenant)
    key = f"{host},{simulator.ids.guid('site-collection')},{simulator.ids.guid('site-web')}"
    row: Row = {"id": key, "tenant": tenant, "host": host, "path": path, "name": name, "title": title or name}
    row |= {"members": members, "permissions": [], "created": simulator.now().isoformat()}
    simulator.store.put("sites", key, row)
    drives.make(simulator, tenant, "Shared Documents", site=key)
    return row


def root(simulator: Simulator, tenant: str) -> Row:
    """Every tenant has one, from the first look on."""
    for row in simulator.store.all("sites"):
        if row["tenant"] == tenant and row["path"] == "":
            return row
    return add(simulator, tenant, "Communication site", "")


def shown(row: Row) -> Row:
    found: Row = {
        "id": row["id"],
        "name": row["path"].rpartition("/")[2] or row["name"],
        "displayName": row["title"],
        "description": "",
        "createdDateTime": row["created"],
        "lastModifiedDateTime": row["created"],
        "webUrl": f"https://{row['host']}{row['path']}",
        "siteCollection": {"hostname": row["host"]},
    }
    return found | ({"root": {}} if row["path"] == "" else {})


def grant(simulator: Simulator, site: Row, app: str, name: str, roles: list[str]) -> Row:
    row = {"id": simulator.ids.text("site-permission", 40), "app": app, "name": name, "roles": roles}
    site["permissions"].append(row)
    simulator.store.put("sites", site["id"], site)
    return row
