"""The figures of Microsoft's notification service, each of which a test can change.

Published (webhooks page of April 2026): allowances, four hours of retries, slow and drop states, the three-day maximum
of Teams, the quotas. Unproven: how retries back off, how many responses make a share, how many notifications probe an
endpoint, when ``reauthorizationRequired`` begins, batching, the 45-minute floor, Outlook's 10,070 minutes, whether a
GET shows the clientState, and when Outlook says ``missed``.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

UNPROVEN = [
    "backoff_first_s",
    "backoff_most_s",
    "batch",
    "floor_minutes",
    "least_responses",
    "outlook_minutes",
    "probes",
    "reauthorize_lead_s",
    "shows_client_state",
]


class Figures(BaseModel):
    """Seconds count on the service clock, but the three allowances, which are real time of a call."""

    model_config = ConfigDict(extra="forbid")

    handshake_s: float = Field(10, gt=0)
    first_allowance_s: float = Field(3, gt=0)
    retry_allowance_s: float = Field(10, gt=0)
    retry_for_s: float = Field(4 * 3600, ge=0)
    backoff_first_s: float = Field(0.5, ge=0)
    backoff_most_s: float = Field(900, ge=0)
    batch: int = Field(50, ge=1)
    window_s: float = Field(600, gt=0)
    slow_share: float = Field(0.10, ge=0)
    drop_share: float = Field(0.15, ge=0)
    least_responses: int = Field(10, ge=1)
    probes: int = Field(5, ge=1)
    reauthorize_lead_s: float = Field(1800, ge=0)
    reauthorize_every_s: float = Field(900, gt=0)
    floor_minutes: int = Field(45, ge=0)
    outlook_minutes: int = Field(10_070, ge=1)
    teams_minutes: int = Field(4_320, ge=1)
    per_user: int = Field(10, ge=0)
    per_organisation: int = Field(10_000, ge=0)
    per_mailbox: int = Field(1_000, ge=0)
    shows_client_state: bool = False


def figures(simulator: Simulator) -> Figures:
    return Figures(**(simulator.store.get("settings", "notifying") or {}))


@verb
def notifying_set(simulator: "Simulator", *, values: dict[str, float]) -> Row:
    """Change figures of the notification service, such as {"first_allowance_s": 0.2}; returns all of them."""
    kept: dict[str, Any] = {**(simulator.store.get("settings", "notifying") or {}), **values}
    try:
        found = Figures(**kept)
    except ValidationError as error:
        wrong = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise Refused(f"{wrong}. Known: {', '.join(Figures.model_fields)}.") from error
    simulator.store.put("settings", "notifying", kept)
    return {**found.model_dump(), "unproven": UNPROVEN}
