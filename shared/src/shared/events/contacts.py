"""Emitted by contacts. Key: organisation and user."""

from typing import ClassVar

from shared.events.base import Event, Pseudonym


class ContactsImported(Event):
    """An import run finished; counts are of contacts."""

    topic: ClassVar[str] = "contacts.imported"
    emitter: ClassVar[str] = "contacts"
    user_id: Pseudonym
    """The person in Prospo whose contacts they are."""
    run_id: str
    """The run; a person may have many."""
    created: int
    """Contacts that Prospo did not have before."""
    updated: int
    """Contacts that had changed at Microsoft."""
    unchanged: int
    """Contacts that were the same as in the run before."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"
