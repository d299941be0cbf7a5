"""Every knob of the meetings service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    schedule_wait_s: float = 10
    """How long POST waits for the join link before it answers 202."""
    booked_end_grace_s: int = 900
    """After the booked end, how long to wait for a better sign before saying the meeting ended."""
