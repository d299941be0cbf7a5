"""Folders of a mailbox: contacts and mail each have a tree of their own, with well-known names."""

from fastapi import Request

from m365_simulator import changelog
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from .items import not_found, part

ROOTS = {"contactFolders": "contactroot", "mailFolders": "msgfolderroot"}
WELL_KNOWN = {
    "contactFolders": {"contacts": "Contacts"},
    "mailFolders": {
        "inbox": "Inbox",
        "drafts": "Drafts",
        "sentitems": "Sent Items",
        "deleteditems": "Deleted Items",
        "junkemail": "Junk Email",
        "archive": "Archive",
        "outbox": "Outbox",
    },
}


def tree(simulator: Simulator, family: str, user: str) -> list[Row]:
    """All folders of the family, the root first; the usual ones are there from the first look on."""
    kind = f"{family}/{user}"
    if not simulator.store.keys(kind):
        root = _put(simulator, family, user, None, "Top of Information Store", ROOTS[family])
        for name, title in WELL_KNOWN[family].items():
            _put(simulator, family, user, root["id"], title, name)
    return simulator.store.all(kind)


def _put(
    simulator: Simulator, family: str, user: str, parent: str | None, title: str, well_known: str | None = None
) -> Row:
    key = f"AQMkAD{simulator.ids.text('folder', 50)}AAAA"
    row: Row = {"id": key, "user": user, "family": family, "parent": parent, "name": title, "well_known": well_known}
    return kept(simulator, row)


def kept(simulator: Simulator, row: Row) -> Row:
    if row["parent"] is not None:
        changelog.note(simulator, log(row["family"], row["user"]), row["id"])
    return simulator.store.put(f"{row['family']}/{row['user']}", row["id"], row)


def log(family: str, user: str) -> str:
    return f"{family}/{user}"


def well_known(simulator: Simulator, family: str, user: str, name: str) -> Row:
    return next(row for row in tree(simulator, family, user) if row["well_known"] == name)


def folder(simulator: Simulator, family: str, user: str, key: str) -> Row:
    """By id or well-known name; raises the 404."""
    for row in tree(simulator, family, user):
        if key == row["id"] or key.lower() == row["well_known"]:
            return row
    raise not_found()


def asked(request: Request, simulator: Simulator, family: str, user: str, name: str = "folder") -> Row:
    return folder(simulator, family, user, part(request, name))


def children(simulator: Simulator, row: Row) -> list[Row]:
    return [one for one in tree(simulator, row["family"], row["user"]) if one["parent"] == row["id"]]


def add(simulator: Simulator, parent: Row, title: str | None) -> Row:
    """Raises 400 without a name and 409 for a name that the parent has already."""
    if not title or not title.strip():
        raise GraphError(400, "ErrorInvalidRequest", "The folder needs a displayName.")
    if any(one["name"].lower() == title.lower() for one in children(simulator, parent)):
        raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")
    return _put(simulator, parent["family"], parent["user"], parent["id"], title)


def below(simulator: Simulator, row: Row) -> list[Row]:
    """The folder and all under it, the deepest first."""
    return [*(one for child in children(simulator, row) for one in below(simulator, child)), row]


def removed(simulator: Simulator, row: Row) -> None:
    changelog.note(simulator, log(row["family"], row["user"]), row["id"], "deleted")
    simulator.store.delete(f"{row['family']}/{row['user']}", row["id"])


def names(row: Row) -> tuple[str, ...]:
    """What a subscription may call the folder."""
    return (row["id"], row["well_known"]) if row["well_known"] else (row["id"],)
