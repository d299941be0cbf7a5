"""May this be asked of Microsoft for this person now: the answer, its lock, and the job that follows a change."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.connections import (
    Account,
    Connection,
    FollowConnections,
    Leave,
    Obstacle,
    Obstructed,
    Tenant,
    bring_in_line,
    connection_of,
    follow,
    obstacle_of,
    obstacles,
    tenant_of,
)
from shared.connections.state import keep_account, keep_tenant
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import Features, TenantState, UserState
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.hosting.service import Service
from shared.jobs import Jobs
from shared.jobs.job import Job, JobWork
from shared.testing.examples import tenant_state, user_state
from shared.testing.harness import consume, publish

MakeService = Callable[..., Awaitable[Service]]
ON = Tenant(1, connected=True, tid="t1", features=Features(auto_recording=True))
OFF = replace(ON, features=Features(auto_recording=False))
HERE = Account(1, connected=True, oid="o1")
AWAY = replace(HERE, connected=False)


@pytest.mark.parametrize(
    ("tenant", "account", "made_by", "expected"),
    [
        (ON, HERE, None, None),
        (ON, HERE, "o1", None),
        (ON, HERE, "o2", obstacles.ANOTHER_ACCOUNT),
        (ON, AWAY, "o2", obstacles.ACCOUNT_NOT_CONNECTED),
        (ON, Account(), None, obstacles.ACCOUNT_NOT_CONNECTED),
        (replace(ON, connected=False), AWAY, None, obstacles.TENANT_NOT_CONNECTED),
        (Tenant(), HERE, None, obstacles.TENANT_NOT_CONNECTED),
        (OFF, AWAY, None, obstacles.feature_off("auto_recording")),
    ],
)
def test_the_first_obstacle_is_named(
    tenant: Tenant, account: Account, made_by: str | None, expected: Obstacle | None
) -> None:
    person = Connection("anna", tenant, account)
    assert person.obstacle(switch="auto_recording", made_by=made_by) == expected
    if expected is not None:
        with pytest.raises(Obstructed) as raised:
            person.require(switch="auto_recording", made_by=made_by)
        assert obstacle_of(raised.value) == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GraphReconnect("Sign in.", 401), "account_not_connected"),
        (GraphReconnect("Sign in.", 409, "reconnect_required"), "account_not_connected"),
        (GraphTellAdmin("Not connected.", 409, "tenant_not_connected"), "tenant_not_connected"),
        (GraphTellAdmin("Forbidden.", 403), "permission_missing"),
        (GraphTellAdmin("No licence.", 402), "admin_required"),
        (GraphGiveUp("Bad.", 400), None),
        (GraphRetry("Busy.", 503), None),
    ],
)
def test_what_graph_refuses_is_an_obstacle_or_none(error: GraphError, code: str | None) -> None:
    found = obstacle_of(error)
    assert (found.code if found else None) == code


def test_every_obstacle_says_what_is_so_who_mends_it_and_what_follows() -> None:
    said = obstacles.ACCOUNT_NOT_CONNECTED.sentence("it is then sent")
    assert said == (
        "Your Microsoft account is not connected. Connect it under Settings → Integrations → Microsoft Outlook; "
        "it is then sent."
    )
    refused = obstacle_of(GraphTellAdmin("Blocked by policy.", 402))
    assert refused is not None
    assert refused.sentence().endswith("administrator to allow it. Microsoft says: Blocked by policy.")


class Followed:
    """A service that follows auto-recording, and notes for whom it was called and who ended."""

    def __init__(self) -> None:
        self.called: list[tuple[str, bool]] = []
        self.ended: list[str | None] = []
        self.does, self.on = Jobs(), Handlers()
        self.does(FollowConnections)(self.follow_connections)
        self.does(Leave)(self.leave)
        follow(self.on, self.does, switch="auto_recording", ends=self)

    async def follow_connections(self, job: Job, wanted: FollowConnections) -> None:
        await bring_in_line(job, wanted, self.note)

    async def leave(self, job: Job, wanted: Leave) -> None:
        raise AssertionError

    async def note(self, _work: JobWork, person: Connection) -> None:
        self.called.append((person.user_id, person.obstacle(switch="auto_recording") is None))

    async def tenant_ended(self, _work: UnitOfWork, _event: TenantState) -> None:
        self.ended.append(None)

    async def account_ended(self, _work: UnitOfWork, event: UserState) -> None:
        self.ended.append(event.user_id)


@pytest.fixture
def followed() -> Followed:
    return Followed()


async def hear(service: Service, *events: TenantState | UserState) -> None:
    bus: Any = service.bus
    await publish(bus, *events)
    await consume(service)


async def jobs(service: Service) -> list[Any]:
    async with service.db.system_work() as work:
        return list((await work.session.execute(text("SELECT dedupe_key FROM job ORDER BY 1"))).scalars())


async def test_each_change_queues_one_job_and_what_changes_nothing_none(
    make_service: MakeService, followed: Followed
) -> None:
    service = await make_service(followed.on, followed.does)
    people = [user_state(user_id=f"u{number:02}") for number in range(45)]
    await hear(service, tenant_state(version=1), *people)
    assert len(await jobs(service)) == 1 + len(people)
    await service.runner.drain()
    await hear(service, tenant_state(version=2, auto_recording=True))
    assert await jobs(service) == [""]
    followed.called.clear()
    await service.runner.drain()
    assert followed.called == [(person.user_id, True) for person in people]
    other = tenant_state(version=3, auto_recording=True)
    features = other.features.model_copy(update={"contacts_import": not other.features.contacts_import})
    other = other.model_copy(update={"features": features})
    await hear(service, other, tenant_state(version=2))
    assert (await jobs(service), followed.ended) == ([], [])
    await hear(service, tenant_state(version=4, auto_recording=True, connected=False))
    await hear(service, user_state(user_id="u01", version=2, connected=False), user_state(user_id="u01", version=1))
    assert (await jobs(service), followed.ended) == (["", "u01"], [None, "u01"])


@pytest.mark.parametrize(("version", "called"), [(1, ["u0", "u1", "u2"]), (2, ["u2"])])
async def test_a_job_goes_on_where_it_stopped_unless_the_tenant_changed(
    make_service: MakeService, followed: Followed, version: int, called: list[str]
) -> None:
    service = await make_service(followed.on, followed.does)
    await hear(service, tenant_state(), *[user_state(user_id=f"u{number}") for number in range(3)])
    await service.runner.drain()
    followed.called.clear()
    await hear(service, tenant_state(version=2, auto_recording=True))
    reached = json.dumps({"after": "u1", "version": version})
    async with service.db.system_work() as work:
        await work.session.execute(text("UPDATE job SET checkpoint = CAST(:c AS jsonb)"), {"c": reached})
    await service.runner.drain()
    assert [user_id for user_id, _ in followed.called] == called


async def test_a_change_waits_for_whoever_writes_by_what_it_changes(make_service: MakeService) -> None:
    """Changes of the tenant and of the account wait; a reader without ``hold`` makes nobody wait."""
    service = await make_service(Handlers())
    async with service.db.unit_of_work("acme") as work:
        await keep_tenant(work.session, tenant_state())
        await keep_account(work.session, user_state(user_id="anna"))

    async def change(event: TenantState | UserState) -> None:
        async with service.db.unit_of_work("acme") as work:
            await work.session.execute(text("SET LOCAL lock_timeout = '100ms'"))
            if isinstance(event, TenantState):
                await keep_tenant(work.session, event)
            else:
                await keep_account(work.session, event)

    for event in (tenant_state(version=2), user_state(user_id="anna", version=2)):
        async with service.db.unit_of_work("acme") as work:
            assert (await connection_of(work.session, "acme", "anna", hold=True)).works
            with pytest.raises(DBAPIError, match="lock timeout"):
                await change(event)
        async with service.db.unit_of_work("acme") as work:
            assert (await tenant_of(work.session, "acme")).connected
            await asyncio.wait_for(change(event), 30)


def test_who_follows_connections_does_the_job() -> None:
    with pytest.raises(ValueError, match="FollowConnections"):
        follow(Handlers(), Jobs())
