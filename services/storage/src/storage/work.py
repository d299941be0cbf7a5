"""The jobs of the storage service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class TidyParts(Work):
    """Delete the parts of a file that is whole, or all of one that was given up."""

    kind = "tidy_parts"
    priority: ClassVar[Priority] = "backfill"
    file_id: str

    @property
    def key(self) -> str:
        return self.file_id


class GiveUpUploads(Work):
    """Give up the organisation's uploads that nobody went on with for long."""

    kind = "give_up_uploads"
    priority: ClassVar[Priority] = "backfill"

    @property
    def key(self) -> str:
        return self.kind
