"""Meetings of others, as the APIs would answer them: for attendees, and for Org Admins."""

from services.console.tests.accounts import connection
from services.console.tests.bookings import ID, meeting, record
from services.console.tests.recordings import FIRST, SAID, SEVERAL
from services.console.tests.state import Json, State, problem

PAGE = f"/meetings/attended/{ID}"
ADMIN_PAGE = "/connectors/microsoft365/meetings"
NOT_SUPPORTED = "meetings of a channel"
ATTENDED: Json = {
    "id": ID,
    "organizer": {"name": "Ben <b>"},
    "subject": "Review <b>",
    "start": "2026-03-04T10:00:00Z",
    "end": "2026-03-04T10:30:00Z",
    "time_zone": "UTC",
    "status": "ended",
    "series_id": None,
    "original_start": None,
    "body": "the agenda",
    "join_url": "https://teams.microsoft.com/l/meetup-join/1",
    "ended": {"at": "2026-03-04T10:29:00Z", "source": "artefact", "confidence": "high"},
    "shared_with_attendees": True,
    "recordings": SEVERAL,
    "transcripts": [],
}
NOT_SHARED = ATTENDED | {"shared_with_attendees": False, "recordings": [], "status": "scheduled", "ended": None}
LISTED: Json = {
    "id": ID,
    "organizer": {"user_id": "acme-anna", "name": "Anna <b>"},
    "start": "2026-03-04T10:00:00Z",
    "end": "2026-03-04T10:30:00Z",
    "status": "ended",
    "series_id": None,
    "ended": None,
    "auto_recording": False,
    "auto_recording_reason": "It was chosen.",
    "recording": {"status": "unavailable", "code": "not_recorded", "reason": "Nobody recorded <b>."},
    "transcript": None,
}
ATTENDED_STATES: dict[str, State] = {
    "attended": State(
        "/meetings/attended",
        {"/v1/meetings/attended": {"items": [ATTENDED], "next_cursor": "more"}},
        ("Review &lt;b&gt;", "Organised by Ben &lt;b&gt;", "shared with you", "Older meetings", NOT_SUPPORTED),
    ),
    "own-list-names-what-is-not-supported": State("/meetings", {"/v1/meetings": {"items": []}}, (NOT_SUPPORTED,)),
    "attended-none": State(
        "/meetings/attended",
        {"/v1/meetings/attended": {"items": []}},
        ("No colleague has invited you", NOT_SUPPORTED),
    ),
    "attended-not-connected": State(
        "/meetings/attended",
        {
            "/v1/meetings/attended": problem("account_not_connected", "Connect it.", link="/integrations"),
            "/v1/connection": connection("not_connected"),
        },
        ("Connect it.", "which addresses are yours", NOT_SUPPORTED),
        silent=("No colleague has invited you",),
    ),
    "attended-record": State(
        PAGE,
        {f"/v1{PAGE}": ATTENDED},
        (
            "Review &lt;b&gt;",
            "Organised by",
            "who alone changes it",
            f"/v1/files/{FIRST}/content",
            "Read its transcript",
        ),
        silent=("Reschedule", "Cancel meeting", "Explain this meeting"),
    ),
    "attended-record-not-shared": State(
        PAGE,
        {f"/v1{PAGE}": NOT_SHARED},
        ("does not share recordings", "Join in Teams", "the agenda"),
        silent=("<video", "Reschedule"),
    ),
    "attended-record-nothing-yet": State(
        PAGE, {f"/v1{PAGE}": ATTENDED | {"recordings": []}}, ("There is none yet",), silent=("<video",)
    ),
    "attended-transcript": State(
        f"/transcripts/{FIRST}",
        {f"/v1/transcripts/{FIRST}": SAID, f"/v1{PAGE}": ATTENDED},
        (f'href="{PAGE}"', 'id="video"'),
    ),
    "record-not-shared": record(meeting("ended"), "are not shared", "Share with attendees", "What attendees see"),
    "record-shared": record(meeting("ended", shared_with_attendees=True), "Stop sharing with attendees"),
    "sharing-refused": State(
        f"/meetings/{ID}/sharing",
        {f"PATCH /v1/meetings/{ID}": (404, {"code": "meeting_not_found", "detail": "It is gone."})},
        ("The sharing was not changed", "It is gone."),
        status=404,
        post={"on": "true"},
    ),
    "organisation-meetings": State(
        ADMIN_PAGE,
        {"/v1/meetings/organisation": {"items": [LISTED], "next_cursor": "more"}},
        ("Anna &lt;b&gt;", "Nobody recorded &lt;b&gt;.", "It was chosen.", "Older meetings", "of a channel"),
        "acme-admin",
    ),
    "organisation-meetings-none": State(
        ADMIN_PAGE, {"/v1/meetings/organisation": {"items": []}}, ("Nobody has scheduled",), "acme-admin"
    ),
    "organisation-meetings-refused": State(
        ADMIN_PAGE,
        {"/v1/meetings/organisation": (403, {"code": "org_admin_required", "detail": "Only an Org Admin."})},
        ("The meetings cannot be shown", "Only an Org Admin."),
        status=403,
    ),
}
