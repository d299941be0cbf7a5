"""What an erasure leaves of a person and an organisation in tenant-connector."""

import pytest
from sqlalchemy import text

from shared.hosting.service import Service
from shared.problems import Conflict
from shared.testing import erasure
from shared.testing.harness import StartService
from shared.testing.memory_bus import MemoryBus
from tenant_connector.main import create_service
from tenant_connector.settings import Settings

TENANT = """INSERT INTO tenant (org_id, status, features, version, connected_by, claimed_by)
    VALUES ('{org}', 'disconnected', '{{}}', 3, '{mark}', 'someone') ON CONFLICT DO NOTHING"""
ROWS = (
    TENANT.replace("{mark}", "{user}"),
    """INSERT INTO consent_attempt (org_id, state_hash, user_id, browser_key_hash, expires_at)
        VALUES ('{org}', '{mark}', '{user}', 'h', now())""",
    """INSERT INTO consent_link (org_id, token_hash, user_id, user_name, org_name, tid, tenant_name, expires_at)
        VALUES ('{org}', '{mark}', '{user}', 'n', 'o', 't', 'contoso.example', now()) ON CONFLICT DO NOTHING""",
    """INSERT INTO readiness (org_id, capability, verdict, reason, evidence, details, since)
        VALUES ('{org}', 'licences', 'action_needed', 'Somebody', '[]', '{{}}', now()) ON CONFLICT DO NOTHING""",
    "INSERT INTO readiness_check (org_id) VALUES ('{org}') ON CONFLICT DO NOTHING",
    """INSERT INTO readiness_person (org_id, user_id, lacks, checked_at)
        VALUES ('{org}', '{user}', '["{mark}"]', now())""",
    """INSERT INTO audit (org_id, id, actor, action, outcome, details)
        VALUES ('{org}', gen_random_uuid(), '{user}', 'features.change', 'done', '{{"about": "{mark}"}}')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "tenant-connector")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["consent_attempt"], erased["consent_link"]) == (1, 1)
    assert erased["readiness_person"] == 1
    assert "readiness" not in erased


async def test_a_pseudonym_says_who_connected_an_organisation_that_stays(service: Service) -> None:
    await erasure.fill(service, ROWS)
    report = await erasure.erase(service, "acme", "anna")
    assert report.pseudonymised == {"tenant": 1, "audit": 1}
    async with service.db.unit_of_work("acme") as work:
        row = (await work.session.execute(text("SELECT connected_by, claimed_by, version FROM tenant"))).one()
    assert row.connected_by.startswith("erased:")
    assert (row.claimed_by, row.version) == ("someone", 3)


async def test_an_organisation_is_erased_and_no_other(service: Service, memory_bus: MemoryBus) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert (report.erased["tenant"], report.pseudonymised["audit"]) == (1, 2)
    assert [report.erased[f"readiness{which}"] for which in ("", "_check", "_person")] == [1, 1, 2]
    await service.relay.drain()
    assert [(record.key, record.value) for record in memory_bus.records("tenant.state")] == [("acme", b"")]


async def test_a_connected_organisation_is_not_erased_unless_forced(service: Service) -> None:
    await erasure.fill(service, ROWS)
    async with service.db.system_work() as work:
        await work.session.execute(
            text("UPDATE tenant SET status = 'connected', tid = 't', connected_at = now() WHERE org_id = 'acme'")
        )
    with pytest.raises(Conflict, match="Admin → Connectors"):
        await erasure.erase(service, "acme")
    assert (await erasure.erase(service, "globex")).erased["tenant"] == 1
    assert (await erasure.erase(service, "acme", force=True)).erased["tenant"] == 1
