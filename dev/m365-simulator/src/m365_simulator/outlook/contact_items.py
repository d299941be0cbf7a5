"""Contacts as rows: how they are made, changed, moved, deleted and shown, for routes and verbs alike."""

from fastapi import Request

from m365_simulator import changelog
from m365_simulator.core import Simulator
from m365_simulator.schema import properties
from m365_simulator.store import Row

from . import folders, items

KIND = "contacts"
LISTS = ("emailAddresses", "imAddresses", "businessPhones", "homePhones", "children", "categories")
ADDRESSES = ("businessAddress", "homeAddress", "otherAddress")
RANKED = ("primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress")
OWN = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId", *RANKED)
NAVIGATION = ("extensions", "multiValueExtendedProperties", "photo", "singleValueExtendedProperties")
BLANK: Row = {
    name: [] if name in LISTS else {} if name in ADDRESSES else None
    for name in properties("graph.contact")
    if name not in (*OWN, *NAVIGATION)
}


def _completed(body: Row) -> Row:
    """What Outlook fills in: the display name and how the contact is filed."""
    given, last = body.get("givenName"), body.get("surname")
    whole = " ".join(name for name in (given, last) if name)
    body.setdefault("displayName", whole or body.get("companyName") or "")
    body.setdefault("fileAs", f"{last}, {given}" if given and last else body["displayName"])
    return body


def _writable(body: Row) -> Row:
    """Without what is the service's own; the ranked addresses are the list by another name."""
    ranked = [body[name] for name in RANKED if body.get(name)]
    kept = {name: value for name, value in body.items() if name not in (*OWN, *NAVIGATION)}
    kept |= {name: [] for name in LISTS if name in kept and kept[name] is None}
    return kept | ({"emailAddresses": ranked} if ranked and "emailAddresses" not in body else {})


def create(simulator: Simulator, folder: Row, body: Row) -> Row:
    filled = BLANK | _completed(_writable(body))
    row = items.made(simulator, KIND, folder["user"], folder["id"], filled)
    changelog.note(simulator, items.collection(row), row["id"])
    tell(simulator, row, "created")
    return row


def change(simulator: Simulator, row: Row, body: Row) -> Row:
    row = items.touched(simulator, row, _writable(body))
    changelog.note(simulator, items.collection(row), row["id"])
    tell(simulator, row, "updated")
    return row


def move(simulator: Simulator, row: Row, folder: Row, reason: changelog.Reason) -> Row:
    tell(simulator, row, "deleted", left=True)
    row = items.moved(simulator, row, folder["id"], reason)
    tell(simulator, row, "created")
    return row


def delete(simulator: Simulator, row: Row, reason: changelog.Reason = "deleted") -> None:
    items.gone(simulator, row, reason)
    simulator.store.delete("photos", row["id"])
    tell(simulator, row, "deleted", left=True)


def tell(simulator: Simulator, row: Row, change_type: str, *, left: bool = False) -> None:
    folder = folders.folder(simulator, "contactFolders", row["user"], row["folder"])
    data = None if left else body_of(row, row["mutable"])
    items.tell(simulator, row, change_type, folders.names(folder), data)


def shown(request: Request, row: Row) -> Row:
    return body_of(row, items.shown_id(request, row))


def body_of(row: Row, key: str) -> Row:
    addresses = [*row["body"]["emailAddresses"], None, None, None][:3]
    ranked = dict(zip(RANKED, addresses, strict=True))
    return {"@odata.etag": items.etag(row), "id": key, "parentFolderId": row["folder"], **row["body"], **ranked}


def of_folder(simulator: Simulator, folder: Row) -> list[Row]:
    return [row for row in simulator.store.all(f"{KIND}/{folder['user']}") if row["folder"] == folder["id"]]
