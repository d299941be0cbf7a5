"""``@on(Event)``: what a service reacts to, with what it needs given by parameter name."""

import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.events import Event

HandlerFunction = Callable[..., Awaitable[None]]
OF_THE_WORK = {"session", "outbox", "work", "meta"}
"""Names filled from the unit of work and the record, for every service."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One reaction: the event it is for, the function, the names it wants."""

    event: type[Event]
    function: HandlerFunction
    wants: tuple[str, ...]


class Handlers:
    """A service's reactions. Used as ``on = Handlers()`` in its ``handlers.py``."""

    def __init__(self) -> None:
        self._by_topic: dict[str, list[Handler]] = defaultdict(list)
        self._provided: dict[str, Any] = {}

    def __call__(self, event: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
        def register(function: HandlerFunction) -> HandlerFunction:
            parameters = inspect.signature(function).parameters.values()
            wants = tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
            self._by_topic[event.topic].append(Handler(event, function, wants))
            return function

        return register

    @property
    def topics(self) -> list[str]:
        return sorted(self._by_topic)

    def of(self, topic: str) -> list[Handler]:
        return self._by_topic.get(topic, [])

    @property
    def wants(self) -> set[str]:
        """Every name that a handler wants of the service."""
        every = {name for handlers in self._by_topic.values() for handler in handlers for name in handler.wants}
        return every - OF_THE_WORK

    def bind(self, provided: dict[str, Any]) -> "Handlers":
        """The same handlers, given these objects. ``ValueError`` names a handler and what it wants and is not there."""
        for handlers in self._by_topic.values():
            for handler in handlers:
                missing = set(handler.wants) - OF_THE_WORK - set(provided)
                if missing:
                    name = handler.function.__qualname__
                    raise ValueError(f"The handler {name} wants {sorted(missing)}, which the service does not provide.")
        bound = Handlers()
        bound._by_topic, bound._provided = self._by_topic, provided
        return bound

    async def call(self, handler: Handler, event: Event, work: Any, meta: Any) -> None:
        """Run one handler inside ``work``."""
        known = {"session": work.session, "outbox": work.outbox, "work": work, "meta": meta}
        known |= self._provided
        await handler.function(event, **{name: known[name] for name in handler.wants})
