"""Meetings as their API answers them, and the states of the pages that schedule them: series, answers, conflicts."""

from typing import Any

from services.console.tests.accounts import connection
from services.console.tests.state import EXPECTED, Json, State, problem
from services.console.tests.tenants import tenant

ID = "018f0000-0000-7000-8000-000000000001"
RECORD = f"/meetings/{ID}"
CONNECTED = {"/v1/tenant": tenant("connected"), "/v1/connection": connection("connected")}
FORM = {"subject": "Offer <b>", "start": "2026-03-04T10:00", "minutes": "30", "time_zone": "Europe/Berlin"}
FORM |= {"attendees": "ben@contoso.example", "key": ID}


def meeting(status: str, **more: Any) -> Json:
    ended = {"at": "2026-03-04T10:29:00Z", "source": "artefact", "confidence": "high"}
    return {
        "id": ID,
        "subject": "Quarterly review",
        "start": "2026-03-04T10:00:00Z",
        "end": "2026-03-04T10:30:00Z",
        "status": status,
        "organizer": {"user_id": "acme-anna", "name": "Anna Andersson"},
        "attendees": [
            {"email": "ben@contoso.example", "name": "Ben Berg"},
            {"email": "a@customer.example", "name": None},
        ],
        "join_url": "https://teams.microsoft.com/l/meetup-join/1" if status in {"scheduled", "ended"} else None,
        "auto_recording": True,
        "ended": ended if status == "ended" else None,
        "recording": None,
        "transcript": None,
        "problem": None,
        "version": 1,
        **more,
    }


def record(shown: Json, *says: str, silent: tuple[str, ...] = ()) -> State:
    answers = {f"/v1/meetings/{ID}": shown, f"/v1/ledger/{ID}": EXPECTED}
    return State(RECORD, answers, says, silent=silent)


RICH: Json = {
    "attendees": [
        {"email": "ben@contoso.example", "name": "Ben Berg", "type": "required"},
        {"email": "a@customer.example", "name": None, "type": "required"},
        {"email": "eve@x.example", "name": "Eve", "type": "optional"},
        {"email": "room@x.example", "name": None, "type": "resource"},
    ],
    "answers": [
        {
            "email": "ben@contoso.example",
            "response": "accepted",
            "responded_at": "2026-03-01T09:00:00Z",
            "proposed": None,
        },
        {
            "email": "a@customer.example",
            "response": "declined",
            "responded_at": "2026-03-01T09:00:00Z",
            "proposed": {"start": "2026-03-05T09:00:00Z", "end": "2026-03-05T09:30:00Z"},
        },
        {"email": "eve@x.example", "response": "not_visible", "responded_at": None, "proposed": None},
    ],
    "body": "Numbers <first>",
    "time_zone": "Europe/Berlin",
    "series_id": ID,
}
SERIES = f"/meetings/series/{ID}"
REPEATING: Json = {
    "id": ID,
    "subject": "Weekly",
    "start": "2026-03-03T10:00:00Z",
    "end": "2026-03-03T10:30:00Z",
    "time_zone": "Europe/Berlin",
    "repeats": {"every": "week", "interval": 2, "weekdays": ["tuesday"], "until": "2026-06-30", "count": None},
    "status": "scheduled",
    "body": "Plans",
    "attendees": [{"email": "ben@contoso.example"}],
    "problem": None,
}
BOOKING_STATES = {
    "reschedule-of-a-series": State(
        f"{RECORD}/reschedule",
        CONNECTED | {f"/v1/meetings/{ID}": meeting("scheduled", **RICH)},
        ("Agenda", "Numbers &lt;first&gt;", "Eve &lt;eve@x.example&gt;", "<option selected>Europe/Berlin</option>"),
        silent=("Repeats", "Who may present"),
    ),
    "reschedule-changed-meanwhile": State(
        f"{RECORD}/reschedule",
        CONNECTED
        | {f"/v1/meetings/{ID}": meeting("scheduled", subject="Theirs")}
        | {f"PATCH /v1/meetings/{ID}": problem("meeting_changed", "The meeting was changed since you read it.", 412)},
        ("was changed since you read it", "Meanwhile it became", "“Theirs”", "Offer &lt;b&gt;", "as it is now"),
        status=412,
        post=FORM | {"etag": '"3"'},
    ),
    "form-series-without-end": State(
        "/meetings", CONNECTED, ("a series has an end", 'id="until-fault"'), status=422, post=FORM | {"every": "week"}
    ),
    "series": State(
        SERIES,
        {
            f"/v1/meetings/series/{ID}": REPEATING,
            "/v1/meetings": {"items": [meeting("scheduled"), meeting("cancelled")]},
        },
        (
            "Every 2 weeks on Tuesday, until 2026-06-30",
            "4 March 2026, 10:00",
            "Cancelled",
            "Cancel the series…",
            "Share all meetings of the series",
            "Plans",
        ),
    ),
    "series-soon": State(
        SERIES,
        {f"/v1/meetings/series/{ID}": REPEATING | {"status": "scheduling"}, "/v1/meetings": {"items": []}},
        ("Microsoft is making", "None yet", "within sixty"),
    ),
    "series-shared": State(
        SERIES,
        {f"/v1/meetings/series/{ID}": REPEATING | {"shared_with_attendees": True}, "/v1/meetings": {"items": []}},
        ("Stop sharing all meetings of the series",),
    ),
    "series-sharing-refused": State(
        f"{SERIES}/sharing",
        {f"PATCH /v1/meetings/series/{ID}": problem("series_not_found", "It is gone.")},
        ("The sharing was not changed", "It is gone.", "Back to the series"),
        status=409,
        post={"on": "true"},
    ),
    "series-cancelled": State(
        SERIES,
        {f"/v1/meetings/series/{ID}": REPEATING | {"status": "cancelled", "repeats": {"every": "other"}}},
        ("By a rule that was made in Outlook", "cannot be read right now"),
        silent=("Cancel the series…",),
    ),
    "series-cancel": State(
        f"{SERIES}/cancel", {f"/v1/meetings/series/{ID}": REPEATING}, ("tells 1 attendee once", "Keep it")
    ),
    "series-cancel-refused": State(
        f"{SERIES}/cancel",
        {f"DELETE /v1/meetings/series/{ID}": problem("series_not_scheduled", "The series is ended.")},
        ("The series was not cancelled", "The series is ended.", "Back to the series"),
        status=409,
        post={},
    ),
    "meetings-coming": State(
        "/meetings?show=coming",
        {"/v1/meetings": {"items": [meeting("scheduled", series_id=ID)], "next_cursor": "b&c"}},
        (
            "One of a series",
            "Later meetings",
            "show=coming&amp;since=",
            'aria-current="page" href="/meetings?show=coming"',
        ),
    ),
    "meetings-none-coming": State(
        "/meetings?show=coming", {"/v1/meetings": {"items": []}}, ("No meeting of yours lies ahead",)
    ),
    "meeting-answers": record(
        meeting("scheduled", **RICH),
        "Accepted",
        "Declined",
        "Proposes Thursday 5 March 2026, 09:00–09:30 (UTC)",
        "No answer seen",
        "eve@x.example (optional)",
        "room@x.example (room)",
        "Numbers &lt;first&gt;",
        f'href="/meetings/series/{ID}"',
    ),
    "meeting-conflict": record(
        meeting("scheduled", problem={"code": "changed_in_outlook", "detail": "Outlook has 11:00, you wanted 12:00."}),
        "Outlook has 11:00, you wanted 12:00.",
        "Reschedule",
    ),
    "meeting-cancelled-in-outlook": record(
        meeting(
            "cancelled", problem={"code": "cancelled_in_outlook", "detail": "The meeting was cancelled in Outlook."}
        ),
        "The meeting was cancelled in Outlook.",
        "put the event back",
    ),
}
