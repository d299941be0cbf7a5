"""What changed in a collection, in order, and the rounds of delta queries that read it.

An item stands once in its collection's log, at its newest change. A round reads the log from where the last one
stopped; what changes meanwhile moves to the end, so it comes later in the same round and an item may come twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .core import Simulator
from .faults import fault
from .store import Row
from .verbs import perform, verb

Reason = Literal["deleted", "changed"]
EMPTY_PAGE = fault("delta_empty_page", "a delta page is empty and has a nextLink all the same")
REPEATS = fault("delta_repeats", "a delta page begins with the item that ended the page before")
REMOVED_FIRST = fault("delta_removed_first", "a delta page also tells of an item removed before (id)", "id", "reason")
MEANWHILE = fault("delta_meanwhile", "after a delta page is read, `verb` is done with `arguments`", "verb", "arguments")
LOST = fault(
    "delta_lost", "the sync state is lost: status, code, whether a Location says where to begin again",
    "status", "code", "location",
)  # fmt: skip


class UnknownToken(ValueError):
    """Nobody gave this token for this collection."""


class LostState(Exception):
    """The service has forgotten the state; ``how`` has status, code, location, ``state`` what was bound to it."""

    def __init__(self, how: Row, state: Row) -> None:
        super().__init__(how.get("code"))
        self.how, self.state = how, state


@dataclass(frozen=True, slots=True)
class Page:
    """``entries`` are rows of the log with ``id`` and ``gone`` (None, or the reason); ``token`` leads on."""

    entries: list[Row]
    token: str
    more: bool


def note(
    simulator: Simulator,
    collection: str,
    item: str,
    gone: Reason | None = None,
    known_as: str | None = None,
    *,
    silent: bool = False,
) -> None:
    """The item was created or changed, or is no longer there; ``known_as`` is the id it had for callers.

    ``silent`` keeps it from rounds that are not the first. An item that comes back remembers when it left.
    """
    seq, kind = _end(simulator, collection) + 1, f"log/{collection}"
    simulator.store.put("log_ends", collection, {"value": seq})
    before = simulator.store.delete(kind, item)  # the newest stands last
    born = before["born"] if before and not before["gone"] else seq
    row: Row = {"id": item, "seq": seq, "born": born, "gone": gone, "known_as": known_as, "silent": silent}
    if before and not gone:
        row["left"] = {name: before[name] for name in ("born", "seq", "gone")} if before["gone"] else before.get("left")
    simulator.store.put(kind, item, row)


def _end(simulator: Simulator, collection: str) -> int:
    return int((simulator.store.get("log_ends", collection) or {"value": 0})["value"])


def beginning(simulator: Simulator, collection: str, **bound: Any) -> Row:
    """The state of a first round; ``bound`` is what the first request asked for and later ones cannot change."""
    began = _end(simulator, collection)
    return {"collection": collection, "at": 0, "since": 0, "began": began, "first": True, "after": None, **bound}


def latest(simulator: Simulator, collection: str, **bound: Any) -> Row:
    """A state that knows everything up to now."""
    state = beginning(simulator, collection, **bound)
    return {**state, "at": state["began"], "since": state["began"], "first": False}


def keep(simulator: Simulator, state: Row) -> str:
    """The opaque token of a state. It stays good however often it is used."""
    token = simulator.ids.text("sync-state", 64)
    simulator.store.put("sync_states", token, {"id": token, **state})
    return token


def recall(simulator: Simulator, token: str, collection: str, about: dict[str, str]) -> Row:
    """Raises ``UnknownToken`` and ``LostState``."""
    state = simulator.store.get("sync_states", token)
    if state is None or state["collection"] != collection:
        raise UnknownToken(token)
    lost = state.get("lost") or simulator.faults.due(LOST, **about)
    if lost:
        raise LostState(lost, state)
    return state


def read(
    simulator: Simulator,
    state: Row,
    size: int,
    about: dict[str, str],
    *,
    keeps: Callable[[Row], bool] = lambda entry: True,
    rank: Callable[[Row], list[str]] | None = None,
    returns_lost: bool = False,
) -> Page:
    """The next page. ``rank`` sorts the first round descending; ``keeps`` passes over entries.

    With ``returns_lost`` an item that left and came back since the last round is told as gone, and not again.
    """
    if simulator.faults.due(EMPTY_PAGE, **about):
        return Page([], keep(simulator, state), more=True)
    waiting = _waiting(simulator, state, keeps, rank)
    if returns_lost:
        waiting = [_as_left(state, entry) for entry in waiting]
    found = waiting[:size]
    extra = _extras(simulator, state, about)
    onward = _onward(simulator, state, found, rank, more=len(waiting) > size)
    page = Page([*extra, *found], keep(simulator, onward), len(waiting) > size)
    if (meanwhile := simulator.faults.due(MEANWHILE, **about)) is not None:
        perform(simulator, meanwhile.get("verb", ""), meanwhile.get("arguments", {}))
    return page


def _waiting(
    simulator: Simulator, state: Row, keeps: Callable[[Row], bool], rank: Callable[[Row], list[str]] | None
) -> list[Row]:
    entries = [
        entry
        for entry in simulator.store.all(f"log/{state['collection']}")
        if entry["seq"] > state["at"] and (not entry["gone"] or not state["first"] or entry["seq"] > state["began"])
    ]
    entries = [entry for entry in entries if _sought(state, entry) and (entry["gone"] or keeps(entry))]
    if rank is None or not state["first"]:
        return entries
    old = [e for e in entries if e["seq"] <= state["began"] and (state["after"] is None or rank(e) < state["after"])]
    return [*sorted(old, key=rank, reverse=True), *(e for e in entries if e["seq"] > state["began"])]


def _as_left(state: Row, entry: Row) -> Row:
    """As gone, if the last round knew it here and it has left and come back since."""
    left = None if state["first"] or entry["gone"] else entry.get("left")
    return {**entry, "gone": left["gone"]} if left and left["born"] <= state["since"] < left["seq"] else entry


def _sought(state: Row, entry: Row) -> bool:
    """Whether it is of the kind of change, ``only``, that the round was bound to, if any."""
    if entry.get("silent") and not state["first"]:
        return False
    kind = "deleted" if entry["gone"] else "created" if entry["born"] > state["since"] else "updated"
    return state.get("only") in (None, kind)


def _onward(
    simulator: Simulator, state: Row, found: list[Row], rank: Callable[[Row], list[str]] | None, *, more: bool
) -> Row:
    told = {"last": found[-1]["id"] if found else state.get("last")}
    if not more:
        end = _end(simulator, state["collection"])
        return {**state, **told, "at": end, "since": end, "first": False, "after": None}
    last = found[-1]
    if rank is not None and state["first"] and last["seq"] <= state["began"]:
        return {**state, **told, "after": rank(last)}
    return {**state, **told, "at": last["seq"]}


def _extras(simulator: Simulator, state: Row, about: dict[str, str]) -> list[Row]:
    extras = []
    if state.get("last") and simulator.faults.due(REPEATS, **about):
        known = simulator.store.get(f"log/{state['collection']}", state["last"])
        extras += [known] if known else []
    if (found := simulator.faults.due(REMOVED_FIRST, **about)) is not None:
        extras.append({"id": found.get("id", "AAMkUnknown="), "seq": 0, "gone": found.get("reason", "deleted")})
    return extras


@verb
def sync_state_forget(
    simulator: Simulator,
    *,
    collection: str = "",
    status: Literal[400, 404, 410] = 410,
    code: str = "syncStateNotFound",
    location: bool = True,
) -> Row:
    """Forget delta tokens, of every collection whose name contains `collection`; how it is then said is an option."""
    states = [row for row in simulator.store.all("sync_states") if collection in row["collection"]]
    with simulator.store.together():
        for row in states:
            lost = {"status": status, "code": code, "location": location}
            simulator.store.put("sync_states", row["id"], row | {"lost": lost})
    return {"forgotten": len(states)}
