"""Work that takes time: queued in a transaction, leased, fenced, resumed from a checkpoint."""

from shared.jobs.registry import GiveUp, Jobs, Later, LeaseLost, Retry

__all__ = ["GiveUp", "Jobs", "Later", "LeaseLost", "Retry"]
