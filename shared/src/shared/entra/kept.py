"""Single flight and a bounded cache, shared by all that keep tokens in memory. Each decides what is still good."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Newest(dict[K, V]):
    """A dict of at most ``most`` values. The value that was set longest ago is dropped first."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> None:
        """Put it last."""
        self.pop(key, None)
        self[key] = value
        while len(self) > self._most:
            del self[next(iter(self))]


class Flights(Generic[K, V]):
    """One call per key at a time. All who want the same share it; its failure is theirs, and the next one asks anew.

    ``landed`` is called with what a call brought, or None when it failed; never for one that was left.
    """

    def __init__(
        self, ask: Callable[[K], Coroutine[Any, Any, V]], landed: Callable[[K, V | None], None] | None = None
    ) -> None:
        self._ask = ask
        self._landed = landed
        self._under_way: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K) -> V:
        """Join the call under way, or start one. A caller that is cancelled does not end it for the others."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = asyncio.create_task(self._ask(key), name="flight")
            flight.add_done_callback(partial(self._done, key))
        return await asyncio.shield(flight)

    def leave(self, unwanted: Callable[[K], bool]) -> None:
        """Nobody joins these any more; who waits for them is still answered."""
        for key in [known for known in self._under_way if unwanted(known)]:
            del self._under_way[key]

    async def end(self, *, cancel: bool) -> None:
        """Wait for what is under way, or cancel it."""
        flights = list(self._under_way.values())
        for flight in flights if cancel else ():
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _done(self, key: K, flight: "asyncio.Task[V]") -> None:
        failed = flight.cancelled() or flight.exception() is not None  # read, for nobody may be waiting any more
        if self._under_way.get(key) is flight:
            del self._under_way[key]
            if self._landed is not None:
                self._landed(key, None if failed else flight.result())
