"""What the tables hold of people and organisations."""

from shared.events import MeetingState
from shared.mailboxes import folders
from shared.privacy.erasure import OF_ORGANISATION, OF_PERSON, Delete, Holding, Holdings
from shared.subscriptions import certificates

_TOMBSTONE = (MeetingState, "org_id || ':' || id")
_OWN = "SELECT id FROM meeting WHERE org_id = :org_id AND user_id = :user_id"

HOLDINGS = Holdings(
    tables=(
        Holding(
            "request_key",
            person=OF_PERSON,
            exported={"asked at": "created_at", "meeting": "meeting_id"},
            withheld="key request_hash",
        ),
        folders.HOLDING,
        certificates.HOLDING,
        Holding("call_refusal", withheld="code detail request_id refused_at"),
        Holding(
            "attendance",
            person=Delete(f"org_id = :org_id AND meeting_id IN ({_OWN})"),
            withheld="address meeting_id",
        ),
        Holding(
            "meeting",
            Delete(OF_ORGANISATION.where, _TOMBSTONE),
            Delete(OF_PERSON.where, _TOMBSTONE),
            keeps="As an attendee, a person stays in the meetings of others: these are their organizers' records.",
            exported={
                "id": "id",
                "subject": "subject",
                "text": "body",
                "organizer": "organizer_name",
                "starts": "starts_at",
                "ends": "ends_at",
                "attendees": "attendees",
                "answers": "responses",
                "time zone": "zone",
                "repeats": "repeats",
                "series": "series_id",
                "status": "status",
                "join link": "join_url",
                "ended": "ended_at",
                "how the end is known": "ended_source",
                "calls": "call_marks",
                "recording": "recording",
                "transcript": "transcript",
                "recordings and transcripts": "artefacts",
                "problem": "problem",
                "shared with attendees": "shared_with_attendees",
            },
            withheld="""organizer_oid original_start version event_id online_meeting_id shown options recording_wanted
                auto_recording auto_recording_reason ended_confidence recording_version transcript_version
                calls_watched_at end_taken_back""",
        ),
    ),
    jobs=f"payload ->> 'meeting_id' IN ({_OWN})",
)
