"""How a job that is not done yet ends its run, by what the runner does next.

::

    Exception
    ├─ Again       run the job again; counted against its attempts, or bounded by its patience
    ├─ Periodic    the run succeeded; run the job again later, with all attempts and all patience
    ├─ GiveUp      the job fails for good and waits for a re-drive
    └─ LeaseLost   another worker has the job; write nothing

Any other exception is a fault of ours: the job runs again after a growing pause, counted. Errors of Graph, Entra and
storage that mean one of these are subclasses of it, so a job lets them pass.
"""


class Again(Exception):
    """Run the job again after ``after_s`` seconds; None is a pause that grows with each attempt.

    With ``counts`` the run is held against the kind's ``attempts``; without, the job fails for good once it has been
    tried for ``patience_s``.
    """

    after_s: float | None = None
    counts: bool = True

    def __init__(self, reason: str = "", *, after_s: float | None = None, counts: bool = True) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.counts = counts


class Periodic(Exception):
    """The run succeeded. Run the job again in ``after_s`` seconds; its checkpoint stays."""

    def __init__(self, reason: str, *, after_s: float) -> None:
        super().__init__(reason)
        self.after_s = after_s


class GiveUp(Exception):
    """Running the job again cannot help. It is kept as failed, with this reason, and can be re-driven."""


class LeaseLost(Exception):
    """Another worker has taken the job over. Nothing of this run may be committed."""
