"""Payloads of jobs. They are classes like events, so that no string names a job."""

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Priority = Literal["interactive", "fresh", "backfill"]
PRIORITIES: dict[Priority, int] = {"interactive": 0, "fresh": 1, "backfill": 2}


class Work(BaseModel):
    """The payload of a job; a subclass adds its fields and declares ``kind``, and ``priority`` unless it is fresh.

    ``keyed_by`` names the fields (or ``kind``) whose values make the dedupe key. Of one kind, organisation and key one
    job lives at a time. Without it each job is one of its own.

    Payloads are stored: rows queued by the previous version are read by the next and the reverse, so ``kind`` never
    changes, a new field has a default, and unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    kind: ClassVar[str]
    priority: ClassVar[Priority] = "fresh"
    keyed_by: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        unknown = {*(cls.keyed_by or ())} - {*cls.model_fields, "kind"}
        if unknown:
            raise TypeError(f"{cls.__name__} is keyed by {sorted(unknown)}, which are not its fields.")

    @property
    def key(self) -> str | None:
        """The dedupe key: values joined by colons, None as nothing, times in ISO form. Stored, so its form stays."""
        if self.keyed_by is None:
            return None
        return ":".join(_written(getattr(self, name)) for name in self.keyed_by)


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def all_work() -> set[type[Work]]:
    """Every class of work that was imported and has a kind."""
    found, waiting = set[type[Work]](), [Work]
    while waiting:
        for work in waiting.pop().__subclasses__():
            waiting.append(work)
            found |= {work} if hasattr(work, "kind") else set()
    return found
