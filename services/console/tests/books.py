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


def in_conflict(value: str = "Director <b>") -> Json:
    offer = {"value": value, "source": "s1", "at": AT}
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
SWITCHED_OFF = {"name": "contacts_import", "on": False, "ready": False, "missing": []}
OFF = CONNECTED | {"/v1/connection": connection("connected", features=[SWITCHED_OFF | {"permissions": []}])}
"""An Org Admin has switched off importing contacts."""
WITH_FOLDERS = CONNECTED | {"/v1/contacts/folders": FOLDERS}


def an_import(found: Json, *says: str, rows: Any = None, silent: tuple[str, ...] = ()) -> State:
    listed = {"items": ROWS if rows is None else rows, "next_cursor": None}
    answers = {f"/v1/contacts/imports/{ID}": found, f"/v1/contacts/imports/{ID}/rows": listed}
    return State(PAGE, answers, says, silent=silent)


BOOK_STATES = {
    "contacts-empty": State(
        "/contacts", {"/v1/contacts": {"items": []}}, ("You have no contacts yet", "Import Contacts</a>")
    ),
    "contacts": State(
        "/contacts",
        {"/v1/contacts": {"items": [line("Ada Abel", conflicts=1), line("Bo", mine=False)], "next_cursor": "n"}},
        ("Ada Abel", "Conflict", "shared with you", "Buyer, Fourth Coffee", "More contacts"),
    ),
    "contacts-not-found": State("/contacts?query=x", {"/v1/contacts": {"items": []}}, ("No contact matches.",)),
    "contact": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": contact()},
        ("typed in Prospo", "from your Outlook, <time", "ada@x.example (work)", "Only you see this contact."),
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
        ("Split: this is another person", "both have the address ada@x.example"),
    ),
    "proposals": State(
        "/contacts/proposals",
        {"/v1/contacts/proposals": {"items": [PROPOSAL]}},
        ("Sam Smith and Samuel Smith", "Join them", "Not the same person", "Both have the same number."),
    ),
    "proposals-answered": State(
        f"/contacts/proposals?done=joined&joined={ID}",
        {"/v1/contacts/proposals": {"items": []}},
        ("The two are one contact now.", f'href="/contacts/{ID}">See it</a>'),
    ),
    "proposals-none": State(
        "/contacts/proposals", {"/v1/contacts/proposals": {"items": []}}, ("No two of your contacts",)
    ),
    "contact-delete": State(
        f"/contacts/{ID}/delete",
        {f"/v1/contacts/{ID}": contact()},
        ("Delete “Ada Abel”?", "Prospo does not import it again"),
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
        FOLDERS_PAGE,
        WITH_FOLDERS,
        ("Roasters", "1 contact", "kept in step", "See the preview", "Keep folders in step", "4 March 2026</time>"),
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
    "imports-empty": State(
        "/contacts/imports", {"/v1/contacts/imports": {"items": []}}, ("You have not imported contacts yet.",)
    ),
    "import-reading": an_import(run("reading", plan={}), "41 contacts read", "Cancel the import"),
    "import-planned": an_import(
        run("planned"),
        "New contacts: 3",
        "Start the import",
        "Changed: Job title, E-mail",
        "You changed this contact in Prospo.",
    ),
    "import-asks": an_import(
        run(
            "planned", asks={"code": "many_removed", "detail": "9 of 12 contacts were removed.", "removed": 9, "of": 12}
        ),
        "9 of 12 contacts were removed.",
        "removed in Outlook on purpose",
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
        "Download the problems",
        "Undo…",
        silent=("hx-get",),
    ),
    "import-undo": State(
        f"{PAGE}/undo",
        {f"/v1/contacts/imports/{ID}": run("finished", outcome={"created": 3, "updated": 1})},
        ("Prospo deletes 3 contacts", "Prospo puts back 1 contact that"),
    ),
    "import-undoing": an_import(run("undoing", outcome={"created": 3}), "Prospo is undoing this import."),
    "import-failed": an_import(
        run("failed", problem={"code": "no_mailbox", "detail": "Your account has no mailbox."}),
        "Your account has no mailbox.",
        "Import again",
        silent=("hx-get",),
    ),
    "import-nothing": an_import(run("planned", plan={}, total=0), "there are no contacts in these folders", rows=[]),
    "import-of-another": State(
        PAGE,
        {f"/v1/contacts/imports/{ID}": problem("import_not_found", "There is no such import of yours.", 404)},
        (
            "There is nothing here</h1>",
            "There is no such import of yours.",
            'href="/contacts/imports">Your imports</a>',
            "req-7",
        ),
        status=404,
    ),
    "contact-of-nobody": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": problem("contact_not_found", "There is no such contact of yours.", 404)},
        ("There is no such contact of yours.", 'href="/contacts">Your contacts</a>'),
        status=404,
    ),
    "contact-saved": State(f"/contacts/{ID}?done=saved", {f"/v1/contacts/{ID}": contact()}, ("changes are saved.",)),
    "contact-archived": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": contact(archived=True, sources=[SOURCE | {"removed_at": AT}])},
        ("This contact is archived", "It was removed in Outlook; Prospo noticed it on"),
    ),
    "contact-emptied-in-outlook": State(
        f"/contacts/{ID}",
        {f"/v1/contacts/{ID}": in_conflict("")},
        ("Outlook has no value since", "Take it away", "Keep “Chief”"),
    ),
    "contacts-off": State(
        "/contacts",
        OFF | {"/v1/contacts": {"items": [line("Ada Abel")]}},
        ("Ada Abel", "Contacts import is switched off", "An <strong>Org Admin</strong> can switch it on"),
        silent=('href="/contacts/import"',),
    ),
    "contacts-off-for-an-admin": State(
        "/contacts",
        OFF | {"/v1/contacts": {"items": []}},
        ("Contacts import is switched off", "See the switch</a>", "You have no contacts yet"),
        "acme-admin",
        silent=('href="/contacts/import"',),
    ),
    "import-sources-off": State(
        "/contacts/import", OFF, ("Contacts import is switched off",), silent=("Microsoft Account</a>",)
    ),
    "import-folders-off": State(
        FOLDERS_PAGE, OFF, ("Contacts import is switched off",), silent=("See the preview", "Not told.")
    ),
    "imports-off": State(
        "/contacts/imports",
        OFF | {"/v1/contacts/imports": {"items": [run("finished")]}},
        ("Friends", "Contacts import is switched off"),
        silent=('href="/contacts/import"',),
    ),
    "import-tenant-not-connected": State(
        FOLDERS_PAGE,
        {"/v1/tenant": tenant("not_connected"), "/v1/connection": connection("not_connected")},
        ("Connect the organisation first", "must connect it first"),
        silent=("Connect Now",),
    ),
    "import-account-expired": State(
        FOLDERS_PAGE,
        CONNECTED | {"/v1/connection": connection("expired")},
        ("Reconnect your Microsoft account", "the contacts that you imported are untouched"),
    ),
    "import-refused": State(
        FOLDERS_PAGE,
        WITH_FOLDERS | {"POST /v1/contacts/imports": problem("too_many", "Choose fewer folders.", 422)},
        ("Choose fewer folders.", 'value="f3" checked', 'name="share" value="on" checked'),
        status=422,
        post={"key": ID, "folder": "f3", "share": "on"},
        silent=('value="f1" checked',),
    ),
    "import-undone": an_import(
        run("undone", outcome={"created": 3}, undone={"reversed": 2, "kept": 1, "failed": 0}),
        "Contacts put back: 2",
        "changed since: 1",
        rows=[row("Ada Abel", "new", undone="kept", undone_why="A person changed it after the import.")],
    ),
}
