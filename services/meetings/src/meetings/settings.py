"""Every knob of the meetings service."""

from typing import Annotated

from pydantic import Field

from shared.settings import PerHour, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    graph_mailbox_share: Annotated[int, Field(ge=0, le=4)] = 1
    """This service's part of the four requests at a time that Microsoft allows a mailbox; the parts add up to four."""
    schedule_wait_s: float = 10
    """How long POST waits for the join link before it answers 202."""
    meetings_under_way: int = 50
    """How many meetings of one person may be being scheduled at a time; a further one is refused with 429."""
    request_keys_keep_days: int = 30
    """How long an ``Idempotency-Key`` is known; it goes with the person's next new meeting after that."""
    availability_looks_per_hour: PerHour = 240
    """How often a person may see who is free."""
    calendar_told_look_s: Annotated[float, Field(ge=60)] = 900
    """How often a calendar is looked at without a notification."""
    calendar_look_s: Annotated[float, Field(ge=30)] = 120
    """The same where Microsoft refuses to notify."""
    booked_end_grace_s: int = 900
    """After the booked end, how long to wait for a better sign before saying the meeting ended."""
