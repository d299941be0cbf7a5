"""What the tables hold of people and organisations."""

from shared.events import UserState
from shared.privacy.erasure import AUDIT, OF_ORGANISATION, OF_PERSON, Delete, Holding, Holdings

_TOMBSTONE = (UserState, "org_id || ':' || user_id")
_CONNECTED = "SELECT 1 FROM connection WHERE org_id = :org_id AND status = 'connected'"

HOLDINGS = Holdings(
    tables=(
        Holding(
            "sign_in_attempt",
            person=OF_PERSON,
            exported={"ends": "expires_at", "back to": "return_to"},
            withheld="state_hash browser_key_hash tid sealed_flow",
        ),
        Holding(
            "connection",
            Delete(OF_ORGANISATION.where, _TOMBSTONE),
            Delete(OF_PERSON.where, _TOMBSTONE),
            exported={
                "status": "status",
                "name": "name",
                "email": "email",
                "addresses": "addresses",
                "Microsoft account": "oid",
                "tenant": "tid",
                "connected": "connected_at",
                "broken since": "broken_since",
                "problem": "problem",
                "permissions": "granted_scopes",
                "notices": "notices",
                "removed and left at Microsoft": "leaving",
            },
            of_organisation={"person": "user_id"},
            withheld="""version sealed_cache token_expires_at renewed_for_refusal_at doubted_since
                answered_challenge unanswered_challenge silent_refused_at silent_refused_in leaving_until
                addresses_at""",
        ),
        AUDIT,
    ),
    connected_organisation=f"{_CONNECTED} UNION ALL SELECT 1 FROM tenant_copy WHERE org_id = :org_id AND connected",
    connected_person=f"{_CONNECTED} AND user_id = :user_id",
    audit_path="/v1/connection/audit",
)
