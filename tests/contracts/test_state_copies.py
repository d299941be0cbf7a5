"""What services know of organisations and people, they know by tenant-connector's and user-auth's events."""

from datetime import UTC, datetime

from shared.copies import TenantCopy, UserCopy, tenant_of, user_of
from shared.events import Features, TenantState, UserState
from shared.testing.harness import Harness

from .conftest import Hosted

FEATURES = Features(auto_recording=True)
TENANT = TenantCopy(connected=True, tid="t1", features=FEATURES)
ANNA = UserCopy(connected=True, tid="t1", oid="o1", name="Anna", email="anna@acme.example")
KEPT: dict[str, tuple[TenantCopy | None, UserCopy | None]] = {
    "tenant-connector": (None, ANNA),
    "user-auth": (TENANT, None),
    "meetings": (TENANT, ANNA),
    "contacts": (TENANT, ANNA),
    "storage": (None, None),
    "mail": (TENANT, ANNA),
    "recording-ingest": (TENANT, ANNA),
}
"""By service; None where it has no use for it."""


async def test_tenant_and_user_state_arrive_by_events(hosted: Hosted) -> None:
    service = hosted.service
    about = {"org_id": "acme", "tid": "t1", "connected": True, "changed_at": datetime.now(UTC)}
    who = {"user_id": "anna", "status": "connected", "oid": "o1", "name": "Anna", "email": "anna@acme.example"}
    events = TenantState(**about, features=FEATURES), UserState(**about, **who)
    await Harness(service, hosted.keys).hear(*events)
    async with service.db.unit_of_work("acme") as work:
        found = await tenant_of(work.session, "acme"), await user_of(work.session, "acme", "anna")
    assert found == KEPT[service.name]
