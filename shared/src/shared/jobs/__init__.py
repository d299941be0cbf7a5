"""Work that takes time: queued in a transaction, leased, fenced, resumed from a checkpoint."""

from shared.jobs.again import Again, GiveUp, LeaseLost, Periodic
from shared.jobs.registry import Jobs
from shared.jobs.work import Priority, Work

__all__ = ["Again", "GiveUp", "Jobs", "LeaseLost", "Periodic", "Priority", "Work"]
