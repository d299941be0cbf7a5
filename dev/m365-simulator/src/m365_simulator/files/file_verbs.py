"""What happens in SharePoint and Teams without us: sites, teams and channels are made, files come and go."""

import base64
from typing import Literal

from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.named import tenant_row
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import GraphError

from . import content, drives, quickxor, site_rows, teams
from .tree import Tree


def _people(simulator: Simulator, names: list[str]) -> list[str]:
    found = [find_user(simulator.store, name) for name in names]
    if None in found:
        known = ", ".join(row["address"] for row in simulator.store.all("users"))
        raise Refused(f"Somebody of {names} is not there. Known: {known}.")
    return [row["id"] for row in found if row]


def _drive(simulator: Simulator, name: str) -> Row:
    """By id, a person (the OneDrive), or a site by id, path or name."""
    user = find_user(simulator.store, name)
    if user is not None:
        return drives.personal(simulator, user)
    site = next((s for s in simulator.store.all("sites") if name in (s["id"], s["path"], s["name"], s["title"])), None)
    row = drives.of_site(simulator, site)[0] if site else simulator.store.get("drives", name)
    if row is None:
        known = ", ".join(row["path"] for row in simulator.store.all("sites") if row["path"])
        raise Refused(f"There is no drive '{name}'. Name a person, a drive's id or a site: {known or 'none yet'}.")
    return row


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


@verb
def site_add(simulator: Simulator, *, tenant: str, name: str, path: str | None = None) -> Row:
    """Add a SharePoint site with a document library; `path` is /sites/name unless given."""
    owner = tenant_row(simulator, tenant)
    where = path or f"/sites/{''.join(part for part in name if part.isalnum())}"
    if any(s["tenant"] == owner["id"] and s["path"] == where for s in simulator.store.all("sites")):
        raise Refused(f"There is a site at {where} already.")
    with simulator.store.together():
        row = site_rows.add(simulator, owner["id"], name, where)
    return {**site_rows.shown(row), "drive": drives.of_site(simulator, row)[0]["id"]}


def site_named(simulator: Simulator, name: str) -> Row:
    row = simulator.store.get("sites", _drive(simulator, name)["site"] or "")
    if row is None:
        raise Refused(f"'{name}' is not a site.")
    return row


@verb
def site_grant(
    simulator: Simulator, *, site: str, role: Literal["read", "write", "owner", "fullcontrol"], app: str | None = None
) -> Row:
    """Grant an application (ours unless named) a role on a site, as its administrator does for Sites.Selected."""
    return site_rows.grant(
        simulator, site_named(simulator, site), app or simulator.settings.client_id, "Prospo", [role]
    )


@verb
def team_add(simulator: Simulator, *, tenant: str, name: str, members: list[str]) -> Row:
    """Add a team with its site and the channel General, whose folder is there."""
    owner = tenant_row(simulator, tenant)
    with simulator.store.together():
        row = teams.add_team(simulator, owner["id"], name, _people(simulator, members))
    return {**row, "channel": row["channels"][0]["id"]}


def _team(simulator: Simulator, name: str) -> Row:
    found = next((row for row in simulator.store.all("teams") if name in (row["id"], row["name"])), None)
    if found is None:
        raise Refused(
            f"There is no team '{name}'. Known: {', '.join(t['name'] for t in simulator.store.all('teams'))}."
        )
    return found


@verb
def channel_add(
    simulator: Simulator,
    *,
    team: str,
    name: str,
    membership: Literal["standard", "private", "shared"] = "standard",
    members: list[str] | None = None,
    provisioned: bool = False,
) -> Row:
    """Add a channel; its files folder answers 404 until it is `provisioned` or opened."""
    row, own = _team(simulator, team), _people(simulator, members or [])
    with simulator.store.together():
        return teams.add_channel(
            simulator, row, name, membership=membership, members=own or None, provisioned=provisioned
        )


@verb
def channel_open(simulator: Simulator, *, team: str, channel: str) -> Row:
    """Somebody opens the channel's Files tab, which makes its folder."""
    row = _team(simulator, team)
    found = next((one for one in row["channels"] if channel in (one["id"], one["name"])), None)
    if found is None:
        raise Refused(f"'{team}' has no channel '{channel}'.")
    with simulator.store.together():
        return teams.open_channel(simulator, row, found)


@verb
def quota_set(simulator: Simulator, *, drive: str, total: int | None = None, free: int | None = None) -> Row:
    """Set how many bytes a drive may hold in all, or how many are left."""
    row = _drive(simulator, drive)
    if (total is None) == (free is None) or (total or free or 0) < 0:
        raise Refused("Give either total or free, a number of bytes.")
    used = Tree(simulator, row).root()["size"]
    return simulator.store.put("drives", row["id"], row | {"total": total if total is not None else used + (free or 0)})


@verb
def library_rules(
    simulator: Simulator,
    *,
    drive: str,
    required_columns: bool = False,
    check_out: bool = False,
    approval: bool = False,
    versions: bool = True,
) -> Row:
    """A library that asks for columns to be filled in, for check-out before changes, or for approval of new files,
    or that keeps no former versions of files.

    An uploaded file stays checked out to the uploader in the first two, and a draft in the third; others do not see it.
    """
    rules = {"required_columns": required_columns, "check_out": check_out, "approval": approval}
    rules |= {"versions": versions}
    row = _drive(simulator, drive)
    return simulator.store.put("drives", row["id"], row | {"rules": rules})


@verb
def file_put(simulator: Simulator, *, drive: str, path: str, size: int | None = None, text: str | None = None) -> Row:
    """Somebody else puts a file: `text`, or `size` generated bytes that take no room on disk; folders are made."""
    place = Tree(simulator, _drive(simulator, drive))
    parts = _parts(path)
    if not parts or (size or 0) < 0:
        raise Refused("Give the path of a file, and a size that is not below 0.")
    try:
        with simulator.store.together():
            folder = place.walk(place.root(), parts[:-1], make=True) or place.root()
            row = place.add(folder, parts[-1], _stored(simulator, size, text), behaviour="replace")
    except GraphError as error:
        raise Refused(error.message) from error
    return {"id": row["id"], "drive": row["drive"], "name": row["name"], "size": row["size"], "hash": row["hash"]}


def _stored(simulator: Simulator, size: int | None, text: str | None) -> Row:
    if text is None:
        return {"content": {"generated": True}, "size": size or 0, "hash": content.generated_hash(size or 0)}
    data = text.encode()
    file = simulator.ids.text("content", 24)
    (content.folder(simulator) / file).write_bytes(data)
    hashed = quickxor.QuickXor()
    hashed.update(data)
    return {"content": {"file": file}, "size": len(data), "hash": hashed.digest()}


def item_of(simulator: Simulator, drive: str, path: str) -> tuple[Tree, Row]:
    """The item at a path of a drive that is named as in the verbs."""
    place = Tree(simulator, _drive(simulator, drive))
    row = place.walk(place.root(), _parts(path))
    if row is None or row["parent"] is None:
        raise Refused(f"There is nothing at '{path}'.")
    return place, row


@verb
def file_delete(simulator: Simulator, *, drive: str, path: str) -> None:
    """Somebody else deletes a file or folder."""
    place, row = item_of(simulator, drive, path)
    with simulator.store.together():
        place.delete(row)


@verb
def file_read(simulator: Simulator, *, drive: str, path: str, most: int = 65_536) -> Row:
    """The first bytes of a file (base64), its size and hash, for a test to compare."""
    place = Tree(simulator, _drive(simulator, drive))
    row = place.walk(place.root(), _parts(path))
    if row is None or not row["content"] or "dropped" in row["content"]:
        raise Refused(f"There is no kept file at '{path}'.")
    data = b"".join(content.pieces(simulator, row["content"], 0, min(row["size"], most) - 1))
    return {"size": row["size"], "hash": row["hash"], "base64": base64.b64encode(data).decode()}
