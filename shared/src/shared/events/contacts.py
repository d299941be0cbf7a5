"""Emitted by contacts. Key: organisation and user."""

from typing import ClassVar

from shared.events.base import Event


class ContactsImported(Event):
    """An import run finished; counts are of contacts."""

    topic: ClassVar[str] = "contacts.imported"
    emitter: ClassVar[str] = "contacts"
    user_id: str
    run_id: str
    created: int
    updated: int
    unchanged: int

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"
