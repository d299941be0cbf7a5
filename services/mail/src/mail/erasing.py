"""What the tables hold of people and organisations."""

from shared.mailboxes import folders
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
        Holding(
            "message",
            person=OF_PERSON,
            keeps="Mail stays in the person's mailbox at Microsoft, which is theirs.",
            exported={
                "subject": "subject",
                "people": "people",
                "at": "at",
                "direction": "direction",
                "files": "attachments",
                "shared with the organisation": "shared",
            },
            withheld="""id account graph_id folder_id conversation_id internet_message_id graph_conversation_id
                addresses preview body why round doubted""",
        ),
        Holding("message_reference", person=OF_PERSON, withheld="key conversation_id shared"),
        Holding(
            "conversation",
            person=OF_PERSON,
            exported={"subject": "subject", "with": "participants", "messages": "messages", "last": "last_at"},
            withheld="id shared addresses last_direction has_attachments version",
        ),
        Holding(
            "mail_round",
            person=OF_PERSON,
            withheld="""account folder_id number whole link listed known_until skipped
            began_at""",
        ),
        Holding("folder_health", person=OF_PERSON, withheld="account folder_id problem skipped"),
        folders.HOLDING,
        Holding(
            "mail_backfill",
            person=OF_PERSON,
            exported={"past mail looked for": "address"},
            withheld="link found made_at",
        ),
        Holding(
            "contact_address",
            person=OF_PERSON,
            exported={"address of a contact": "address"},
            withheld="contact_id shared",
        ),
        Holding("address_cursor", withheld="cursor"),
        Holding("mail_retention", of_organisation={"mail kept for days": "keep_days"}, withheld=""),
        Holding(
            "mailbox",
            person=OF_PERSON,
            exported={"state": "state", "problem": "problem", "last read": "last_round_at"},
            withheld="version account rounds subscription sent_folder",
        ),
        Holding(
            "request_key",
            person=OF_PERSON,
            exported={"asked at": "created_at", "mail": "mail_id"},
            withheld="key request_hash",
        ),
    ),
)
