"""Emitted by contacts. Key: organisation and user."""

from typing import ClassVar

from shared.events.base import Event, Pseudonym


class ContactsEvent(Event):
    emitter: ClassVar[str] = "contacts"
    user_id: Pseudonym
    """The person in Prospo whose contacts they are."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class ContactsChanged(ContactsEvent):
    """A person changed, deleted, shared, joined or parted contacts, or an import was undone.

    Which ones is not told; an import that finishes is told by ``contacts.imported``.
    """

    topic: ClassVar[str] = "contacts.changed"


class ContactsImported(ContactsEvent):
    """An import run finished and changed something; counts are of contacts. Ids of contacts are in the run's rows."""

    topic: ClassVar[str] = "contacts.imported"
    run_id: str
    """The run; a person may have many."""
    created: int
    """Contacts that Prospo did not have before."""
    updated: int
    """Contacts that had changed at Microsoft."""
    unchanged: int
    """Contacts that were the same as in the run before."""
    conflicts: int = 0
    """How many of the updated contacts kept a value that a person typed, although Microsoft has a new one."""
    removed: int = 0
    """Contacts that are not at Microsoft any more. Prospo keeps them, or archives them, as the organisation chose."""
