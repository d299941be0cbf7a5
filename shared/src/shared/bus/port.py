"""The narrow port to Kafka. Publishing is the relay's; consuming is the lane runner's; nobody else touches it."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MAX_RECORD_BYTES = 1_000_000
"""Below Kafka's own default limit for a batch (1,048,588), with room for its framing."""
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class BusUnavailable(Exception):
    """The broker cannot be reached or refused for now; wait and try again, nothing is lost."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``partition`` and ``offset`` are -1 before it is published.

    An empty ``value`` is Kafka's null: a tombstone, which makes a compacted topic forget the key.
    """

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)
    partition: int = -1
    offset: int = -1

    @property
    def is_tombstone(self) -> bool:
        return not self.value


def refusal(record: Record) -> str | None:
    """The reason why no broker will ever take this record, or None."""
    if not _TOPIC.fullmatch(record.topic):
        return f"{record.topic[:100]!r} is not a topic name"
    # A character has at most four bytes; counting them exactly would encode every header of every record once more.
    characters = len(record.key) + sum(map(len, record.headers)) + sum(map(len, record.headers.values()))
    size = len(record.value) + 4 * characters
    if size > MAX_RECORD_BYTES:
        return f"the record has up to {size} bytes, more than {MAX_RECORD_BYTES}"
    return None


class Refusals:
    """Records of a batch that the broker refused: position → reason. Later records of the same key are refused too."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}
        self._keys: set[tuple[str, str]] = set()

    def add(self, place: int, record: Record, reason: str) -> None:
        self.reasons[place] = reason
        self._keys.add((record.topic, record.key))

    def holds_back(self, place: int, record: Record) -> bool:
        """Whether an earlier record of the key is refused. Then this one is refused too, or it would overtake."""
        if not self._keys or (record.topic, record.key) not in self._keys:
            return False
        self.reasons[place] = "an earlier event of this key is refused"
        return True


Partition = tuple[str, int]
Revoked = Callable[[Iterable[Partition]], Awaitable[None]]


class BusConsumer(Protocol):
    """One member of a group. Nothing is committed but by ``commit``."""

    async def start(self, on_revoke: Revoked) -> None:
        """Join; ``on_revoke`` is awaited before the partitions are given away and nothing is fetched meanwhile."""

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

    async def publish(self, records: Sequence[Record]) -> dict[int, str]:
        """Return when every record is acknowledged by all in-sync replicas, but for those the cluster refuses.

        These come back as position → reason, together with the later ones of their keys, which were not published.
        Raises ``BusUnavailable``; then any of the records may or may not be published.
        """
        ...

    async def ensure_topics(self, topics: Iterable[str]) -> None:
        """Make the missing topics where the cluster lets us."""

    def consumer(self, group: str, topics: Iterable[str]) -> BusConsumer: ...
