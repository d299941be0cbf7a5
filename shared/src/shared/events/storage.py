"""Emitted by storage."""

from typing import ClassVar

from shared.events.base import Event


class StorageLocationSelected(Event):
    """Files of the organisation go to this place from now on. Key: the organisation."""

    topic: ClassVar[str] = "storage.location_selected"
    emitter: ClassVar[str] = "storage"
    location: str
    """The place as people know it, such as the path of a SharePoint folder."""


class FileStored(Event):
    """A file is complete in the store. Key: organisation and file.

    Emitted once per file, which does not change afterwards, so its version is always 1.
    """

    topic: ClassVar[str] = "file.stored"
    emitter: ClassVar[str] = "storage"
    file_id: str
    """The file; its owner reads it at ``GET /v1/files/{file_id}``."""
    path: str
    """Where it lies in the organisation's storage. It is made of ids, and names nobody."""
    size_bytes: int
    """Bytes of the whole file; may exceed 2^31."""
    content_type: str
    """Its media type, such as ``video/mp4``."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.file_id}"
