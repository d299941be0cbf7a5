"""Emitted by storage."""

from typing import ClassVar

from shared.events.base import Event


class StorageLocationSelected(Event):
    """Files of the organisation go to this place from now on. Key: the organisation."""

    topic: ClassVar[str] = "storage.location_selected"
    emitter: ClassVar[str] = "storage"
    location: str


class FileStored(Event):
    """A file is complete in the store. Key: organisation and file."""

    topic: ClassVar[str] = "file.stored"
    emitter: ClassVar[str] = "storage"
    file_id: str
    path: str
    size_bytes: int
    content_type: str

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.file_id}"
