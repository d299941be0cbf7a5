"""A service that lost a loop ends and says so; one that can handle nothing stops reading; a stop closes everything."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shared.bus import BusUnavailable
from shared.entra.tokens import TokenClient
from shared.eventing.handlers import Handlers
from shared.events import UserState
from shared.graph import Graph
from shared.hosting import service as service_module
from shared.hosting.service import EXIT_BROKEN, Service
from shared.jobs import Jobs, Work
from shared.jobs.job import Job
from shared.subscriptions.subscriptions import Subscriptions
from shared.testing.engines import free_port
from shared.testing.examples import user_state
from shared.testing.harness import consume, publish
from shared.testing.memory_bus import MemoryBus
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]
ClientOf = Callable[[Any], Awaitable[httpx.AsyncClient]]
KEYS = 60


class Note(Work):
    kind = "note"


@pytest.fixture
def _signals() -> Iterator[None]:
    """A service that is run takes the process's signals; the tests give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(service: Service, command: str) -> "asyncio.Task[int]":
    return asyncio.create_task(service_module._serve_until_stopped(service, command))


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("end", ["returns", "raises"])
async def test_a_process_whose_loop_ends_stops_and_says_that_it_failed(
    make_service: MakeService, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    service = await make_service()
    http = await client_of(service)
    ending, closed = asyncio.Event(), list[str]()

    async def broken() -> None:
        await ending.wait()
        if end == "raises":
            raise LookupError("a bug")

    class Guest:
        async def aclose(self) -> None:
            closed.append((await http.get("/health/live")).text)

    service.provide(guest=Guest())
    monkeypatch.setattr(service.relay, "run", broken)
    running = run(service, "worker")
    await asyncio.sleep(0)
    assert (await http.get("/health/live")).status_code == 200
    ending.set()
    assert await asyncio.wait_for(running, 60) == EXIT_BROKEN
    assert closed == ['{"status":"broken","loop":"relay"}']


@pytest.mark.usefixtures("_signals")
async def test_a_worker_tells_its_health_on_a_port_of_its_own(make_service: MakeService) -> None:
    service = await make_service()
    service.settings.health_port, service.settings.http_host = free_port(), "127.0.0.1"
    running = run(service, "worker")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.settings.health_port}") as http:

        async def up() -> bool:
            try:
                return (await http.get("/health/live")).status_code == 200
            except httpx.ConnectError:
                return False

        await until(up)
        assert (await http.get("/health/ready")).json() == {"status": "ok"}
        assert (await http.get("/v1/notes")).status_code == 404
    service.ended.set()  # as a signal does
    assert await asyncio.wait_for(running, 60) == 0


async def test_a_consumer_that_can_handle_nothing_stops_and_parks_few(
    make_service: MakeService, memory_bus: MemoryBus, client_of: ClientOf
) -> None:
    broken, mended = Handlers(), Handlers()

    @broken(UserState)
    async def fails(event: UserState) -> None:
        raise LookupError("a bug in this version")

    @mended(UserState)
    async def notes(event: UserState, *, session: Any) -> None:
        values = {"org_id": event.org_id, "words": event.user_id}
        await session.execute(text("INSERT INTO note (org_id, words) VALUES (:org_id, :words)"), values)

    await publish(memory_bus, *(user_state(f"u{number}") for number in range(KEYS)))
    bad = await make_service(broken)
    http = await client_of(bad)
    await bad.start(api=False, worker=True)

    async def stopped() -> bool:
        return bool(bad.waits_for())

    await until(stopped)
    answer = await http.get("/health/ready")
    assert (answer.status_code, answer.json()["for"]) == (503, "a handler that can handle its events")
    assert (await http.get("/health/live")).status_code == 200
    await bad.stop()

    good = await make_service(mended)
    async with good.db.system_work() as work:
        parked = (await work.session.execute(text("SELECT count(*) FROM parked_record"))).scalar_one()
    assert 0 < parked < KEYS / 2
    await consume(good)
    assert await good.lanes.redrive() == parked
    async with good.db.unit_of_work("acme") as work:
        assert len(set((await work.session.execute(text("SELECT words FROM note"))).scalars())) == KEYS


async def test_a_stop_closes_every_guest_even_when_one_fails(make_service: MakeService) -> None:
    closed: list[str] = []

    class Bad:
        async def aclose(self) -> None:
            raise OSError("it is gone already")

    class Good:
        async def aclose(self) -> None:
            closed.append("guest")

    class Bus(MemoryBus):
        async def stop(self) -> None:
            closed.append("bus")

    service = await make_service(bus=Bus())
    service.provide(bad=Bad(), good=Good())
    await service.stop()
    assert closed == ["guest", "bus"]


async def test_two_instances_of_a_service_give_their_handlers_their_own_objects(make_service: MakeService) -> None:
    on = Handlers()

    @on(UserState)
    async def heard(event: UserState, *, heard_by: list[str]) -> None:
        heard_by.append(event.user_id)

    heards: list[list[str]] = [[], []]
    services = [await make_service(on, bus=MemoryBus()) for _ in heards]
    for service, heard_by in zip(services, heards, strict=True):
        service.provide(heard_by=heard_by)
    lanes = [service.lanes for service in services]  # both are bound before the first of them is used
    await publish(services[0].bus, user_state("anna"))
    consuming = asyncio.create_task(lanes[0].run())

    async def done() -> bool:
        return heards != [[], []]

    await until(done)
    consuming.cancel()
    assert heards == [["anna"], []]


async def test_graph_tokens_and_subscriptions_are_there_without_wiring(make_service: MakeService) -> None:
    does = Jobs()
    given: list[Any] = []

    @does(Note)
    async def note(job: Job, wanted: Note, *, graph: Graph, tokens: TokenClient, subscriptions: Subscriptions) -> None:
        given.extend([graph, tokens, subscriptions])

    service = await make_service(jobs=does)
    async with service.db.unit_of_work("acme") as work:
        work.queue(Note())
    await service.runner.drain()
    assert given == [service.guest(name) for name in ("graph", "tokens", "subscriptions")]
    assert service.guest("graph").tokens is service.guest("tokens")


class BusThatWasAway(MemoryBus):
    """The first fetch of the first consumer finds no broker."""

    def __init__(self) -> None:
        super().__init__()
        self.was_away = False

    def consumer(self, group: str, topics: Iterable[str]) -> Any:
        made: Any = super().consumer(group, topics)
        fetch = made.fetch

        async def fetched(limit: int, wait_s: float) -> Any:
            if not self.was_away:
                self.was_away = True
                raise BusUnavailable("no broker answers")
            return await fetch(limit, wait_s)

        made.fetch = fetched
        return made


async def test_a_broker_that_was_away_for_a_moment_ends_no_loop(make_service: MakeService) -> None:
    handlers, handled, bus = Handlers(), asyncio.Event(), BusThatWasAway()

    @handlers(UserState)
    async def notes(event: UserState) -> None:
        handled.set()

    service = await make_service(handlers, bus=bus)
    await service.start(api=False, worker=True)
    await publish(bus, user_state("anna"))
    async with asyncio.timeout(60):
        await handled.wait()
    assert (bus.was_away, service.broken) == (True, "")
