"""What the tables hold of people and organisations."""

from shared.privacy.erasure import AUDIT, OF_PERSON, Delete, Holding, Holdings

_MEETINGS = "(SELECT meeting_id FROM ledger_meeting WHERE org_id = :org_id AND user_id = :user_id)"
_ARTEFACTS = f"(SELECT id FROM artefact WHERE org_id = :org_id AND meeting_id IN {_MEETINGS})"

_OWN_TRANSCRIPTS = f"org_id = :org_id AND (user_id = :user_id OR meeting_id IN {_MEETINGS})"
_LINES = f"org_id = :org_id AND transcript_id IN (SELECT id FROM transcript WHERE {_OWN_TRANSCRIPTS})"

HOLDINGS = Holdings(
    tables=(
        Holding(
            "transcript_line",
            person=Delete(_LINES),
            exported={"transcript": "transcript_id", "line": "number", "speaker": "speaker", "said": "text"},
            withheld="start_ms end_ms words",
        ),
        Holding(
            "transcript",
            person=Delete(_OWN_TRANSCRIPTS),
            keeps="What a person said in the meetings of others stays there: these are their organizers' records.",
            exported={"id": "id", "meeting": "meeting_id", "language": "language", "speakers": "speakers"},
            of_organisation={"person": "user_id"},
            withheld="attributed line_count lines",
        ),
        Holding(
            "artefact",
            person=Delete(f"org_id = :org_id AND meeting_id IN {_MEETINGS}"),
            exported={
                "meeting": "meeting_id",
                "kind": "kind",
                "created": "created_at",
                "ended": "ended_at",
                "status": "status",
                "file": "file_id",
                "bytes": "size_bytes",
                "reason": "reason",
            },
            withheld="id graph_id call_id content_correlation_id detected_at code resumed_at by_person adrift location",
        ),
        Holding(
            "meeting_step",
            person=Delete(f"org_id = :org_id AND meeting_id IN {_MEETINGS}"),
            exported={"meeting": "meeting_id", "at": "at", "what": "what", "details": "details"},
            withheld="id",
        ),
        Holding(
            "ledger_meeting",
            person=OF_PERSON,
            exported={
                "meeting": "meeting_id",
                "subject": "subject",
                "starts": "starts_at",
                "ends": "ends_at",
                "ended": "ended_at",
                "status": "status",
                "absent": "absences",
            },
            withheld="""organizer_oid online_meeting_id auto_recording auto_recording_code
                meeting_version revision version recording_version series_id original_start
                looked_at call""",
        ),
        Holding(
            "gap",
            person=OF_PERSON,
            exported={"cause": "cause", "began": "began_at", "ended": "ended_at", "meetings": "meetings"},
            withheld="version repaired",
        ),
        Holding("watch", person=OF_PERSON, exported={"last followed": "watched_at"}),
        Holding(
            "unassigned",
            person=OF_PERSON,
            exported={"kind": "kind", "created": "created_at", "ended": "ended_at", "noticed": "noticed_at"},
            withheld="id online_meeting_id graph_id call_id content_correlation_id why scores",
        ),
        AUDIT,
    ),
    audit_path="/v1/transcripts/audit",
    jobs=f"payload ->> 'meeting_id' IN {_MEETINGS} OR payload ->> 'artefact_id' IN {_ARTEFACTS}",
)
