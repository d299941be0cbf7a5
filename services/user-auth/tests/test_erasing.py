"""What an erasure leaves of a person and an organisation in user-auth."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from shared.hosting.service import Service
from shared.privacy.erasure import Erasure
from shared.problems import Conflict
from shared.testing import erasure
from shared.testing.databases import connect
from shared.testing.harness import StartService
from shared.testing.memory_bus import MemoryBus
from user_auth.main import create_service
from user_auth.settings import Settings
from user_auth.work import KeepAlive

ROWS = (
    """INSERT INTO connection (org_id, user_id, status, version, tid, oid, name, email)
        VALUES ('{org}', '{user}', 'disconnected', 2, 't', 'o', '{mark}', '{mark}')""",
    """INSERT INTO sign_in_attempt
            (org_id, state_hash, user_id, browser_key_hash, tid, sealed_flow, return_to, expires_at)
        VALUES ('{org}', 's-{user}', '{user}', 'h', 't', 'x', '{mark}', now())""",
    """INSERT INTO audit (org_id, id, actor, action, outcome, details)
        VALUES ('{org}', gen_random_uuid(), '{user}', 'sign_in', 'done', '{{"about": "{mark}"}}')""",
    """INSERT INTO audit (org_id, id, actor, action, outcome, details) VALUES ('{org}', gen_random_uuid(),
        'tenant-connector', 'connection.disconnected', 'done', '{{"user_id": "{user}", "about": "{mark}"}}')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "user-auth")


async def test_a_person_is_given_the_lines_that_others_wrote_about_them_too(service: Service) -> None:
    await erasure.fill(service, ROWS)
    trail = (await erasure.exported(service, "acme", "anna"))["data"]["audit"]
    assert sorted(line["action"] for line in trail) == ["connection.disconnected", "sign_in"]
    assert sorted(line["person"] for line in (await erasure.exported(service, "acme"))["data"]["audit"]) == [
        "anna", "ben", "tenant-connector", "tenant-connector",
    ]  # fmt: skip


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service, memory_bus: MemoryBus) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["connection"], erased["sign_in_attempt"]) == (1, 1)
    await service.relay.drain()
    buried = [(record.key, record.value) for record in memory_bus.records("user.state")]
    assert buried == [("acme:anna", b"")]


async def test_the_trail_keeps_the_facts_with_one_pseudonym_for_the_person(service: Service) -> None:
    await erasure.fill(service, ROWS)
    report = await erasure.erase(service, "acme", "anna")
    assert report.pseudonymised["audit"] == 2
    assert "audit" in report.kept
    async with service.db.unit_of_work("acme") as work:
        lines = (await work.session.execute(text("SELECT actor, action, details FROM audit ORDER BY action"))).all()
    told = {action: (actor, details) for actor, action, details in lines if "erased" in details}
    pseudonym, details = told["sign_in"]
    assert pseudonym.startswith("erased:")
    assert details == {"erased": pseudonym}
    assert told["connection.disconnected"] == ("tenant-connector", {"erased": pseudonym})
    assert ("service:user-auth", "person.erase", {"rows": report.total}) in [tuple(line) for line in lines]


async def test_an_organisation_is_erased_and_no_other(service: Service, memory_bus: MemoryBus) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert (report.erased["connection"], report.pseudonymised["audit"]) == (2, 4)
    await service.relay.drain()
    assert {(r.key, r.value) for r in memory_bus.records("user.state")} == {("acme:anna", b""), ("acme:ben", b"")}


@pytest.mark.parametrize("user", ["anna", None])
async def test_who_is_connected_is_not_erased_unless_forced(service: Service, user: str | None) -> None:
    await erasure.fill(service, ROWS)
    async with service.db.system_work() as work:
        await work.session.execute(
            text(
                """UPDATE connection SET status = 'connected', sealed_cache = 'x', token_expires_at = now()
                   WHERE org_id = 'acme' AND user_id = 'anna'"""
            )
        )
    before = await erasure.contents(service.db)
    with pytest.raises(Conflict, match="Disconnect it first"):
        await erasure.erase(service, "acme", user)
    assert await erasure.contents(service.db) == before
    assert (await erasure.erase(service, "acme", "ben")).erased["connection"] == 1
    assert (await erasure.erase(service, "acme", user, force=True)).erased["connection"] == 1


async def test_the_tombstone_is_not_held_back_by_an_event_that_was_parked(
    service: Service, memory_bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay of the running service publishes whenever it can: here after every table."""
    await erasure.fill(service, ROWS)
    async with service.db.system_work() as work:
        await work.session.execute(
            text(
                """INSERT INTO outbox (event_id, topic, key, headers, payload, parked_at) VALUES (gen_random_uuid(),
                   'user.state', 'acme:anna', CAST(:headers AS jsonb), 'x', clock_timestamp())"""
            ),
            {"headers": '{"ce_orgid": "acme"}'},
        )
    empty = Erasure._empty

    async def empty_and_publish(self: Erasure, *table: Any) -> int:
        found = await empty(self, *table)
        await service.relay.drain()
        return found

    monkeypatch.setattr(Erasure, "_empty", empty_and_publish)
    await erasure.erase(service, "acme", "anna")
    assert [record.key for record in memory_bus.records("user.state")] == ["acme:anna"]


async def test_an_erasure_waits_for_the_running_service_and_takes_all_it_adds(service: Service) -> None:
    await erasure.fill(service, ROWS)
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%connection%'"
    owner = await connect(service.settings.migration_database_url)  # an erasure is the owner's
    async with service.db.unit_of_work("acme") as busy:
        await busy.session.execute(text("SELECT status FROM connection WHERE user_id = 'anna' FOR UPDATE"))
        erasing = asyncio.create_task(erasure.erase(service, "acme", "anna"))
        async with asyncio.timeout(30):
            while not await owner.fetchval(blocked):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.02)
        busy.queue(KeepAlive(user_id="anna"))  # jobs were already emptied
    report = await erasing
    await owner.close()
    assert (report.erased["connection"], report.erased["job"]) == (1, 2)
    left = await erasure.contents(service.db)
    assert [row for row in left["job"] if "acme" in row and "anna" in row] == []
