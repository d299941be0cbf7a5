"""Work that takes time: queued in a transaction, leased, fenced, resumed from a checkpoint."""

from shared.database.work import Priority, Work
from shared.jobs.again import Again, GiveUp, LeaseLost, Periodic
from shared.jobs.registry import Jobs

__all__ = ["Again", "GiveUp", "Jobs", "LeaseLost", "Periodic", "Priority", "Work"]
