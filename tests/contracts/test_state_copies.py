"""What services know of organisations and people, they know by tenant-connector's and user-auth's events."""

from datetime import UTC, datetime

from shared.connections import Account, Tenant, connection_of
from shared.events import Features, TenantState, UserState
from shared.testing.harness import Harness

from .conftest import Hosted

FEATURES = Features(auto_recording=True)
TENANT = Tenant(1, connected=True, tid="t1", features=FEATURES)
ANNA = Account(1, connected=True, tid="t1", oid="o1", name="Anna", email="anna@acme.example")
KEPT: dict[str, tuple[Tenant, Account]] = {
    "tenant-connector": (Tenant(), ANNA),
    "user-auth": (TENANT, Account()),
    "meetings": (TENANT, ANNA),
    "contacts": (TENANT, ANNA),
    "storage": (TENANT, ANNA),
    "mail": (TENANT, ANNA),
    "recording-ingest": (TENANT, ANNA),
}
"""By service; as before the first event where it has no use for it."""


async def test_tenant_and_user_state_arrive_by_events(hosted: Hosted) -> None:
    service = hosted.service
    about = {"org_id": "acme", "aggregate_version": 1, "tid": "t1", "connected": True, "changed_at": datetime.now(UTC)}
    who = {"user_id": "anna", "status": "connected", "oid": "o1", "name": "Anna", "email": "anna@acme.example"}
    events = TenantState(**about, features=FEATURES), UserState(**about, **who)
    await Harness(service, hosted.keys).hear(*events)
    async with service.db.unit_of_work("acme") as work:
        found = await connection_of(work.session, "acme", "anna")
    assert (found.tenant, found.account) == KEPT[service.name]
