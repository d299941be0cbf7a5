"""Emitted by storage."""

from typing import Annotated, ClassVar, Literal

from shared.events.base import Event, known

LocationState = Literal["works", "no_access", "gone", "full"]
FileDeletedBecause = Literal["person", "org_admin", "retention"]


class StorageLocationSelected(Event):
    """Files of the organisation go to this place from now on. Key: the organisation."""

    topic: ClassVar[str] = "storage.location_selected"
    emitter: ClassVar[str] = "storage"
    location: str
    """The place as people know it, such as the path of a SharePoint folder."""


class StorageLocationChanged(Event):
    """The place for files works, or works no more. Key: the organisation.

    Emitted when a place is chosen and with each change of its state. Files that wait for it follow by themselves.
    """

    topic: ClassVar[str] = "storage.location_changed"
    emitter: ClassVar[str] = "storage"
    location: str
    """The place as people know it."""
    state: Annotated[str, known(LocationState)]
    """``no_access``: the grant was withdrawn, or is read-only; ``gone``: the folder or library is not there."""
    nearly_full: bool
    """Less than a tenth of the library's room was left at the last look."""


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
    sha256: str | None = None
    """SHA-256 of the file's bytes, in hex; null while storage has not hashed them. The file's record at the API has it
    later."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.file_id}"


class FileDeleted(Event):
    """A stored file is gone, for everybody and for good. Key: organisation and file.

    Emitted once per file. Its copy in SharePoint is deleted too, which may come later.
    """

    topic: ClassVar[str] = "file.deleted"
    emitter: ClassVar[str] = "storage"
    file_id: str
    """The file that was."""
    because: Annotated[str, known(FileDeletedBecause)]
    """``person``: whose it was; ``retention``: the organisation keeps files no longer."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.file_id}"
