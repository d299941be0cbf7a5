"""What the tables hold of people and organisations."""

from shared.privacy.erasure import OF_PERSON, Holding, Holdings

HOLDINGS = Holdings(
    tables=(
        Holding(
            "import_run",
            person=OF_PERSON,
            exported={"started": "started_at", "finished": "finished_at", "status": "status", "kept": "kept_count"},
            withheld="id read_count problem",
        ),
        Holding(
            "contact",
            person=OF_PERSON,
            exported={
                "name": "display_name",
                "emails": "emails",
                "phones": "phones",
                "company": "company",
                "job title": "job_title",
                "removed": "removed_at",
            },
            withheld="id folder_id change_key",
        ),
        Holding(
            "folder_cursor",
            person=OF_PERSON,
            exported={"folder": "folder_id", "read": "read_at"},
            withheld="delta_link",
        ),
    )
)
