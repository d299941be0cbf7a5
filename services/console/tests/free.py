"""Who is free, as the API answers it, and the states of the form that shows it."""

from services.console.tests.accounts import connection
from services.console.tests.bookings import CONNECTED, FORM, ID, meeting
from services.console.tests.state import Json, State, problem

DAY = "2030-03-05"
API = "POST /v1/meetings/availability"
ASKED = FORM | {"start": f"{DAY}T10:00", "optional": "eve@x.example", "body": "Plans"}
LOOK = "/meetings/free"


def times(*spans: str, state: str = "") -> list[Json]:
    """``10:00-11:00`` in Berlin on the day."""
    made = []
    for span in spans:
        start, end = span.split("-")
        made.append({"start": f"{DAY}T{start}:00+01:00", "end": f"{DAY}T{end}:00+01:00"})
    return [one | {"state": state} for one in made] if state else made


def person(email: str, *blocks: Json, hours: str | None = "09:00-17:00") -> Json:
    told = {"email": email, "visible": True, "code": None, "detail": None, "blocks": list(blocks)}
    return told | {"working_hours": times(hours) if hours else None}


def hidden(email: str) -> Json:
    told = {"email": email, "visible": False, "code": "not_shared", "blocks": [], "working_hours": None}
    return told | {"detail": "Microsoft does not show you this calendar."}


ANNA = person("anna@contoso.example", *times("09:00-09:30", state="working_elsewhere"))
BEN = person("ben@contoso.example", *times("10:00-11:30", state="busy"), *times("12:00-12:30", state="tentative"))
EVE = hidden("eve@x.example")


def told(*people: Json) -> Json:
    return CONNECTED | {API: {"people": list(people)}}


FREE_STATES = {
    "free-shown": State(
        LOOK,
        told(ANNA, BEN, EVE),
        (
            "Tuesday 5 March 2030 (Europe/Berlin)",
            "anna@contoso.example (you)",
            "eve@x.example (optional)",
            "10:00–11:30 Busy<br>12:00–12:30 Tentative",
            "09:00–09:30 Working elsewhere",
            "09:00–17:00",
            "Microsoft does not show you this calendar.",
            'value="2030-03-05T09:00" formaction="/meetings/free#free">Tuesday 5 March 2030, 09:00–09:30',
            'value="2030-03-05T09:30"',
            'value="2030-03-05T11:30"',
            "Offer &lt;b&gt;",
            "> Plans</textarea>",
            f'name="key" value="{ID}"',
        ),
        silent=("12:00–12:30</button>", "Not visible, so", "The meeting as it is now", "autofocus"),
        post=ASKED,
    ),
    "free-not-everybody-visible": State(
        LOOK,
        told(ANNA, hidden("ben@contoso.example"), EVE),
        ("Not visible, so not reckoned with: ben@contoso.example.", "Not visible", "09:00–09:30</button>"),
        post=ASKED,
    ),
    "free-nobody-visible": State(
        LOOK,
        told(hidden("anna@contoso.example"), hidden("ben@contoso.example"), EVE),
        ("No calendar of those who are required is visible",),
        silent=('name="take"', "No time within"),
        post=ASKED,
    ),
    "free-hours-not-known": State(
        LOOK,
        told(ANNA, person("ben@contoso.example", hours=None), EVE),
        ("Of ben@contoso.example Microsoft does not say the working hours", "Not known"),
        post=ASKED,
    ),
    "free-over-midnight": State(
        LOOK,
        told(ANNA, person("ben@contoso.example", hours=None), EVE),
        ("Tuesday 5 March 2030 (", "Wednesday 6 March 2030 (", "Outside working hours", "Not on this day", "None"),
        silent=("Thursday 7",),
        post=ASKED | {"start": f"{DAY}T23:00", "minutes": "120"},
    ),
    "free-in-the-past": State(
        LOOK,
        told(ANNA, BEN, EVE),
        ("Wednesday 4 March 2026 (", "No time within a week"),
        post=ASKED | {"start": "2026-03-04T10:00"},
    ),
    "free-to-reschedule": State(
        f"/meetings/{ID}/free",
        told(ANNA, BEN, EVE) | {f"/v1/meetings/{ID}": meeting("scheduled")},
        ("Reschedule “Quarterly review”", "The meeting as it is now", f'formaction="/meetings/{ID}/free#free"'),
        post=ASKED | {"etag": '"3"'},
    ),
    "free-without-a-time-or-address": State(
        LOOK,
        CONNECTED,
        ('id="start-fault"', 'id="attendees-fault"', "is no e-mail address"),
        status=422,
        silent=("Who is free</h2>", 'id="subject-fault"'),
        post=ASKED | {"start": "", "attendees": "nobody", "subject": ""},
    ),
    "free-beyond-the-calendar": State(
        LOOK, CONNECTED, ("lies less far away",), status=422, post=ASKED | {"start": "9999-12-30T10:00"}
    ),
    "free-a-field-refused": State(
        LOOK,
        CONNECTED
        | {
            API: (
                422,
                {
                    "code": "invalid_request",
                    "detail": "Mend it.",
                    "errors": [{"field": "addresses.1", "message": "must be one line"}],
                },
            )
        },
        ('id="attendees-fault"', "must be one line"),
        status=422,
        post=ASKED,
    ),
    "free-permission-missing": State(
        LOOK,
        CONNECTED | {API: problem("permission_missing", "Microsoft does not let Prospo do this for you.")},
        ("Who is free cannot be said", "does not let Prospo", "See your Microsoft account", "Offer &lt;b&gt;"),
        status=409,
        post=ASKED,
    ),
    "free-too-often": State(
        LOOK,
        CONNECTED | {API: problem("too_many_requests", "Wait a minute.", 429)},
        ("Wait a minute.", "Offer &lt;b&gt;", f'name="key" value="{ID}"'),
        status=429,
        post=ASKED,
    ),
    "free-not-connected": State(
        LOOK, CONNECTED | {"/v1/connection": connection("not_connected")}, ("Connect Now",), post=ASKED
    ),
}
