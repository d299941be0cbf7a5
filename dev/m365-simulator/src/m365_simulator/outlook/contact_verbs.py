"""What people do to their address books without us: thousands of contacts, changes, moves, deletions."""

import random
from typing import Literal

from m365_simulator.changelog import Reason
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import GraphError

from . import contact_items, folders, items
from .rules import rule

FAMILY = "contactFolders"
GIVEN = ("Aino", "Björn", "Chidi", "Dolores", "Émile", "Farida", "Goran", "Hye-jin", "Ines", "Jörg", "Kofi", "Łucja")
LAST = ("Abe", "O'Brien", "Çelik", "Dvořák", "Eriksen", "Fernández", "Gupta", "Haddad", "Ito", "Jansen", "Kowalska")
FIRMS = ("Northwind Traders", "Fourth Coffee", "Litware", "Tailspin Toys", "Wingtip Toys")


def mailbox_of(simulator: Simulator, name: str) -> Row:
    found = find_user(simulator.store, name)
    if found is None or not found["mailbox"]:
        known = ", ".join(row["address"] for row in simulator.store.all("users") if row["mailbox"])
        raise Refused(f"'{name}' has no mailbox. Those who have: {known}.")
    return found


def folder_of(simulator: Simulator, family: str, user: Row, name: str, *, create: bool = False) -> Row:
    """By id, well-known name or display names joined by ``/``; ``create`` makes what is missing."""
    rows = folders.tree(simulator, family, user["id"])
    found = next((row for row in rows if name in (row["id"], row["well_known"], row["name"])), None)
    if found is not None:
        return found
    if not create:
        raise Refused(f"There is no folder '{name}'. Known: {', '.join(row['name'] for row in rows)}.")
    at = rows[0]
    for title in filter(None, name.split("/")):
        known = next((row for row in folders.children(simulator, at) if row["name"] == title), None)
        at = known or folders.add(simulator, at, title)
    return at


def _contact(simulator: Simulator, user: Row, key: str) -> Row:
    row = items.find(simulator, contact_items.KIND, user["id"], key)
    if row is None:
        raise Refused(f"{user['address']} has no contact '{key}'.")
    return row


def _named(row: Row) -> Row:
    return {"id": row["mutable"], "immutable": row["id"], "name": row["body"]["displayName"], "folder": row["folder"]}


def _person(number: int, draw: random.Random) -> Row:
    """Mostly plain; each tenth has no address, each fifteenth no name, each seventh several addresses."""
    given, last = draw.choice(GIVEN), draw.choice(LAST)
    stem = f"person{number}@{draw.choice(FIRMS).split()[0].lower()}.example"
    addresses = [{"name": f"{given} {last}", "address": stem}] if number % 10 else []
    if number % 7 == 0:
        addresses += [{"name": "home", "address": f"home.{stem}"}, {"name": "", "address": f"old.{stem}"}]
    names = {"givenName": given, "surname": last} if number % 15 else {}
    phone = {"mobilePhone": f"+1 555 {number:07d}"} if number % 3 else {}
    return {**names, "companyName": draw.choice(FIRMS) if names else None, "emailAddresses": addresses, **phone}


def _odd(person: Row, number: int) -> Row:
    """What other programs leave in address books: no address, none of the internet, the wrong text, much of it."""
    kinds: tuple[Row, ...] = (
        {"emailAddresses": [{"name": "Anna Meyer", "address": None}]},
        {
            "emailAddresses": [
                {"name": "A Colleague", "address": f"/o=ExchangeLabs/ou=Exchange/cn=Recipients/cn={number}"}
            ]
        },
        {"emailAddresses": [{"name": "", "address": "call at work"}], "mobilePhone": "ask reception"},
        {"emailAddresses": [{"name": "", "address": f"n{at}.{number}@list.example"} for at in range(60)]},
        {"givenName": "<b>Bold</b>", "surname": "\u0000\u0007Control 👋"},
        {"personalNotes": "x" * 1_048_576},
        {"givenName": None, "surname": None, "companyName": None, "emailAddresses": [], "mobilePhone": None},
    )
    return person | kinds[number % len(kinds)]


@verb
def contacts_seed(simulator: Simulator, *, user: str, count: int, folder: str = "contacts", odd: bool = False) -> Row:
    """Put `count` contacts, mixed or only `odd`, into a folder (id, well-known name, or A/B/C, made if missing)."""
    if not 1 <= count <= 50_000:
        raise Refused("count is from 1 to 50000.")
    owner = mailbox_of(simulator, user)
    draw = random.Random(f"{simulator.settings.seed}/{owner['id']}/{folder}")
    with simulator.store.together():
        goal = folder_of(simulator, FAMILY, owner, folder, create=True)
        start = len(contact_items.of_folder(simulator, goal))
        people = [_person(start + n, draw) for n in range(1, count + 1)]
        people = [_odd(person, n) for n, person in enumerate(people)] if odd else people
        rows = [contact_items.create(simulator, goal, person) for person in people]
    return {"id": rows[0]["mutable"], "last": rows[-1]["mutable"], "folder": goal["id"], "count": count}


@verb
def contact_add(
    simulator: Simulator, *, user: str, folder: str = "contacts", contact: dict[str, object] | None = None
) -> Row:
    """Add one contact with Graph's properties; none is a contact without name or address."""
    owner = mailbox_of(simulator, user)
    with simulator.store.together():
        goal = folder_of(simulator, FAMILY, owner, folder, create=True)
        return _named(contact_items.create(simulator, goal, dict(contact or {})))


@verb
def contact_change(simulator: Simulator, *, user: str, contact: str, values: dict[str, object]) -> Row:
    """Change a contact's properties, as its owner does in Outlook."""
    row = _contact(simulator, mailbox_of(simulator, user), contact)
    with simulator.store.together():
        return _named(contact_items.change(simulator, row, dict(values)))


@verb
def contacts_change(simulator: Simulator, *, user: str, folder: str = "contacts", every: int = 10) -> Row:
    """Change each n-th contact of a folder (another job title)."""
    owner = mailbox_of(simulator, user)
    if every < 1:
        raise Refused("every is from 1.")
    rows = contact_items.of_folder(simulator, folder_of(simulator, FAMILY, owner, folder))[::every]
    with simulator.store.together():
        for row in rows:
            contact_items.change(simulator, row, {"jobTitle": f"Changed at {simulator.now():%H:%M:%S}"})
    return {"changed": len(rows)}


@verb
def contact_delete(simulator: Simulator, *, user: str, contact: str, reason: Reason = "deleted") -> None:
    """Delete a contact; `reason` is what the delta query will say."""
    row = _contact(simulator, mailbox_of(simulator, user), contact)
    with simulator.store.together():
        contact_items.delete(simulator, row, reason)


@verb
def contact_move(
    simulator: Simulator, *, user: str, contact: str, folder: str, reason: Literal["deleted", "changed"] | None = None
) -> Row:
    """Move a contact to another folder: its mutable id changes, the immutable one stays."""
    owner = mailbox_of(simulator, user)
    row = _contact(simulator, owner, contact)
    with simulator.store.together():
        goal = folder_of(simulator, FAMILY, owner, folder, create=True)
        return _named(contact_items.move(simulator, row, goal, reason or rule(simulator, "moved_reason")))


@verb
def contact_folder_add(simulator: Simulator, *, user: str, name: str, parent: str | None = None) -> Row:
    """Add a contact folder, nested under `parent` when given."""
    owner = mailbox_of(simulator, user)
    above = folder_of(simulator, FAMILY, owner, parent or folders.ROOTS[FAMILY], create=True)
    try:
        return folders.add(simulator, above, name)
    except GraphError as error:
        raise Refused(error.message) from error
