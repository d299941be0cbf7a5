"""The records that a group member holds between two rebalances, and the offset that it may commit."""

import asyncio
from collections import defaultdict

from shared.bus import Record
from shared.database.loops import is_set_within

Partition = tuple[str, int]


class Watermark:
    """Per partition, the first offset not yet handled; everything below it is done."""

    def __init__(self) -> None:
        self._open: dict[Partition, list[int]] = defaultdict(list)
        self._done: dict[Partition, set[int]] = defaultdict(set)
        self._next: dict[Partition, int] = {}

    def begin(self, record: Record) -> None:
        self._open[record.topic, record.partition].append(record.offset)

    def end(self, record: Record) -> None:
        place = record.topic, record.partition
        waiting, done = self._open[place], self._done[place]
        done.add(record.offset)
        count = 0
        while count < len(waiting) and waiting[count] in done:
            done.discard(waiting[count])
            self._next[place] = waiting[count] + 1
            count += 1
        del waiting[:count]

    @property
    def open(self) -> int:
        """How many records were begun and still hold a partition's offset back."""
        return sum(map(len, self._open.values()))

    def take(self) -> dict[Partition, int]:
        """Offsets to commit since the last call."""
        taken, self._next = self._next, {}
        return taken


class Assignment:
    """The partitions between two rebalances. After ``revoke`` no record is begun; those in hand are finished."""

    def __init__(self) -> None:
        self.watermark = Watermark()
        self.revoked = False
        self._in_hand = 0
        self._settled = asyncio.Event()
        self._settled.set()

    def take_up(self, count: int) -> None:
        self._in_hand += count
        self._settled.clear()

    def put_down(self, records: list[Record]) -> None:
        for record in records:
            self.watermark.end(record)
        self._in_hand -= len(records)
        if not self._in_hand:
            self._settled.set()

    async def revoke(self, within_s: float) -> bool:
        """Begin nothing more and wait for what is in hand; False when it takes longer than ``within_s``."""
        self.revoked = True
        return await is_set_within(self._settled, within_s)
