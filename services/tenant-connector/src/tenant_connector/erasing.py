"""What the tables hold of people and organisations."""

from shared.erasure import AUDIT, OF_ORGANISATION, OF_PERSON, Delete, Holding, Holdings, Rewrite, pseudonym_for
from shared.events import TenantState

HOLDINGS = Holdings(
    tables=(
        Holding("consent_attempt", person=OF_PERSON, exported={"ends": "expires_at"}),
        Holding("consent_link", person=OF_PERSON, exported={"link for an administrator ends": "expires_at"}),
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
        ),
        Holding(
            "readiness_person",
            person=OF_PERSON,
            exported={"lacks at Microsoft": "lacks", "lacks a mailbox": "without_mailbox", "as of": "checked_at"},
        ),
        Holding("readiness"),
        Holding("readiness_check"),
        AUDIT,
    ),
    connected_organisation="SELECT 1 FROM tenant WHERE org_id = :org_id AND status IN ('connected', 'proving')",
    audit_path="/v1/tenant/audit",
)
