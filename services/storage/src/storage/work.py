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
