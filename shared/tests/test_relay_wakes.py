"""What is committed while the relay publishes a batch is published next, not when the relay looks by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from shared.bus import Record
from shared.database import outbox
from shared.eventing import relay as relay_module
from shared.hosting.service import Service
from shared.testing.databases import TestDatabase, connect
from shared.testing.examples import tenant_state, user_state
from shared.testing.memory_bus import MemoryBus
from shared.testing.waiting import until

MakeService = Callable[..., Awaitable[Service]]


class Slow(MemoryBus):
    """Takes its first batch while ``meanwhile`` happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return await super().publish(records)


@pytest.mark.parametrize("beside", ["a row that is older", "a row that is refused"])
async def test_what_is_committed_while_a_batch_goes_out_is_next(
    make_service: MakeService, database: TestDatabase, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    """An older row commits late; or the batch has a row that the broker refuses."""
    monkeypatch.setattr(relay_module, "POLL_S", 3600.0)
    bus = Slow()
    service = await make_service(None, bus=bus)
    late = outbox.Outbox(source="notes")
    late.add(user_state("late"))
    owner = await connect(database.owner_url)
    transaction = owner.transaction()

    async def write() -> None:
        await transaction.start()
        await owner.execute(outbox.INSERT, *late.rows[0])

    async def meanwhile() -> None:
        if beside == "a row that is refused":
            await write()
        await transaction.commit()
        service.db.wakes.tell("outbox")

    bus.meanwhile = meanwhile
    if beside == "a row that is refused":
        bus.closed["tenant.state"] = "it is not ours"
    else:
        await write()
    relaying = asyncio.create_task(service.relay.run())
    async with service.db.unit_of_work("acme") as work:
        work.outbox.add(user_state("first"))
        work.outbox.add(tenant_state())

    async def both() -> bool:
        return {record.key for record in bus.records("user.state")} == {"acme:first", "acme:late"}

    try:
        await until(both, within_s=20)
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
        await owner.close()
