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
    *({"name": name, "verdict": "not_tried", "says": ""} for name in ("large_file", "rename", "delete")),
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
    ),
    "location-stopped": page(shown(PLACE | STOPPED, waiting=3), "No access", "follow by themselves", "Look at it now"),
    "location-refused": sent(
        shown(None) | {f"PUT {LOCATION}": (200, TRIED)},
        "Sales › Documents was not chosen",
        "Write a small file",
        "The role &lt;write&gt; is missing.",
        "Not tried",
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
