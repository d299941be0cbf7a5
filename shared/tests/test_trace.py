"""One trace from the request through outbox, relay, bus and a job to the last consumer."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.bus import Record
from shared.eventing.handlers import Handlers
from shared.events import MeetingCancelled, TenantState
from shared.jobs import Jobs
from shared.jobs import Work as Wanted
from shared.jobs.job import Job
from shared.testing.examples import tenant_state
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import consume
from shared.testing.memory_bus import MemoryBus
from shared.web.routes import Work

from .conftest import MakeService


class Finish(Wanted):
    kind = "finish"


@pytest.fixture(scope="module")
def provider() -> TracerProvider:
    """The process's only provider: OpenTelemetry lets nobody replace it."""
    made = TracerProvider()
    trace.set_tracer_provider(made)
    return made


@pytest.fixture
def spans(provider: TracerProvider) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


class DeadlyBus(MemoryBus):
    """The process that published dies between the broker's acknowledgement and the delete of its outbox row."""

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        await super().publish(records)
        raise ConnectionError


async def test_a_request_is_followed_to_the_last_consumer_over_a_relay_that_dies(
    make_service: MakeService,
    client_of: Callable[[Any], Awaitable[httpx.AsyncClient]],
    platform_keys: PlatformKeys,
    spans: InMemorySpanExporter,
) -> None:
    on, does, router = Handlers(), Jobs(), APIRouter()
    bus, ended = DeadlyBus(), list[str]()

    @router.post("/v1/begin")
    async def begin(work: Work) -> None:
        work.outbox.add(tenant_state())

    @on(TenantState)
    async def go_on(event: TenantState, *, work: Any) -> None:
        work.queue(Finish())

    @does(Finish)
    async def finish(job: Job, wanted: Finish) -> None:
        async with job.unit_of_work() as work:
            work.outbox.add(MeetingCancelled(org_id=job.org_id, aggregate_version=1, meeting_id="m1"))

    @on(MeetingCancelled)
    async def be_the_last(event: MeetingCancelled, *, work: Any) -> None:
        ended.append(format(trace.get_current_span().get_span_context().trace_id, "032x"))

    first = await make_service(on, does, bus=bus)
    first.include(router)
    http = await client_of(first)
    begun = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        "Authorization": f"Bearer {platform_keys.token()}",
        "traceparent": f"00-{begun}-00f067aa0ba902b7-01",
    }
    (await http.post("/v1/begin", headers=headers)).raise_for_status()
    with pytest.raises(ConnectionError):
        await first.relay.drain()
    await first.stop()

    alive = MemoryBus()
    alive.logs = bus.logs
    second = await make_service(on, does, bus=alive)
    await second.relay.drain()
    await consume(second)
    await second.runner.drain()
    await second.relay.drain()
    await consume(second)
    told, again = alive.records("tenant.state")
    (last,) = alive.records("meeting.cancelled")
    assert told.headers == again.headers, "what is published again is the same event of the same trace"
    assert last.headers["ce_causationid"] == last.headers["ce_correlationid"] == told.headers["ce_id"]
    assert told.headers["traceparent"].split("-")[1] == last.headers["traceparent"].split("-")[1] == begun
    assert ended == [begun]
    named = {span.name for span in spans.get_finished_spans() if format(span.context.trace_id, "032x") == begun}
    assert {"POST /v1/begin", "handle tenant.state", "job finish", "handle meeting.cancelled"} <= named
