"""The pages of Choose Storage Location, as storage would answer them."""

from typing import Any

from services.console.tests.state import Json, State, problem

PAGE, LOCATION = "/connectors/microsoft365/storage", "/v1/storage/location"
AT = "2026-03-03T09:05:00Z"
ADDRESS = "https://contoso.sharepoint.com/sites/Sales"
PLACE = {
    "name": "Sales › Documents › Recordings",
    "web_url": f"{ADDRESS}/Shared%20Documents/Recordings",
    "site_url": ADDRESS,
    "state": "works",
    "says": "",
    "nearly_full": False,
    "state_since": AT,
    "looked_at": AT,
    "chosen_at": AT,
    "chosen_by": "acme-admin",
}
STOPPED = {"state": "no_access", "says": "Prospo may not write there any more. Files wait and follow by themselves."}
STEPS = [
    {"name": "find", "verdict": "ok", "says": ""},
    {"name": "small_file", "verdict": "refused", "says": "The role <write> is missing."},
    *({"name": name, "verdict": "not_tried", "says": ""} for name in ("large_file", "rename", "versions", "delete")),
]
GRANT = {
    "site_url": ADDRESS,
    "client_id": "c1",
    "powershell": f"Grant-PnPEntraIDAppSitePermission -AppId 'c1' -Site '{ADDRESS}'",
    "graph": 'POST https://graph.microsoft.com/v1.0/sites/<that id>/permissions\n{"roles": ["write"]}',
}
TRIED = {"chosen": False, "name": "Sales › Documents", "steps": STEPS, "grant": GRANT}
FILES = [
    {"id": "f1", "name": "Review <b>.mp4", "size_bytes": 55_300, "place": "sharepoint", "state": "stored"},
    {"id": "f2", "name": "meetings/m1/a.mp4", "size_bytes": 1_400_000_000, "place": "prospo", "state": "coming"},
]
LISTED = {"items": [file | {"received_bytes": None, "created_at": AT} for file in FILES], "next_cursor": "a&b"}


def shown(location: Json | None, **more: Any) -> Json:
    return {LOCATION: {"location": location, "switched_on": True, "in_use": True, "files": 12, "waiting": 0} | more}


def page(answers: Json, *says: str, **more: Any) -> State:
    return State(PAGE, answers, says, "acme-admin", **more)


def sent(answers: Json, *says: str, status: int, **more: Any) -> State:
    return State(PAGE, answers, says, "acme-admin", status, {"address": "https://x.example/<b>"}, **more)


LOCATION_STATES = {
    "location-none": page(
        shown(None, in_use=False, switched_on=False),
        "No place is chosen. Files go to Prospo storage.",
        "Choose a place</h2>",
        "12 stored",
        silent=("Look at it now", "on their way"),
    ),
    "location-works": page(
        shown(PLACE, waiting=2),
        "Sales › Documents › Recordings",
        "Works",
        "Open in SharePoint</a>",
        "12 stored, 2 on their way or waiting",
        "Choose another place",
        silent=("switched off", "Less than a tenth"),
    ),
    "location-off": page(
        shown(PLACE | {"nearly_full": True}, in_use=False, switched_on=False),
        "SharePoint storage is switched off",
        "See the switch</a>",
        "Less than a tenth",
        "Move files back to Prospo storage",
    ),
    "location-stopped": page(shown(PLACE | STOPPED, waiting=3), "No access", "follow by themselves", "Look at it now"),
    "location-unlisted": State(
        f"{PAGE}?done=unlisted", shown(PLACE), ("The place is chosen.", "it should have one version"), "acme-admin"
    ),
    "location-refused": sent(
        shown(None) | {f"PUT {LOCATION}": (200, TRIED)},
        "Sales › Documents was not chosen",
        "Write a small file",
        "The role &lt;write&gt; is missing.",
        "Not tried",
        "One version after that",
        "Grant-PnPEntraIDAppSitePermission",
        "/sites/&lt;that id&gt;/permissions",
        "Granted, check again</button>",
        'value="https://x.example/&lt;b&gt;"',
        status=409,
    ),
    "location-no-address": sent(
        shown(None) | {f"PUT {LOCATION}": problem("address_unreadable", "Paste the whole address.", 422)},
        "The place was not chosen",
        "Paste the whole address.",
        "req-7",
        'aria-invalid="true"',
        status=422,
    ),
    "location-looked-at": page(
        {LOCATION: problem("org_admin_required", "Only an Org Admin may do this.", 403)},
        "Only an Org Admin may do this.",
        status=403,
    ),
    "files": State(
        f"{PAGE}/files",
        {"/v1/storage/files": LISTED},
        ("Review &lt;b&gt;.mp4", "55 KB, SharePoint", "1.4 GB, Prospo storage", "Stored", "Coming", "cursor=a%26b"),
        "acme-admin",
        silent=("Newest files",),
    ),
    "files-none": State(
        f"{PAGE}/files",
        {"/v1/storage/files": {"items": [], "next_cursor": None}},
        ("There are no files yet.",),
        "acme-admin",
    ),
}

FILE_ID = "018f0000-0000-7000-8000-0000000000f1"
LINK_ID = "018f0000-0000-7000-8000-0000000000f2"
FILE = {
    "id": FILE_ID,
    "name": "Offer <b>.pdf",
    "path": f"people/{FILE_ID}",
    "content_type": "application/pdf",
    "size_bytes": 55_300,
    "received_bytes": 55_300,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "state": "stored",
    "place": "sharepoint",
    "stored_as": "Offer _b_.pdf",
    "shared": False,
    "mine": True,
    "created_at": AT,
}
COMING = FILE | {"id": LINK_ID, "name": "b.bin", "state": "coming", "place": "prospo", "mine": False}
LINK = {"id": LINK_ID, "url": None, "made_by": "acme-anna", "made_at": AT, "expires_at": AT, "revoked_at": None}
LINKS = [LINK | {"opened": 1}, LINK | {"opened": 3, "revoked_at": AT}]
MADE = LINK | {"url": "/files/link#abc", "opened": 0}
ONE_FILE = {f"/v1/files/{FILE_ID}": FILE, f"/v1/files/{FILE_ID}/links": LINKS}
GONE = problem("file_not_found", "There is no such file for you.", 404)
MOVE, KEEP = f"{PAGE}/migration", f"{PAGE}/keeping"
MIGRATION = {
    "state": "running",
    "to": "chosen",
    "name": "Sales › Documents",
    "files": 12,
    "bytes": 1_400_000_000,
    "moved_files": 3,
    "moved_bytes": 55_300,
    "waiting": 9,
    "failed": [],
    "started_at": AT,
    "ended_at": None,
}
FAILED = [
    {"file_id": "f1", "name": "a <b>.mp4", "says": "Somebody changed it."},
    {"file_id": "f2", "name": "", "says": ""},
]
POLICY = {
    "retention_days": 365,
    "hold": False,
    "when_stopped": "wait",
    "hold_since": None,
    "used_bytes": 55_300,
    "quota_bytes": 1_400_000_000,
}
LEFT = {"id": "f:1", "drive_id": "d", "item_id": "01ABC", "says": "Microsoft says: <no>.", "since": AT}


def moving(state: str, *says: str, **more: Any) -> State:
    return State(MOVE, {"/v1/storage/migration": MIGRATION | {"state": state} | more}, says, "acme-admin")


def kept(policy: Json, *says: str, left: Any = (), **more: Any) -> State:
    answers = {"/v1/storage/policy": policy, "/v1/storage/left-copies": {"items": list(left), "next_cursor": None}}
    return State(KEEP, answers | more.pop("answers", {}), says, "acme-admin", **more)


LOCATION_STATES |= {
    "my-files": State(
        "/files",
        {"/v1/files": {"items": [FILE, COMING], "next_cursor": "a&b"}},
        ("Offer &lt;b&gt;.pdf", "55 KB, SharePoint", "shared with you", "Coming", "Upload", "cursor=a%26b"),
    ),
    "my-files-none": State("/files", {"/v1/files": {"items": [], "next_cursor": None}}, ("There are no files yet.",)),
    "my-files-away": State("/files", {"/v1/files": problem("down", "Down.", 503)}, ("Down.",), status=503),
    "file": State(
        f"/files/{FILE_ID}",
        ONE_FILE,
        (
            "Offer &lt;b&gt;.pdf",
            "there named Offer _b_.pdf",
            "Share with my organisation",
            "opened 1 time",
            "Revoke<",
            "revoked",
        ),
        silent=("Stop sharing",),
    ),
    "file-link-made": State(
        f"/files/{FILE_ID}/links",
        ONE_FILE | {f"POST /v1/files/{FILE_ID}/links": (201, MADE)},
        ("It is shown only now", "/files/link#abc"),
        post={"lasts_s": "3600"},
    ),
    "file-by-link": State(
        "/files/link",
        {},
        ("A file from Prospo", 'action="/v1/files/shared/open"', 'id="link-form"', "behind the sign"),
        None,
    ),
    "file-link-ended": State(
        "/files/link?refused=link_not_found", {}, ("This link has ended or was revoked", 'id="link-form"'), None, 404
    ),
    "file-gone": State(f"/files/{FILE_ID}", {f"/v1/files/{FILE_ID}": GONE}, ("no such file", "Your files"), status=404),
    "file-delete": State(
        f"/files/{FILE_ID}/delete",
        ONE_FILE,
        ("Delete Offer &lt;b&gt;.pdf?", "Its copy in SharePoint goes too", "Keep it"),
    ),
    "file-on-hold": State(
        f"/files/{FILE_ID}/delete",
        {f"DELETE /v1/files/{FILE_ID}": problem("on_hold", "Your organisation has kept all files.")},
        ("The file was not deleted", "has kept all files"),
        status=409,
        post={},
    ),
    "migration-none": moving("none", "There is nothing to move"),
    "migration-offered": moving("offered", "12 files are elsewhere", "Move them</button>"),
    "migration-back": moving(
        "offered",
        "12 files are elsewhere",
        "can move to <strong>Prospo storage",
        "SharePoint storage is switched off",
        'name="to" value="prospo"',
        to="prospo",
        name="Prospo storage",
    ),
    "migration-does-not-fit": State(
        MOVE,
        {"POST /v1/storage/migration": problem("quota_reached", "The files do not fit.", 507)},
        ("No files are moved", "The files do not fit."),
        "acme-admin",
        507,
        {"to": "prospo"},
    ),
    "migration-running": moving("running", "3 of 12 files, 55 KB of 1.4 GB", "9 still to come", "Cancel</button>"),
    "migration-cancelled": moving("cancelled", "3 files have moved", "Move the rest</button>"),
    "migration-done": moving("done", "3 of 12 moved", "a &lt;b&gt;.mp4", "Try these again", failed=FAILED),
    "migration-refused": State(
        MOVE,
        {"POST /v1/storage/migration": problem("no_place_in_use", "Choose a place first.")},
        ("No files are moved", "Choose a place first."),
        "acme-admin",
        409,
        {},
    ),
    "keeping": kept(
        POLICY, 'value="365"', "55 KB of 1.4 GB used", silent=("Nothing is deleted.", "could not be deleted")
    ),
    "keeping-held": kept(
        POLICY | {"hold": True, "hold_since": AT, "retention_days": None},
        "Nothing is deleted.",
        "Copies that could not be deleted",
        "Microsoft says: &lt;no&gt;.",
        left=[LEFT],
    ),
    "keeping-refused": kept(
        POLICY,
        "Nothing was changed",
        "Correct these fields",
        'value="soon"',
        answers={"PUT /v1/storage/policy": problem("invalid_request", "Correct these fields: retention_days.", 422)},
        status=422,
        post={"days": "soon", "when_stopped": "default"},
    ),
}

BROWSE, LISTED_PLACES = f"{PAGE}/browse", "/v1/tenant/browse/places"
SITE_FOUND = {"name": "Sales <b>", "address": ADDRESS, "inside": "libraries", "of": "contoso,1,2", "says": ""}
CHANNEL_CLOSED = {"name": "New", "address": None, "inside": None, "of": None, "says": "Open its <Files> once in Teams."}
EVIL = {"name": "Evil", "address": "javascript:alert(1)", "inside": None, "of": None, "says": ""}


def browsing(items: list[Json], *says: str, cursor: str | None = None, **more: Any) -> State:
    answers = {LISTED_PLACES: {"items": items, "next_cursor": cursor}}
    return State(more.pop("at", BROWSE), answers, says, "acme-admin", **more)


LOCATION_STATES |= {
    "browsing": browsing(
        [SITE_FOUND, CHANNEL_CLOSED, EVIL],
        "Sales &lt;b&gt;",
        f'name="address" value="{ADDRESS}"',
        "kind=libraries&amp;of=contoso%2C1%2C2&amp;within=Sales%20%3Cb%3E",
        "Open its &lt;Files&gt; once in Teams.",
        "cursor=a_b",
        cursor="a_b",
        silent=("javascript:",),
    ),
    "browsing-sites": browsing([], "There is nothing here.", 'value="sal"', at=f"{BROWSE}?kind=sites&named=sal"),
    "browsing-empty-page": browsing([], "nothing more on this page", ">More</a>", cursor="c"),
    "browsing-again": State(
        BROWSE,
        {LISTED_PLACES: problem("browse_not_open", "Sign in at Microsoft first.")},
        ("Sign in to browse", "Sign in at Microsoft first.", "Sign in at Microsoft</button>", "Paste an address"),
        "acme-admin",
        409,
    ),
    "browsing-refused": State(
        BROWSE,
        {LISTED_PLACES: problem("browse_forbidden", "Microsoft does not show this.")},
        ("The list is not shown", "Microsoft does not show this."),
        "acme-admin",
        409,
    ),
    "browsing-not-connected": State(
        BROWSE,
        {"POST /v1/tenant/browse": problem("tenant_not_connected", "Your organisation is not connected.")},
        ("Browsing did not begin", "is not connected"),
        "acme-admin",
        409,
        {},
    ),
}
