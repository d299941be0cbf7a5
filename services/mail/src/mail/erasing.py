"""What the tables hold of people and organisations."""

from shared.privacy.erasure import OF_PERSON, Holding, Holdings

HOLDINGS = Holdings(
    jobs="""(payload ->> 'mail_id' IN (SELECT id FROM outgoing_mail WHERE org_id = :org_id AND user_id = :user_id)
        OR payload ->> 'file_id' IN (SELECT id FROM mail_file WHERE org_id = :org_id AND user_id = :user_id))""",
    tables=(
        Holding("mail_file_part", person=OF_PERSON, withheld="file_id number content"),
        Holding(
            "mail_file",
            person=OF_PERSON,
            exported={"file": "name", "kind": "media_type", "bytes": "size_bytes", "uploaded": "made_at"},
            withheld="id mail_id whole position attached session",
        ),
        Holding(
            "mail_step",
            person=OF_PERSON,
            exported={"at": "at", "what": "what", "refused with": "code"},
            withheld="id mail_id status request_id",
        ),
        Holding(
            "outgoing_mail",
            person=OF_PERSON,
            keeps="Mails, and drafts that were not sent, stay in the person's mailbox at Microsoft, which is theirs.",
            exported={
                "id": "id",
                "subject": "subject",
                "recipients": "recipients",
                "status": "status",
                "written": "made_at",
                "accepted by Microsoft": "accepted_at",
                "seen in Sent Items": "seen_at",
                "problem": "problem",
            },
            withheld="""account turn content_type body answers draft_asked draft_doubted draft_id composed
                internet_message_id conversation_id attempts attempted_at queued_at""",
        ),
        Holding("mailbox", person=OF_PERSON, withheld="version"),
        Holding(
            "request_key",
            person=OF_PERSON,
            exported={"asked at": "created_at", "mail": "mail_id"},
            withheld="key request_hash",
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
    ),
)
