"""The narrow port to Kafka. Publishing is the relay's; consuming is the lane runner's; nobody else touches it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class BusUnavailable(Exception):
    """The broker cannot be reached or refused for now; wait and try again, nothing is lost."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``partition`` and ``offset`` are -1 before it is published."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)
    partition: int = -1
    offset: int = -1


Partition = tuple[str, int]
Revoked = Callable[[Iterable[Partition]], Awaitable[None]]


class BusConsumer(Protocol):
    """One member of a group. Nothing is committed but by ``commit``."""

    async def start(self, on_revoke: Revoked) -> None:
        """Join; ``on_revoke`` is awaited before the partitions are given away."""

    async def fetch(self, limit: int, wait_s: float) -> list[Record]:
        """Up to ``limit`` next records; empty after ``wait_s``. Raises ``BusUnavailable``."""
        ...

    async def commit(self, offsets: dict[Partition, int]) -> None:
        """The next offset to read per partition. A partition no longer ours is ignored."""

    async def stop(self) -> None: ...


class Bus(Protocol):
    """A Kafka cluster."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def publish(self, records: Sequence[Record]) -> None:
        """Return when every record is acknowledged by all in-sync replicas. Raises ``BusUnavailable``."""

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        """Make the missing topics where the cluster lets us."""

    def consumer(self, group: str, topics: Iterable[str]) -> BusConsumer: ...
