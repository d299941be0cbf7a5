"""Every state of every page, as the APIs would answer it, with words that must then be on the page."""

from typing import Any

from services.console.tests.accounts import CONNECTED_ACCOUNTS, ENDED_ACCOUNTS, connection
from services.console.tests.administrating import ADMIN_STATES, RECORDED
from services.console.tests.attended import ATTENDED_STATES
from services.console.tests.bookings import BOOKING_STATES, CONNECTED, FORM, ID, RECORD, meeting, record
from services.console.tests.books import BOOK_STATES
from services.console.tests.free import FREE_STATES
from services.console.tests.letters import LETTER_STATES
from services.console.tests.locations import LOCATION_STATES
from services.console.tests.recordings import RECORDING_STATES
from services.console.tests.state import HELD_BACK, LINES, Json, State, problem
from services.console.tests.tenants import LINK, LINK_MADE, TENANTS, tenant

RECORDING = {
    "status": "imported",
    "size_bytes": 55_300,
    "content_url": f"/v1/files/{ID}/content",
    "location": "Prospo storage",
    "reason": None,
}
TRANSCRIPT = {
    "status": "imported",
    "speakers": ["Anna Andersson", "Ben Berg"],
    "line_count": 2,
    "content_url": f"/v1/transcripts/{ID}",
    "reason": None,
}
CARD = "/connectors/microsoft365"
REMEDY = {"remedy": {"who": "teams_admin", "text": "In PowerShell:", "command": "Set-It -Now $true"}}
SWITCH = {"feature": "sharepoint_storage", "on": "true", "etag": '"6"'}


def start(
    person: str, tenant_: Any, connection_: Any, items: list[Json] | None, *says: str, silent: tuple[str, ...] = ()
) -> State:
    listed = {"items": items} if items is not None else problem("down", "Down.", 503)
    answers = {"/v1/tenant": tenant_, "/v1/connection": connection_, "/v1/meetings": listed}
    return State("/", answers, says, person, silent=silent)


def card(tenant_: Json, *says: str, person: str = "acme-admin", **more: Any) -> State:
    return State(CARD, {"/v1/tenant": tenant_}, says, person, **more)


def refused_switch(answer: tuple[int, Json], *says: str) -> State:
    answers = {"/v1/tenant": tenant("connected"), "PATCH /v1/tenant/features": answer}
    return State(f"{CARD}/features", answers, says, "acme-admin", answer[0], SWITCH)


def refused_link(answer: tuple[int, Json]) -> State:
    answers = {"/v1/tenant": tenant("not_connected"), "POST /v1/tenant/consent/link": answer}
    says = ("No link was made", answer[1]["detail"], "req-7", 'value="contoso&lt;.com"', "for example contoso.com")
    return State(f"{CARD}/link", answers, says, "acme-admin", answer[0], {"tenant": "contoso<.com"})


def outlook(
    status: str, tenant_: str, *says: str, person: str = "acme-anna", silent: tuple[str, ...] = (), **more: Any
) -> State:
    answers = {"/v1/tenant": tenant(tenant_), "/v1/connection": connection(status, **more)}
    return State("/integrations", answers, says, person, silent=silent)


def form(status: str, tenant_: str, *says: str, silent: tuple[str, ...] = ()) -> State:
    answers = {"/v1/tenant": tenant(tenant_), "/v1/connection": connection(status)}
    return State("/meetings/new", answers, says, silent=silent)


OTHERS = ADMIN_STATES | ATTENDED_STATES | BOOK_STATES | BOOKING_STATES | FREE_STATES | LOCATION_STATES
OTHERS |= LETTER_STATES | RECORDING_STATES
STATES = OTHERS | {
    "welcome": State("/", {}, ("Choose who you are",), None),
    "start-nothing": start(
        "acme-anna", tenant("not_connected"), connection("not_connected"), [], "Ask an <strong>Org Admin</strong>"
    ),
    "start-admin": start(
        "acme-admin", tenant("not_connected"), connection("not_connected"), [], "Connect the organisation</a>"
    ),
    "start-account": start("acme-anna", tenant("connected"), connection("not_connected"), [], "Connect your account"),
    "start-meeting": start(
        "acme-anna", tenant("connected"), connection("connected"), [], "Schedule a Teams meeting</a>"
    ),
    "start-done": start(
        "acme-anna",
        tenant("connected"),
        connection("connected"),
        [meeting("ended")],
        "Everything is set up",
        "Auto-recording is off",
    ),
    "start-recording": start(
        "acme-anna",
        tenant("connected", features=RECORDED),
        connection("connected"),
        [meeting("ended")],
        "Auto-recording is on",
        silent=("Auto-recording is off", "no longer connected"),
    ),
    "start-expired": start(
        "acme-anna",
        tenant("connected"),
        connection("expired"),
        [],
        "Your Microsoft account is no longer connected",
        ">Reconnect</a>",
        silent=("Connect your account",),
    ),
    "meetings-expired": State(
        "/meetings",
        {"/v1/meetings": {"items": []}, "/v1/connection": connection("expired")},
        ("Your Microsoft account is no longer connected", 'href="/integrations">Reconnect</a>'),
    ),
    "help-connecting": State("/help/connecting", {}, ("Read your contacts: importing Outlook contacts into Prospo",)),
    "help-disconnecting": State("/help/disconnecting", {}, ("Left at Microsoft",), None),
    "start-services-away": start(
        "acme-anna", problem("down", "Down.", 503), problem("down", "Down.", 503), None, "Not known right now"
    ),
    "card-not-connected": card(tenant("not_connected"), ">Connect</button>", "an administrator can add Prospo"),
    "card-link-made": State(
        CARD,
        {"/v1/tenant": tenant("not_connected"), "/v1/tenant/consent/link": LINK},
        ("for contoso.com, made by Ada &lt;b&gt;", "10 March 2026, 09:05 (UTC)", "Make a new link<", "Revoke the link"),
        "acme-admin",
    ),
    **{name: card(shown, *says, silent=silent) for name, (shown, says, silent) in TENANTS.items()},
    "card-link-looked-at": card(tenant("failed"), person="acme-anna", silent=("Make a link",)),
    "link": State(
        f"{CARD}/link",
        {"POST /v1/tenant/consent/link": (201, LINK_MADE)},
        ("<code", LINK_MADE["url"], "10 March 2026", "<strong>contoso.com</strong>", "not shown again"),
        "acme-admin",
        post={"tenant": "contoso.com"},
    ),
    "link-refused": State(
        f"{CARD}/link",
        {"POST /v1/tenant/consent/link": problem("org_admin_required", "Only an Org Admin may do this.", 403)},
        ("Only an Org Admin may do this.", "req-7"),
        status=403,
        post={"tenant": "contoso.com"},
    ),
    "link-tenant-not-found": refused_link(problem("tenant_not_found", "Microsoft knows no such organisation.", 422)),
    "link-microsoft-away": refused_link(problem("microsoft_busy", "Microsoft cannot be reached.", 503)),
    "card-switched": State(
        f"{CARD}?switched=outlook_email", {"/v1/tenant": tenant("connected")}, ("is now on",), "acme-admin"
    ),
    "card-looked-at": card(
        tenant("connected"),
        "takes an <strong>Org Admin</strong>",
        person="acme-anna",
        silent=('role="switch"', "Disconnect…", "Consent again", "Make a link"),
    ),
    "card-not-connected-looked-at": card(
        tenant("not_connected"),
        "Only an <strong>Org Admin</strong>",
        person="acme-anna",
        silent=('<form method="post" action="/conn',),
    ),
    "card-stale": refused_switch(
        problem("stale", "Read it again.", 412), "Somebody changed these settings", "req-7", 'value="&#34;7&#34;"'
    ),
    "card-refused": refused_switch(
        problem("selection_required", "Choose a storage location first."),
        "SharePoint storage was not changed",
        "Choose a storage location first.",
        "req-7",
    ),
    "card-not-ready": refused_switch(
        problem("feature_not_ready", "Not yet.", **REMEDY), "Not yet.", "<code>Set-It -Now $true</code>"
    ),
    "card-disconnect": State(
        f"{CARD}/disconnect",
        {"/v1/tenant": tenant("connected")},
        (
            "What is kept",
            "each person has to connect",
            "What stays at Microsoft",
            "under Enterprise applications",
            "the automatic recording of meetings that are still to come",
            "within a week at most",
        ),
        "acme-admin",
    ),
    "card-disconnect-looked-at": State(
        f"{CARD}/disconnect", {"/v1/tenant": tenant("connected")}, ("Only an",), silent=("What happens",)
    ),
    "outlook-tenant-first": outlook(
        "not_connected", "not_connected", "must connect it first", silent=('<form method="post" action="/int',)
    ),
    "outlook-tenant-first-admin": outlook(
        "not_connected", "not_connected", "Connect the organisation</a>", person="acme-admin"
    ),
    "outlook-not-connected": outlook(
        "not_connected", "connected", "Connect Microsoft Account", "work or school account", "OnlineMeetingRecording"
    ),
    "outlook-connected": outlook("connected", "connected", "anna@contoso.example", "Disconnect…"),
    **{name: outlook("connected", "connected", *says, **more) for name, (says, more) in CONNECTED_ACCOUNTS.items()},
    "outlook-check-refused": State(
        "/integrations/microsoft/check",
        {"POST /v1/connection/check": problem("account_not_connected", "Reconnect your account.")},
        ("Your account was not checked", "Reconnect your account.", "req-7"),
        status=409,
        post={},
    ),
    "outlook-feature-off": State(
        "/integrations/microsoft/connect",
        {"POST /v1/connection/sign-in": problem("feature_off", "Contacts import is switched off.")},
        ("Nothing was changed", "Contacts import is switched off.", 'href="/integrations"', "req-7"),
        status=409,
        post={"return_to": "/integrations", "feature": "contacts_import"},
    ),
    "outlook-expired": outlook(
        "expired",
        "connected",
        ">Reconnect</button>",
        "Nothing was lost",
        "password changed",
        'href="/integrations/microsoft/disconnect">Disconnect…</a>',
        problem={"code": "x", "detail": "Microsoft ended the connection because the password changed."},
    ),
    **{name: outlook("disconnected", *about, **more) for name, (about, more) in ENDED_ACCOUNTS.items()},
    "outlook-disconnect-expired": State(
        "/integrations/microsoft/disconnect",
        {"/v1/connection": connection("expired")},
        ('href="/integrations">Back</a>',),
        silent=("Keep connected",),
    ),
    "outlook-disconnect": State("/integrations/microsoft/disconnect", CONNECTED, ("What is kept", "Anna Andersson")),
    "form": form("connected", "connected", "Schedule and invite", "Europe/Berlin"),
    "form-tenant-first": form("not_connected", "not_connected", "must connect it first", silent=("Connect Now",)),
    "form-not-connected": form("not_connected", "connected", ">Connect Now</button>", 'value="/meetings/new"'),
    "form-expired": form("expired", "connected", ">Reconnect</button>", "Nothing was lost"),
    "form-faults": State(
        "/meetings",
        CONNECTED,
        ("Problem: ", "Give the meeting a subject", "“nobody” is no e-mail", "still in the form", f'value="{ID}"'),
        status=422,
        post=FORM | {"subject": " ", "attendees": "nobody", "minutes": "x"},
    ),
    "form-refused": State(
        "/meetings",
        CONNECTED | {"POST /v1/meetings": problem("account_not_connected", "Microsoft is away for you.")},
        ("Microsoft is away for you.", "req-7", "Offer &lt;b&gt;", "ben@contoso.example", f'value="{ID}"'),
        status=409,
        post=FORM,
    ),
    "reschedule": State(
        f"{RECORD}/reschedule",
        CONNECTED | {f"/v1/meetings/{ID}": meeting("scheduled")},
        (
            "Save and tell the attendees",
            "Ben Berg &lt;ben@contoso.example&gt;",
            'value="2026-03-04T10:00"',
            'value="30"',
        ),
    ),
    "cancel": State(
        f"{RECORD}/cancel", {f"/v1/meetings/{ID}": meeting("scheduled")}, ("2 attendees", "cannot be undone")
    ),
    "meetings-empty": State("/meetings", {"/v1/meetings": {"items": []}}, ("You have no meetings yet",)),
    "meetings": State(
        "/meetings?cursor=a",
        {
            "/v1/meetings": {
                "items": [
                    meeting("scheduling"),
                    meeting("scheduled"),
                    meeting("ended", recording=RECORDING, transcript={"status": "unavailable", "reason": "Off."}),
                    meeting("ended", recording=HELD_BACK),
                    meeting("cancelled"),
                    meeting("failed"),
                ],
                "next_cursor": "b&c",
            }
        },
        (
            "Being scheduled",
            "Will not arrive",
            "Paused",
            "cursor=b%26c",
            "Newest meetings",
            "4 March 2026, 10:00–10:30 (UTC)",
        ),
    ),
    "meetings-no-older": State("/meetings?cursor=a", {"/v1/meetings": {"items": []}}, ("There are no older meetings",)),
    "meeting-scheduling": record(
        meeting("scheduling"), "Microsoft is making", "Check again", silent=("Join in Teams",)
    ),
    "meeting-waiting": record(
        meeting("scheduling", problem={"code": "permission_missing", "detail": "Allow it again."}),
        "The meeting waits for this",
        'class="button secondary" href="/integrations"',
        silent=("Microsoft is making", "Join in Teams"),
    ),
    "meeting-of-another-account": record(
        meeting("scheduled", problem={"code": "another_account", "detail": "It was made with another account."}),
        'class="button secondary" href="/integrations/microsoft/disconnect"',
    ),
    "meeting-scheduled": record(
        meeting("scheduled"), "Join in Teams", "Ben Berg", "Let the meeting happen", "records by itself"
    ),
    "meeting-by-hand": record(meeting("scheduled", auto_recording=False), "Somebody presses record", "is off"),
    "meeting-ended": record(
        meeting("ended"), "expected by", "14:30 (UTC)", "Confidence high", silent=("Join in Teams",)
    ),
    "meeting-importing": record(
        meeting("ended", recording={"status": "importing"}, transcript=TRANSCRIPT), "being brought", "Lines: 2"
    ),
    "meeting-complete": record(
        meeting("ended", recording=RECORDING, transcript=TRANSCRIPT),
        "<video",
        "55 KB, kept in Prospo storage",
        f'href="/transcripts/{ID}"',
        silent=("hx-get",),
    ),
    "meeting-unavailable": record(
        meeting(
            "ended",
            recording={"status": "unavailable", "reason": "The organiser deleted it at Microsoft."},
            transcript={"status": "unavailable", "reason": "A Teams administrator must allow access to transcripts."},
        ),
        "The organiser deleted it",
        "A Teams administrator must allow",
        silent=("hx-get",),
    ),
    "meeting-paused": record(
        meeting("ended", recording=HELD_BACK, transcript=HELD_BACK),
        "Paused",
        "Auto-recording was switched off.",
        silent=("Will not arrive", "hx-get"),
    ),
    "meeting-cancelled": record(meeting("cancelled"), "Microsoft tells the attendees", silent=("hx-get",)),
    "meeting-failed": record(
        meeting("failed", problem={"code": "x", "detail": "Your mailbox has no Teams licence. Ask an Org Admin."}),
        "no Teams licence",
        "Schedule it anew",
        silent=("hx-get",),
    ),
    "transcript": State(
        f"/transcripts/{ID}",
        {f"/v1/transcripts/{ID}": {"meeting_id": ID, "lines": LINES}, f"/v1/meetings/{ID}": meeting("ended")},
        ("1:00:05", "Ben Berg", "Quarterly review"),
    ),
    "transcript-empty": State(
        f"/transcripts/{ID}", {f"/v1/transcripts/{ID}": {"meeting_id": ID, "lines": []}}, ("Nothing was said",)
    ),
    "not-signed-in": State(
        "/meetings", {"/v1/meetings": problem("not_signed_in", "Sign in.", 401)}, ("You are not signed in",), status=401
    ),
    "not-there": State(
        RECORD, {f"/v1/meetings/{ID}": problem("meeting_not_found", "No such meeting.", 404)}, ("req-7",), status=404
    ),
    "service-away": State(
        "/integrations", {"/v1/connection": problem("down", "Come back.", 503)}, ("Try again", "req-7"), status=503
    ),
    "no-page": State("/nothing", {}, ("There is no such page", "Support code"), status=404),
    "no-id": State("/meetings/17", {}, ("There is no such page",), status=404),
}
