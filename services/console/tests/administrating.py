"""The pages of an Org Admin beside the connector's own: connectors, readiness, people, activity; and of a link."""

from typing import Any

from services.console.tests.state import Json, State, problem
from services.console.tests.tenants import FEATURES, INVITATION, tenant

CARD = "/connectors/microsoft365"
RECORDED = FEATURES | {"auto_recording": True}
ROLES = ["OnlineMeetingRecording.Read.All", "Organization.Read.All"]
ASKED_AT = "2026-03-03T09:06:00Z"


def capability(name: str, verdict: str, reason: str = "As it should be.", **more: Any) -> Json:
    asked = {"checked_at": ASKED_AT, "since": ASKED_AT, "until": None, "failed_at": None, "failure": None}
    rest = {"remedy": None, "affects": [], "evidence": [], "details": {}, "people_lacking": 0, "people": []}
    return {"capability": name, "verdict": verdict, "reason": reason} | rest | asked | more


def board(*capabilities: Json, **more: Any) -> Json:
    warned = "Transcripts are closed to applications."
    features = [{"feature": name, "can_be_switched_on": True, "blocked_by": None, "warnings": []} for name in FEATURES]
    features[1]["warnings"] = [warned]
    known = {"connected": True, "checking": False, "asked_at": None, "checked_at": ASKED_AT}
    return known | {"capabilities": list(capabilities), "features": features} | more


CLOSED = capability(
    "transcript_access",
    "action_needed",
    "Transcripts are closed to <applications>.",
    affects=["transcript", "mail", "still_unknown"],
    remedy={"who": "teams_admin", "text": "In Teams PowerShell:", "command": "Set-It -Now $true"},
    evidence=[
        {"method": "GET", "path": "/users/{id}", "status": 403, "code": "Closed", "request_id": "m-1", "at": ASKED_AT}
    ],
)
GRANTED = capability(
    "permissions",
    "action_needed",
    details={"application": {"required": ROLES, "granted": ROLES[:1], "missing": ROLES[1:]}},
)
UNLICENSED = capability(
    "licences", "waiting", people_lacking=2, people=[{"user_id": "acme-ben", "lacks": ["teams", "exchange"]}]
)
OLD = capability("consent", "ready", failure="Microsoft did not answer.", failed_at=ASKED_AT)
_SOMEBODY = {"name": None, "email": None, "problem": None, "connected_at": None, "broken_since": None}
PEOPLE = {
    "items": [
        _SOMEBODY
        | {"user_id": "acme-anna", "status": "connected", "name": "Anna <b>", "email": "anna@contoso.example"},
        _SOMEBODY | {"user_id": "acme-ben", "status": "expired", "problem": {"code": "x", "detail": "Reconnect it."}},
        _SOMEBODY | {"user_id": "acme-carl", "status": "never_connected"},
    ],
    "next_cursor": "a&b",
    "counts": {"connected": 1, "expired": 1, "never_connected": 1},
}
_LINE = {"id": "l", "occurred_at": ASKED_AT, "outcome": "done", "request_id": "req-3", "trace_id": None}
READS = [
    _LINE
    | {"actor": "program:acme-<archive>", "action": "file.read", "target": "f-1", "details": {"user_id": "acme-anna"}},
    _LINE | {"actor": "acme-admin", "action": "else.done", "target": "acme", "details": {}, "outcome": "refused"},
]
ADMIN_STATES = {
    "invitation": State(
        f"{CARD}/grant/open",
        {"POST /v1/tenant/consent/link/open": INVITATION},
        (
            "Ada of Acme asks you",
            "Continue to Microsoft</button>",
            "<strong>contoso.com</strong>",
            "You need no Prospo account",
            "10 March 2026",
        ),
        None,
        post={"token": "a.b"},
    ),
    "invitation-gone": State(
        f"{CARD}/grant/open",
        {"POST /v1/tenant/consent/link/open": problem("consent_link_unknown", "This link does not hold.", 404)},
        ("This link cannot be used", "This link does not hold.", "req-7"),
        None,
        404,
        post={"token": "a.b"},
    ),
    "invitation-unopened": State(
        f"{CARD}/grant", {}, ("Code of the link", f'action="{CARD}/grant/open"'), None, silent=("Ada",)
    ),
    "granted": State(f"{CARD}/grant/done", {}, ("Nothing more is needed from you",), None),
    "activity": State(
        f"{CARD}/activity",
        {"/v1/files/audit": {"items": READS, "next_cursor": "a&b"}},
        (
            "<strong>program:acme-&lt;archive&gt;</strong> Read the bytes",
            "<code>f-1</code> of <code>acme-anna</code>",
            "else.done (refused)",
            "Support code <code>req-3</code>",
            "of=files&amp;cursor=a%26b",
        ),
        "acme-admin",
        silent=("Newest",),
    ),
    "activity-older": State(
        f"{CARD}/activity?of=transcripts&cursor=z",
        {"/v1/transcripts/audit": {"items": [], "next_cursor": None}},
        ("Nothing yet.", 'of=transcripts">Newest'),
        "acme-admin",
    ),
    "activity-looked-at": State(
        f"{CARD}/activity?of=organisation",
        {"/v1/tenant/audit": problem("org_admin_required", "Only an Org Admin may do this.", 403)},
        ("Only an Org Admin may do this.", "req-7"),
        status=403,
    ),
    "connectors": State(
        "/connectors",
        {"/v1/tenant": tenant("connected")},
        ("Microsoft 365", "Contoso is connected.", f'href="{CARD}"'),
        "acme-admin",
    ),
    "connectors-first": State(
        "/connectors", {"/v1/tenant": tenant("not_connected")}, ("Connect Microsoft 365</a>",), "acme-admin"
    ),
    "connectors-away": State("/connectors", {"/v1/tenant": problem("down", "Down.", 503)}, ("Not known right now",)),
    "readiness": State(
        f"{CARD}/readiness",
        {"/v1/tenant/readiness": board(OLD, CLOSED, GRANTED, UNLICENSED)},
        (
            "closed to &lt;applications&gt;",
            "A Teams administrator:",
            '<code class="address">Set-It -Now $true</code>',
            "Needed for: transcripts, mail.",
            "2 needed, 1 missing",
            "<td><code>Organization.Read.All</code></td><td>No</td>",
            "2 people lack something:",
            "teams, exchange",
            "Microsoft did not answer.",
            "request <code>m-1</code>",
            "Check again</button>",
        ),
        "acme-admin",
        silent=("still_unknown",),
    ),
    "readiness-looked-at": State(
        f"{CARD}/readiness",
        {"/v1/tenant/readiness": board(CLOSED)},
        ("Action needed",),
        silent=("Check again</button>",),
    ),
    "readiness-checking": State(
        f"{CARD}/readiness",
        {"/v1/tenant/readiness": board(OLD, checking=True)},
        ("Microsoft is being asked now.", "Check again</a>"),
        "acme-admin",
        silent=("Check again</button>",),
    ),
    "readiness-not-connected": State(
        f"{CARD}/readiness", {"/v1/tenant/readiness": board(connected=False)}, ("there is nothing to check",)
    ),
    "readiness-in-haste": State(
        f"{CARD}/readiness/check",
        {
            "/v1/tenant/readiness": board(CLOSED),
            "POST /v1/tenant/readiness/check": problem("checked_just_now", "Ask again in 9 s.", 429),
        },
        ("Ask again in 9 s.", "req-7", "Action needed"),
        "acme-admin",
        429,
        post={},
    ),
    "people": State(
        f"{CARD}/people",
        {"/v1/connection/people": PEOPLE},
        ("1 connected, 1 expired, 1 never connected", "Anna &lt;b&gt;", "acme-ben", "Reconnect it.", "cursor=a%26b"),
        "acme-admin",
        silent=("First people",),
    ),
    "people-none": State(
        f"{CARD}/people?cursor=z",
        {"/v1/connection/people": {"items": [], "next_cursor": None, "counts": {}}},
        ("Nobody has looked at their connection yet",),
        "acme-admin",
    ),
    "people-looked-at": State(
        f"{CARD}/people",
        {"/v1/connection/people": problem("org_admin_required", "Only an Org Admin may do this.", 403)},
        ("Only an Org Admin may do this.", "req-7"),
        status=403,
    ),
    "card-warned": State(
        CARD,
        {"/v1/tenant": tenant("connected", features=RECORDED), "/v1/tenant/readiness": board(CLOSED)},
        ("Transcripts are closed to applications.", "What to do</a>", "1 point needs an action"),
        "acme-admin",
    ),
}
