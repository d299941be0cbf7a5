"""What the tables hold of people and organisations."""

from shared.events import TenantState
from shared.privacy.erasure import AUDIT, OF_ORGANISATION, OF_PERSON, Delete, Holding, Holdings, Rewrite, pseudonym_for

HOLDINGS = Holdings(
    tables=(
        Holding(
            "consent_attempt",
            person=OF_PERSON,
            exported={"ends": "expires_at"},
            withheld="""state_hash browser_key_hash link_hash next_hash claimed_tid sealed_flow
                consented_at taken_until finished""",
        ),
        Holding(
            "consent_link",
            person=OF_PERSON,
            exported={"link for an administrator ends": "expires_at", "of the tenant": "tenant_name"},
            withheld="token_hash user_name org_name tid used_at",
        ),
        Holding(
            "pick",
            person=OF_PERSON,
            exported={"browsing SharePoint ends": "expires_at"},
            withheld="tid state_hash browser_key_hash sealed_flow sealed_token",
        ),
        Holding(
            "tenant",
            Delete(OF_ORGANISATION.where, (TenantState, "org_id")),
            Rewrite(
                "org_id = :org_id AND :user_id IN (connected_by, claimed_by)",
                f"connected_by = {pseudonym_for('connected_by')}, claimed_by = {pseudonym_for('claimed_by')}",
            ),
            keeps="The organisation's connection is not the person's: a pseudonym says who made it.",
            exported={"connected the organisation": "connected_at"},
            exported_where="org_id = :org_id AND connected_by = :user_id",
            of_organisation={
                "person": "connected_by",
                "status": "status",
                "tenant": "tid",
                "name": "display_name",
                "features": "features",
                "files go to": "storage_location",
            },
            withheld="version problem claim_id claimed_tid claimed_at storage_location_version "
            "storage_state_version storage_state storage_nearly_full leaving",
        ),
        Holding(
            "leaving_person",
            person=OF_PERSON,
            exported={"removed and left at Microsoft": "told"},
            withheld="version",
        ),
        Holding(
            "readiness_person",
            person=OF_PERSON,
            exported={"lacks at Microsoft": "lacks", "lacks a mailbox": "without_mailbox", "as of": "checked_at"},
        ),
        Holding(
            "readiness",
            of_organisation={
                "capability": "capability",
                "verdict": "verdict",
                "why": "reason",
                "since": "since",
                "as of": "checked_at",
            },
            withheld="remedy evidence details until patience_until failed_at failure",
        ),
        Holding(
            "readiness_check",
            withheld="version asked_at began_at done_at patience_until doubted_at names_at names_seen",
        ),
        AUDIT,
    ),
    connected_organisation="SELECT 1 FROM tenant WHERE org_id = :org_id AND status IN ('connected', 'proving')",
    audit_path="/v1/tenant/audit",
)
