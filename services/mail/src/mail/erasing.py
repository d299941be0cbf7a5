"""What the tables hold of people and organisations."""

from shared.privacy.erasure import OF_PERSON, Holding, Holdings

HOLDINGS = Holdings(
    tables=(
        Holding(
            "sent_message",
            person=OF_PERSON,
            exported={
                "subject": "subject",
                "recipients": "recipients",
                "status": "status",
                "written": "created_at",
                "sent": "sent_at",
                "problem": "problem",
            },
            withheld="id graph_id internet_message_id",
        ),
        Holding(
            "synced_message",
            person=OF_PERSON,
            exported={"subject": "subject", "sender": "sender", "received": "received_at", "removed": "removed_at"},
            withheld="graph_id internet_message_id conversation_id",
        ),
        Holding(
            "mail_cursor", person=OF_PERSON, exported={"folder": "folder_id", "read": "read_at"}, withheld="delta_link"
        ),
    )
)
