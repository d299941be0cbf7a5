"""An in-memory bus: partitions, offsets, groups with one member, the same behaviour suite as Kafka."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from zlib import crc32

from shared.bus.port import BusConsumer, Partition, Record, Refusals, Revoked, refusal

PARTITIONS = 4


class MemoryBus:
    """Keeps everything until the process ends; committed offsets belong to the group, as in Kafka."""

    def __init__(self) -> None:
        self.logs: dict[Partition, list[Record]] = defaultdict(list)
        self.committed: dict[str, dict[Partition, int]] = defaultdict(dict)
        self.arrived = asyncio.Event()
        self.members: dict[str, _MemoryConsumer] = {}
        self.closed: dict[str, str] = {}
        """Topics that refuse every record → reason, like a missing permission on Kafka."""

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for partition in range(PARTITIONS):
                self.logs[topic, partition]

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        refusals = Refusals()
        for place, record in enumerate(records):
            if refusals.holds_back(place, record):
                continue
            if reason := refusal(record) or self.closed.get(record.topic):
                refusals.add(place, record, reason)
                continue
            partition = crc32(record.key.encode()) % PARTITIONS
            log = self.logs[record.topic, partition]
            log.append(replace(record, partition=partition, offset=len(log)))
        self.arrived.set()
        return refusals.reasons

    def consumer(self, group: str, topics: Iterable[str]) -> BusConsumer:
        return _MemoryConsumer(self, group, set(topics))

    async def rebalance(self, group: str) -> None:
        """Take all partitions from the group's member and give them back, as when another one comes and goes."""
        await self.members[group].revoke_and_assign()

    def all_fetched(self, group: str) -> bool:
        """Whether the group's member has fetched everything published so far; for tests."""
        return group in self.members and self.members[group].all_fetched()

    def records(self, topic: str) -> list[Record]:
        """Everything ever published to ``topic``, by partition; for tests."""
        return [record for (name, _), log in sorted(self.logs.items()) if name == topic for record in log]


class _MemoryConsumer:
    def __init__(self, bus: MemoryBus, group: str, topics: set[str]) -> None:
        self._bus = bus
        self._group = group
        self._topics = topics
        self._next: dict[Partition, int] = {}
        self._on_revoke: Revoked | None = None
        self._steady = asyncio.Event()

    async def start(self, on_revoke: Revoked) -> None:
        self._on_revoke = on_revoke
        self._bus.members[self._group] = self
        self._read_from_committed()

    def _read_from_committed(self) -> None:
        self._next = dict(self._bus.committed[self._group])
        self._steady.set()

    async def revoke_and_assign(self) -> None:
        self._steady.clear()
        if self._on_revoke is not None:
            await self._on_revoke([place for place in self._bus.logs if place[0] in self._topics])
        self._read_from_committed()

    async def fetch(self, limit: int, wait_s: float) -> list[Record]:
        await self._steady.wait()
        found = self._take(limit)
        if not found and wait_s > 0:
            self._bus.arrived.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._bus.arrived.wait()
            except TimeoutError:
                return []
            await self._steady.wait()
            found = self._take(limit)
        return found

    def _take(self, limit: int) -> list[Record]:
        taken: list[Record] = []
        for place, log in list(self._bus.logs.items()):
            if place[0] in self._topics and len(taken) < limit:
                start = self._next.get(place, 0)
                new = log[start : start + limit - len(taken)]
                self._next[place] = start + len(new)
                taken += new
        return taken

    def all_fetched(self) -> bool:
        return all(
            self._next.get(place, 0) == len(log) for place, log in self._bus.logs.items() if place[0] in self._topics
        )

    async def commit(self, offsets: dict[Partition, int]) -> None:
        self._bus.committed[self._group].update(offsets)

    async def stop(self) -> None:
        """Leave the group; what is not committed is read again by the next member."""
        self._bus.members.pop(self._group, None)
