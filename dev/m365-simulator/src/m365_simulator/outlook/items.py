"""What contacts and messages share: two ids, change keys, folders, and who may open the mailbox.

A row is kept under its immutable id. Its mutable id changes with every move; the caller's Prefer header decides which
of the two is shown, and either is taken.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator import changelog
from m365_simulator.changes import Change
from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError

from .rules import rule

Handler = Callable[[Request], Awaitable[Response]]
CONTACTS = "Contacts.Read Contacts.ReadWrite"
CONTACTS_WRITE = "Contacts.ReadWrite"
MAIL = "Mail.Read Mail.ReadWrite"
MAIL_WRITE = "Mail.ReadWrite"
MAIL_SEND = "Mail.Send"


def mailbox_route(router: APIRouter, method: str, *paths: str) -> Callable[[Handler], Handler]:
    """The same under ``/me`` and ``/users/{user}``. Ids are read from the path alone, never from the query."""

    def register(handler: Handler) -> Handler:
        for path in paths:
            for owner in ("/me", "/users/{user}"):
                router.add_api_route(f"{owner}{path}", handler, methods=[method])
        return handler

    return register


def opened(request: Request, permissions: str) -> tuple[Caller, Row]:
    """The caller and the user whose mailbox it is."""
    caller = Caller(request).need(delegated=permissions, role=permissions, place="outlook")
    return caller, caller.mailbox(request.path_params.get("user"))


def part(request: Request, name: str = "id") -> str:
    return str(request.path_params[name])


def about(caller: Caller) -> dict[str, str]:
    """What faults are matched with."""
    user = caller.store.get("users", caller.claims.get("oid", "")) or {}
    return {
        "path": caller.request.url.path.removeprefix("/v1.0") + f"\n{caller.request.url.path}",
        "method": caller.request.method,
        "user": f"{user.get('id', '')}\n{user.get('address', '')}",
        "tenant": caller.tenant,
    }


def not_found() -> GraphError:
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def wants_immutable(request: Request) -> bool:
    return 'idtype="immutableid"' in ",".join(request.headers.getlist("prefer")).lower().replace(" ", "")


def shown_id(request: Request, row: Row) -> str:
    return str(row["id"] if wants_immutable(request) else row["mutable"])


def _change_key(simulator: Simulator) -> str:
    return base64.b64encode(simulator.ids.text("change-key", 24).encode()).decode()


def made(simulator: Simulator, kind: str, user: str, folder: str, body: Row) -> Row:
    """A new item of ``kind`` (contacts, messages), kept."""
    now = stamp(simulator.now())
    stamped = {"createdDateTime": now, "lastModifiedDateTime": now, "changeKey": _change_key(simulator)}
    row: Row = {"id": f"AAkALg{simulator.ids.text(kind, 58)}", "user": user, "folder": folder, "kind": kind}
    row["body"] = {**body, **stamped}
    return renamed(simulator, row)


def renamed(simulator: Simulator, row: Row) -> Row:
    """Under a new mutable id; the old one leads nowhere."""
    if "mutable" in row:
        simulator.store.delete(f"mutable/{row['user']}", row["mutable"])
    row["mutable"] = f"AAMkAD{simulator.ids.text('mutable', 58)}"
    simulator.store.put(f"mutable/{row['user']}", row["mutable"], {"id": row["id"], "kind": row["kind"]})
    return simulator.store.put(f"{row['kind']}/{row['user']}", row["id"], row)


def find(simulator: Simulator, kind: str, user: str, key: str) -> Row | None:
    """By either id."""
    alias = simulator.store.get(f"mutable/{user}", key) or {}
    return simulator.store.get(f"{kind}/{user}", alias.get("id", key))


def touched(simulator: Simulator, row: Row, changed: Row) -> Row:
    """With another change key."""
    row["body"] |= {**changed, "lastModifiedDateTime": stamp(simulator.now()), "changeKey": _change_key(simulator)}
    return simulator.store.put(f"{row['kind']}/{row['user']}", row["id"], row)


def collection(row: Row, folder: str | None = None) -> str:
    """The name of the log that a folder's delta reads."""
    return f"{row['kind']}/{row['user']}/{folder or row['folder']}"


def moved(simulator: Simulator, row: Row, folder: str, reason: changelog.Reason) -> Row:
    changelog.note(simulator, collection(row), row["id"], reason, row["mutable"])
    row["folder"] = folder
    row = touched(simulator, renamed(simulator, row), {})
    changelog.note(simulator, collection(row), row["id"], silent=not rule(simulator, "moved_listed"))
    return row


def gone(simulator: Simulator, row: Row, reason: changelog.Reason = "deleted") -> None:
    changelog.note(simulator, collection(row), row["id"], reason, row["mutable"])
    simulator.store.delete(f"{row['kind']}/{row['user']}", row["id"])
    simulator.store.delete(f"mutable/{row['user']}", row["mutable"])


def current(request: Request, row: Row) -> None:
    """412 when If-Match names another version."""
    current_key(request, row["body"]["changeKey"])


def current_key(request: Request, key: str) -> None:
    wanted = request.headers.get("if-match", "*")
    if wanted not in ("*", f'W/"{key}"', key):
        text = "The send or update operation could not be performed because the change key passed in the request "
        raise GraphError(412, "ErrorIrresolvableConflict", text + "does not match the current change key for the item.")


def etag(row: Row) -> str:
    return f'W/"{row["body"]["changeKey"]}"'


def tell(simulator: Simulator, row: Row, change_type: str, folders: tuple[str, ...], data: Row | None) -> None:
    """``folders`` are the names subscriptions may give the folder, such as its id and a well-known name."""
    kind, owner = row["kind"], simulator.store.get("users", row["user"]) or {}
    parent = "contactFolders" if kind == "contacts" else "mailFolders"
    base = f"users/{row['user']}"
    covered = [f"{base}/{kind}"]
    for folder in folders:
        covered += [f"{base}/{parent}/{folder}/{kind}", f"{base}/{parent}('{folder}')/{kind}"]
    name = f"microsoft.graph.{'contact' if kind == 'contacts' else 'message'}"
    resource = f"{base}/{kind}/{row['mutable']}"
    more: dict[str, Any] = {"etag": etag(row), "immutable_id": row["id"]}
    told = Change(change_type, name, owner["tenant"], resource, row["mutable"], tuple(covered), data or {}, **more)
    simulator.changes.tell(told)
