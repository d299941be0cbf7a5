"""What the tables hold of people and organisations."""

from shared.mailboxes import folders
from shared.privacy.erasure import OF_PERSON, Holding, Holdings

HOLDINGS = Holdings(
    jobs="payload ->> 'run_id' IN (SELECT id FROM import_run WHERE org_id = :org_id AND user_id = :user_id)",
    tables=(
        Holding(
            "import_row",
            person=OF_PERSON,
            exported={"contact": "name", "what was done": "action", "why not": "sentence", "undone": "undone"},
            withheld="""run_id source_id graph_id folder_id status change_key digest sort_name reading payload emails
                code field contact_id why changed outcome created journal prior undone_why record phones words""",
        ),
        Holding(
            "import_run",
            person=OF_PERSON,
            exported={
                "made": "made_at",
                "started": "started_at",
                "finished": "finished_at",
                "status": "status",
                "folders": "folders",
                "shared": "share",
                "counts": "outcome",
                "problem": "problem",
            },
            withheld="""id account by_itself removals read_count total done counts undone base shared_base asks remarks
                delta_links""",
        ),
        Holding(
            "source_record",
            person=OF_PERSON,
            exported={"as Outlook has it": "payload", "read": "read_at", "removed": "removed_at"},
            withheld="id account graph_id folder_id change_key digest contact_id why dropped_at",
        ),
        Holding(
            "contact_photo",
            person=OF_PERSON,
            exported={"read": "read_at", "kind": "media_type"},
            withheld="contact_id source_id change_key photo",
        ),
        Holding(
            "contact",
            person=OF_PERSON,
            keeps="What a person's import gave to a contact that another person shares stays: it is that person's.",
            exported={
                "name": "name",
                "company": "company",
                "job title": "job_title",
                "emails": "emails",
                "phones": "phones",
                "all values and where they come from": "record",
                "shared": "shared",
                "made": "made_at",
                "changed": "changed_at",
                "archived": "archived_at",
            },
            withheld="id version sort_name words conflicts archived_because",
        ),
        Holding("address_change", person=OF_PERSON, withheld="contact_id turned"),
        Holding("not_same", person=OF_PERSON, exported={"said": "said_at"}, withheld="one other"),
        Holding("proposal", person=OF_PERSON, withheld="one other score reasons"),
        folders.HOLDING,
        Holding("book", person=OF_PERSON, withheld="revision version run_id"),
        Holding("removal_policy", of_organisation={"contacts removed in Outlook": "removed_in_outlook"}, withheld=""),
        Holding(
            "request_key",
            person=OF_PERSON,
            exported={"asked at": "created_at", "run": "run_id"},
            withheld="key request_hash",
        ),
    ),
)
