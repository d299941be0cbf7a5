"""What the API answers of the organisation's tenant."""

from typing import Any

Json = dict[str, Any]
FEATURES = {"outlook_email": True, "auto_recording": False, "contacts_import": True, "sharepoint_storage": False}


def tenant(status: str, **more: Any) -> Json:
    known = status in {"connected", "proving"}
    return {
        "status": status,
        "tid": "c0a70500-0000-4000-8000-000000000001" if known else None,
        "display_name": "Contoso" if status == "connected" else None,
        "features": FEATURES,
        "problem": None,
        "connected_at": "2026-03-03T09:05:00Z" if status == "connected" else None,
        "connected_by": "acme-admin" if status == "connected" else None,
        **more,
    }


def leaving(**more: Any) -> Json:
    """What became of what Prospo set at Microsoft, after a disconnect."""
    about = {"over": True, "until": "2026-03-03T09:25:00Z", "people": 3, "people_unknown": 0, "removed": 7, "left": []}
    return about | {"application_unknown": False} | more


STAYS = [
    {"kind": "subscription", "count": 1, "code": "refused", "until": "2026-03-06T09:25:00Z"},
    {"kind": "automatic_recording", "count": 2, "code": "no_access", "until": None},
]
LINK = {"made_by": "Ada <b>", "tenant": "contoso.com", "expires_at": "2026-03-10T09:05:00Z"}
LINK_MADE = {"url": "https://x.example/connectors/microsoft365/grant#a.b", "tenant": "contoso.com"}
LINK_MADE |= {"expires_at": "2026-03-10T09:05:00Z"}
INVITATION = {"organisation": "Acme", "invited_by": "Ada", "tenant": "contoso.com", "expires_at": LINK["expires_at"]}
WITHDRAWN = {"code": "x", "detail": "Contoso has withdrawn the consent. Connect again."}
MISSING = {"code": "permissions_missing", "detail": "Some are missing. Connect again.", "support_code": "req-5"}
SET_OUT, QUIETLY = "<button>{}</button>", '<button class="secondary">{}</button>'
TENANTS: dict[str, tuple[Json, tuple[str, ...], tuple[str, ...]]] = {
    "card-no-link": (tenant("failed"), ("Make a link</button>",), ("Revoke the link",)),
    "card-connected": (
        tenant("connected"),
        (
            "Contoso",
            "c0a70500",
            "acme-admin",
            "not known right now",
            "People</a>",
            'role="switch"',
            "3 March 2026, 09:05 (UTC)",
            QUIETLY.format("Consent again"),
        ),
        (),
    ),
    "card-link-connected": (tenant("connected"), ("Make a link</button>", "They consent again with it"), ()),
    "card-consent-asked-for": (
        tenant("connected", problem=MISSING),
        (SET_OUT.format("Consent again"), "Some are missing.", "Support code <code>req-5</code>"),
        (),
    ),
    "card-proving": (
        tenant("proving"),
        ("Checking with Microsoft", "Check again"),
        ("Start again", "Make a link", 'role="alert"'),
    ),
    "card-proving-so-far": (
        tenant("proving", problem=MISSING),
        ("Checking with Microsoft", "Some are missing.", QUIETLY.format("Start again")),
        (),
    ),
    "card-failed": (
        tenant("failed", problem=WITHDRAWN),
        ("withdrawn the consent", SET_OUT.format("Try again")),
        ("Support code",),
    ),
    "card-disconnected": (tenant("disconnected"), (SET_OUT.format("Connect again"), "are kept"), ()),
    "card-leaving": (
        tenant("disconnected", leaving=leaving(over=False)),
        ("is removing what it set at Microsoft", "3 March 2026, 09:25 (UTC)", "at the latest", "Check again"),
        ("could be removed", "nothing of it is left"),
    ),
    "card-left": (
        tenant("disconnected", leaving=leaving()),
        ("removed (7): nothing of it is left there",),
        ("could be removed", "is removing"),
    ),
    "card-left-calls": (
        tenant("disconnected", leaving=leaving(application_unknown=True)),
        ("could be removed", "when calls begin and end. That ends by itself within a day."),
        ("Of 2 people", "nothing of it is left"),
    ),
    "card-left-behind": (
        tenant("disconnected", leaving=leaving(left=STAYS, people_unknown=2)),
        (
            "Not everything that Prospo set at Microsoft could be removed",
            "1 subscription goes on notifying Prospo, which drops what comes unread: Microsoft refused to remove it.",
            "ends by itself at",
            "2 booked meetings go on recording by themselves",
            "Microsoft no longer lets Prospo act for the person",
            "Of 2 people it is not known",
        ),
        ("nothing of it is left",),
    ),
}
"""The tenant as an Org Admin finds it: what the API answers, what is then read, and what is not."""
