"""What changed in the simulated tenants, told to whoever makes notifications of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .store import Row


@dataclass(frozen=True, slots=True)
class Change:
    """One item that was created, updated or deleted.

    ``resource`` is the path Graph names it by (``users/{oid}/messages/{id}``), ``covered_by`` are the subscription
    resources that tell of it, in canonical spelling and any case; ``data`` is the item as a GET would show it.
    ``only_for``: the ids of the subscriptions that may be told, where not all that cover it may.
    """

    change_type: str
    type_name: str
    tenant: str
    resource: str
    item_id: str
    covered_by: tuple[str, ...]
    data: Row = field(default_factory=dict)
    etag: str | None = None
    organizer: str | None = None
    only_for: tuple[str, ...] | None = None


Listener = Callable[[Change], None]


class Changes:
    """Listeners are called at once, in the order they came."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)
