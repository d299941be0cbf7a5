"""The jobs of the contacts service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class OfRun(Work):
    """What is done for one import run; of each kind one job at a time."""

    keyed_by: ClassVar[tuple[str, ...] | None] = ("run_id",)
    run_id: str


class ReadImport(OfRun):
    """Read the chosen folders and make the plan, which is the preview."""

    kind = "read_import"
    priority: ClassVar[Priority] = "interactive"


class RunImport(OfRun):
    """Carry out the plan."""

    kind = "run_import"
    priority: ClassVar[Priority] = "interactive"


class UndoImport(OfRun):
    """Undo what a run did, but for what was changed since."""

    kind = "undo_import"
    priority: ClassVar[Priority] = "interactive"


class KeepInStep(Work):
    """Look whether a person's folders that are kept in step changed, and begin a run for those that did."""

    kind = "keep_in_step"
    keyed_by = ("user_id",)
    user_id: str


class FindProposals(Work):
    """Look which of a person's contacts may be the same person."""

    kind = "find_proposals"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("user_id",)
    user_id: str
