"""What a job is asked to do. Classes like events, so that no string names a job."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

Priority = Literal["interactive", "fresh", "backfill"]
PRIORITIES: dict[Priority, int] = {"interactive": 0, "fresh": 1, "backfill": 2}


class Work(BaseModel):
    """The payload of a job; a subclass adds its fields and declares ``kind``, and ``priority`` unless it is fresh.

    Payloads are stored: rows queued by the previous version are read by the next and the reverse, so ``kind`` never
    changes, a new field has a default, and unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    kind: ClassVar[str]
    priority: ClassVar[Priority] = "fresh"

    @property
    def key(self) -> str | None:
        """The dedupe key: of one kind, organisation and key one job lives at a time. None: each is a job of its own."""
        return None


def all_work() -> set[type[Work]]:
    """Every class of work that was imported and has a kind."""
    found, waiting = set[type[Work]](), [Work]
    while waiting:
        for work in waiting.pop().__subclasses__():
            waiting.append(work)
            found |= {work} if hasattr(work, "kind") else set()
    return found
