"""Registers the function that does each class of work, and what it is given."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.database.work import Work

JobFunction = Callable[..., Awaitable[None]]
WEEK_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Kind:
    """The function and the bounds of one class of work.

    ``attempts`` bounds counted runs, ``patience_s`` how long it is tried without counting; ``lease_s`` is how long a
    worker that died keeps the job.
    """

    work: type[Work]
    function: JobFunction
    attempts: int
    patience_s: float
    lease_s: float

    @property
    def name(self) -> str:
        return self.work.kind

    @property
    def wants(self) -> list[str]:
        parameters = inspect.signature(self.function).parameters.values()
        return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


class Jobs:
    """A service's jobs. ``does = Jobs()``; ``@does(ScheduleMeeting)`` on ``async def f(job, wanted, *, graph)``.

    The function's keyword-only parameters are given by name, from what the service provides.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def __call__(
        self, work: type[Work], *, attempts: int = 20, patience_s: float = WEEK_S, lease_s: float = 60
    ) -> Callable[[JobFunction], JobFunction]:
        def register(function: JobFunction) -> JobFunction:
            if work.kind in self.kinds:
                raise ValueError(f"Two functions do the job {work.kind}.")
            self.kinds[work.kind] = Kind(work, function, attempts, patience_s, lease_s)
            return function

        return register

    @property
    def wants(self) -> set[str]:
        """Every name that a job wants of the service."""
        return {name for kind in self.kinds.values() for name in kind.wants}

    def arguments(self, provided: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Kind → its keyword arguments. ``ValueError`` naming the job when something is not provided."""
        for kind in self.kinds.values():
            missing = set(kind.wants) - set(provided)
            if missing:
                raise ValueError(f"The job {kind.name} wants {sorted(missing)}, which the service does not provide.")
        return {name: {want: provided[want] for want in kind.wants} for name, kind in self.kinds.items()}
