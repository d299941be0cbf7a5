"""What the API answers of contacts and imports, and the pages that show it."""

from typing import Any

from services.console.tests.accounts import connection
from services.console.tests.state import Json, State, problem
from services.console.tests.tenants import tenant

ID = "018f0000-0000-7000-8000-000000000001"
AT = "2026-03-04T10:00:00Z"
CONNECTED = {"/v1/tenant": tenant("connected"), "/v1/connection": connection("connected")}
PAGE, FOLDERS_PAGE = f"/contacts/imports/{ID}", "/contacts/import/microsoft"
MINE = {"by": "person", "source": "acme-anna", "at": AT}
OUTLOOK = {"by": "outlook", "source": "s1", "at": AT}
SOURCE = {"id": "s1", "mine": True, "why": "imported", "read_at": AT, "removed_at": None}


def line(name: str, **more: Any) -> Json:
    about = {"id": ID, "name": name, "company": "Fourth Coffee", "job_title": "Buyer", "emails": ["ada@x.example"]}
    about |= {
        "phones": ["+49301234567"],
        "mine": True,
        "shared": False,
        "conflicts": 0,
        "archived": False,
        "version": 3,
    }
    return about | more


def contact(**more: Any) -> Json:
    fields = [
        {"name": "display_name", "value": "Ada Abel", "provenance": OUTLOOK, "conflicts": []},
        {"name": "job_title", "value": "Chief", "provenance": MINE, "conflicts": []},
    ]
    email = {"key": "ada@x.example", "value": {"address": "ada@x.example", "label": "work"}, "valid": True}
    about = {"fields": fields, "sets": {"emails": [email | {"provenance": [OUTLOOK]}]}, "sources": [SOURCE]}
    return line("Ada Abel") | about | {"archived_because": None, "changed_at": AT} | more


PROPOSAL = {
    "one": line("Sam Smith"),
    "other": line("Samuel Smith"),
    "reasons": [{"code": "same_phone", "sentence": "Both have the same number."}],
}


def in_conflict() -> Json:
    offer = {"value": "Director <b>", "source": "s1", "at": AT}
    fields = [{"name": "job_title", "value": "Chief", "provenance": MINE, "conflicts": [offer]}]
    return contact(conflicts=1, fields=fields)


def run(status: str, **more: Any) -> Json:
    about = {
        "id": ID,
        "status": status,
        "by_itself": False,
        "share": False,
        "folders": [{"id": "f", "name": "Friends"}],
    }
    about |= {"read_count": 41, "plan": {"new": 3, "conflict": 1, "same": 36}, "total": 4, "done": 0, "outcome": {}}
    about |= {"undone": {}, "asks": None, "problem": None, "remarks": [], "made_at": AT, "per_second": None}
    return about | {"started_at": None, "finished_at": None} | more


def row(name: str, action: str, **more: Any) -> Json:
    about = {"id": name, "name": name, "action": action, "outcome": None, "contact_id": None, "changed": []}
    return about | {"code": None, "field": None, "sentence": None, "undone": None, "undone_why": None} | more


ROWS = [
    row("Ada Abel", "conflict", code="conflict", sentence="You changed this contact in Prospo."),
    row("Bo Beck", "changed", changed=["job_title", "emails"], outcome="done", contact_id=ID),
    row("", "skipped", code="nothing_to_import", sentence="The contact has no name."),
]


def folder(id_: str, name: str, depth: int, **more: Any) -> Json:
    about = {"id": id_, "name": name, "path": name, "depth": depth, "count": 12, "imported_at": None}
    return about | {"keep_in_step": False} | more


FOLDERS = {
    "items": [
        folder("f1", "Contacts", 0, imported_at=AT, keep_in_step=True),
        folder("f2", "Suppliers", 0),
        folder("f3", "Coffee", 1, count=1),
        folder("f4", "Roasters", 2, count=None),
    ],
    "complete": True,
}
WITH_FOLDERS = CONNECTED | {"/v1/contacts/folders": FOLDERS}


def an_import(found: Json, *says: str, rows: Any = None, silent: tuple[str, ...] = ()) -> State:
    listed = {"items": ROWS if rows is None else rows, "next_cursor": None}
    answers = {f"/v1/contacts/imports/{ID}": found, f"/v1/contacts/imports/{ID}/rows": listed}
    return State(PAGE, answers, says, silent=silent)


BOOK_STATES = {
    "contacts-empty": State(
        "/contacts", {"/v1/contacts": {"items": []}}, ("You have no contacts yet", "Import Contacts from Outlook")
    ),
    "contacts": State(
        "/contacts",
        {"/v1/contacts": {"items": [line("Ada Abel", conflicts=1), line("Bo", mine=False)], "next_cursor": "n"}},
        ("Ada Abel", "Conflict", "shared with you", "Buyer, Fourth Coffee", "More contacts"),
    ),
    "contacts-not-found": State("/contacts?query=x", {"/v1/contacts": {"items": []}}, ("No contact is like that",)),
    "contact": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": contact()},
        ("typed in Prospo", "your Outlook", "ada@x.example", "You alone."),
    ),
    "contact-in-conflict": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": in_conflict()},
        ("Outlook has “Director &lt;b&gt;”", "Take “Director &lt;b&gt;”", "Keep “Chief”"),
    ),
    "contact-of-another": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": contact(mine=False, shared=True)},
        ("A colleague shares this contact with you",),
        silent=("Save",),
    ),
    "contact-changed-meanwhile": State(
        f"/contacts/{ID}",
        {
            f"PATCH /v1/contacts/{ID}": problem("contact_changed", "It was changed since you read it.", 412),
            f"/v1/contacts/{ID}": contact(),
        },
        ("The contact was not changed", "It was changed since you read it.", "Boss"),
        status=412,
        post={"job_title": "Boss", "was_job_title": "Chief", "version": "2"},
    ),
    "contact-of-two-sources": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": contact(sources=[SOURCE, SOURCE | {"id": "s2", "why": "same_email:ada@x.example"}])},
        ("This is another person", "both have the address ada@x.example"),
    ),
    "proposals": State(
        "/contacts/proposals",
        {"/v1/contacts/proposals": {"items": [PROPOSAL]}},
        ("Sam Smith and Samuel Smith", "Join them", "Not the same person", "Both have the same number."),
    ),
    "proposals-none": State(
        "/contacts/proposals", {"/v1/contacts/proposals": {"items": []}}, ("No two of your contacts",)
    ),
    "contact-delete": State(
        f"/contacts/{ID}/delete", {f"/v1/contacts/{ID}": contact()}, ("Delete “Ada Abel”?", "It is not imported again")
    ),
    "import-sources": State("/contacts/import", {}, ("Import Contacts", "Microsoft Account")),
    "import-not-connected": State(
        FOLDERS_PAGE, CONNECTED | {"/v1/connection": connection("not_connected")}, ("Connect Now",)
    ),
    "import-switched-off": State(
        FOLDERS_PAGE,
        CONNECTED | {"/v1/contacts/folders": problem("feature_off", "Contacts import is switched off.")},
        ("Contacts import is switched off.", "See the Microsoft 365 connector"),
    ),
    "import-folders": State(
        FOLDERS_PAGE, WITH_FOLDERS, ("Roasters", "1 contact", "kept in step", "See the preview", "Keep in step")
    ),
    "import-no-folder": State(
        FOLDERS_PAGE, WITH_FOLDERS, ("Choose at least one folder.",), status=422, post={"key": ID}
    ),
    "imports": State(
        "/contacts/imports",
        {"/v1/contacts/imports": {"items": [run("finished", outcome={"created": 3, "unchanged": 0})]}},
        ("Friends", "New contacts: 3"),
        silent=("without changes",),
    ),
    "imports-empty": State("/contacts/imports", {"/v1/contacts/imports": {"items": []}}, ("There are no imports.",)),
    "import-reading": an_import(run("reading", plan={}), "41 contacts read", "Cancel the import"),
    "import-planned": an_import(
        run("planned"),
        "New contacts: 3",
        "Start the import",
        "Job title, E-mail",
        "You changed this contact in Prospo.",
    ),
    "import-asks": an_import(
        run(
            "planned", asks={"code": "many_removed", "detail": "9 of 12 contacts were removed.", "removed": 9, "of": 12}
        ),
        "9 of 12 contacts were removed.",
        "This is right",
    ),
    "import-running": an_import(run("running", done=2, per_second=310.5), "2 of 4 contacts", "310.5 a second"),
    "import-stopped": an_import(
        run("running", problem={"code": "feature_off", "detail": "Contacts import is switched off."}),
        "Contacts import is switched off.",
    ),
    "import-finished": an_import(
        run("finished", outcome={"created": 3, "conflicts": 1}, remarks=[{"code": "mailbox_full", "detail": "Full."}]),
        "New contacts: 3",
        "your values stayed: 1",
        "Download what was left out",
        "Undo…",
        silent=("hx-get",),
    ),
    "import-undo": State(
        f"{PAGE}/undo",
        {f"/v1/contacts/imports/{ID}": run("finished", outcome={"created": 3, "updated": 1})},
        ("3 contacts that it made go", "1 contact that it changed is as before"),
    ),
    "import-undone": an_import(
        run("undone", outcome={"created": 3}, undone={"reversed": 2, "kept": 1, "failed": 0}),
        "Contacts put back: 2",
        "changed since: 1",
        rows=[row("Ada Abel", "new", undone="kept", undone_why="A person changed it after the import.")],
    ),
}
