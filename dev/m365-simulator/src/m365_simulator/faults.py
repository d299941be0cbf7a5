"""Scripted faults: where they strike, on whom, how often. A fault that does not exist is refused with those that do.

``match`` narrows a fault: ``path`` (a glob over the path, ``*/events*``), ``method``, ``user`` and ``tenant`` (id or
address or domain), and what the fault's place knows besides. ``skip`` lets the first n matching calls pass, so the n-th
call is ``skip: n-1``; ``times`` is how many are struck (null: until cleared); ``probability`` is drawn from the seed.
"""

import fnmatch
import random
from dataclasses import dataclass
from typing import Any

from .store import Row, Store

COMMON = ("times", "skip", "probability", "match")


@dataclass(frozen=True, slots=True)
class FaultKind:
    name: str
    says: str
    options: tuple[str, ...]


KINDS: dict[str, FaultKind] = {}


def fault(name: str, says: str, *options: str) -> str:
    """Declare a fault next to the code that asks for it; ``options`` are its own besides the common ones."""
    KINDS[name] = FaultKind(name, says, options)
    return name


class BadFault(ValueError):
    """The sentence names what is known."""


class Faults:
    """Stored, so a restart keeps them. Ask with ``due``; every asking that matches counts as one call."""

    def __init__(self, store: Store, seed: str) -> None:
        self._store = store
        self._draw = random.Random(f"{seed}/faults")

    def add(self, name: str, body: Row) -> Row:
        kind = KINDS.get(name)
        if kind is None:
            raise BadFault(f"There is no fault '{name}'. Known: {', '.join(sorted(KINDS))}.")
        known = {*COMMON, *kind.options}
        if strange := set(body) - known:
            raise BadFault(f"'{name}' has no option {sorted(strange)}. Known: {', '.join(sorted(known))}.")
        _check(body)
        key = f"{name}-{len(self._store.keys('faults')) + 1}-{self._draw.getrandbits(32):08x}"
        return self._store.put("faults", key, {"id": key, "name": name, "times": 1, "skip": 0, **body})

    def due(self, name: str, **about: str | None) -> Row | None:
        """The fault that strikes this call, counted; None when none does."""
        for row in self._store.all("faults"):
            if row["name"] != name or not _matches(row.get("match") or {}, about):
                continue
            if row["skip"] > 0:
                self._store.put("faults", row["id"], {**row, "skip": row["skip"] - 1})
                continue
            if self._draw.random() >= row.get("probability", 1.0):
                continue
            self._count(row)
            return row
        return None

    def _count(self, row: Row) -> None:
        if row["times"] is None:
            return
        if row["times"] <= 1:
            self._store.delete("faults", row["id"])
        else:
            self._store.put("faults", row["id"], {**row, "times": row["times"] - 1})

    def clear(self, name: str | None = None) -> None:
        for row in self._store.all("faults"):
            if name in (None, row["name"]):
                self._store.delete("faults", row["id"])


def _check(body: Row) -> None:
    times, skip, odds = body.get("times", 1), body.get("skip", 0), body.get("probability", 1.0)
    if times is not None and (not isinstance(times, int) or times < 1):
        raise BadFault("times is a whole number from 1, or null for as long as the fault stands.")
    if not isinstance(skip, int) or skip < 0:
        raise BadFault("skip is a whole number from 0: that many matching calls pass first.")
    if not isinstance(odds, int | float) or not 0 < odds <= 1:
        raise BadFault("probability is a number over 0, at most 1.")
    if not isinstance(body.get("match", {}), dict):
        raise BadFault('match is an object such as {"path": "*/events*", "user": "anna@contoso.example"}.')


def _matches(wanted: dict[str, Any], about: dict[str, str | None]) -> bool:
    """Each wanted word fits one of the call's, which may have several names (``id address``)."""
    return all(
        any(fnmatch.fnmatch(name.lower(), str(pattern).lower()) for name in (about.get(key) or "").split("\n"))
        for key, pattern in wanted.items()
    )
