"""The jobs of the storage service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class TidyObjects(Work):
    """Delete the objects of a file that its row does not name, or all of one that was given up."""

    kind = "tidy_objects"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("file_id",)
    file_id: str


class TidyParts(Work):
    """The same under the name that the version before queues; its workers would delete the parts of whole files."""

    kind = "tidy_parts"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("file_id",)
    file_id: str


class LookAtLocation(Work):
    """See whether files can still be written to the chosen place: each day, and more often while they cannot."""

    kind = "look_at_location"
    keyed_by = ("kind",)


class GiveUpUploads(Work):
    """Give up the organisation's uploads that nobody went on with for long."""

    kind = "give_up_uploads"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("kind",)


class HashFile(Work):
    """Read a file that has no SHA-256 yet; one that a person uploaded becomes whole by it."""

    kind = "hash_file"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("file_id",)
    file_id: str


class MoveFiles(Work):
    """Move the organisation's files that belong elsewhere, one after another, while the place for them works."""

    kind = "move_files"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("kind",)


class DeleteCopy(Work):
    """Delete a copy in SharePoint that nobody needs any more."""

    kind = "delete_copy"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("copy_id",)
    copy_id: str


class KeepRetention(Work):
    """Delete the files that the organisation keeps no longer, each day."""

    kind = "keep_retention"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("kind",)


class SweepStaging(Work):
    """Delete what senders that gave up left in the staging folder of the chosen place; after each look at it."""

    kind = "sweep_staging"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("kind",)
