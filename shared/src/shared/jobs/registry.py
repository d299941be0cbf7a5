"""Which function does which kind of job, and what it is given."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

JobFunction = Callable[..., Awaitable[None]]


class Retry(Exception):
    """Do the job again after ``after_s`` seconds; with ``counts=False`` the try is not held against it."""

    def __init__(self, *, after_s: float, reason: str, counts: bool = True) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.counts = counts


class Later(Retry):
    """A good try of a job that goes on for ever: again after ``after_s`` seconds, with all its tries."""

    def __init__(self, *, after_s: float, reason: str) -> None:
        super().__init__(after_s=after_s, reason=reason, counts=False)


class GiveUp(Exception):
    """Trying again cannot help; the job is kept as failed with this reason, and can be re-driven."""


class LeaseLost(Exception):
    """Another worker has taken the job over; nothing of this one may be committed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of job is done: the function, tries before it fails, seconds of lease between heartbeats."""

    name: str
    function: JobFunction
    attempts: int
    lease_s: float

    @property
    def wants(self) -> list[str]:
        parameters = inspect.signature(self.function).parameters.values()
        return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


class Jobs:
    """A service's kinds of jobs. ``@jobs.kind("transfer")`` on ``async def transfer(job, *, db, graph)``."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def kind(self, name: str, *, attempts: int = 20, lease_s: float = 60) -> Callable[[JobFunction], JobFunction]:
        def register(function: JobFunction) -> JobFunction:
            if name in self.kinds:
                raise ValueError(f"Two functions do the job {name}.")
            self.kinds[name] = Kind(name, function, attempts, lease_s)
            return function

        return register

    def arguments(self, provided: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Kind → its keyword arguments. ``ValueError`` naming the job when something is not provided."""
        for kind in self.kinds.values():
            missing = set(kind.wants) - set(provided)
            if missing:
                raise ValueError(f"The job {kind.name} wants {sorted(missing)}, which the service does not provide.")
        return {name: {want: provided[want] for want in kind.wants} for name, kind in self.kinds.items()}
