"""HTTP in: /v1/meetings/availability."""

from datetime import datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field

from meetings import free_busy, scheduling
from meetings.free_busy import Seen
from meetings.models import Email, Moment, Zone
from shared.connections import connection_now
from shared.connections.refusing import refused_by_microsoft
from shared.problems import BadInput
from shared.web.dependencies import Db, Graph_
from shared.web.limits import limited
from shared.web.routes import Caller, StrictModel

router = APIRouter(prefix="/v1/meetings/availability", tags=["meetings"])
LOOKS = limited("availability", per_hour="availability_looks_per_hour")
LONGEST = timedelta(days=31)
_WHY_NOT = {
    "unknown_address": "Microsoft finds no calendar of your organisation under this address.",
    "too_many_entries": "This calendar has more entries in that time than Microsoft tells. Ask for fewer days.",
    "not_shared": "Microsoft does not show you this calendar.",
    "no_answer": "Microsoft said nothing of this calendar. Try again in a moment.",
}


def _each_once(addresses: list[str]) -> list[str]:
    """Exchange knows no case in an address."""
    return list(dict.fromkeys(address.lower() for address in addresses))


Addresses = Annotated[list[Email], Field(min_length=1, max_length=20), AfterValidator(_each_once)]


class AvailabilityWanted(StrictModel):
    """Up to 20 addresses, and a time of 5 minutes to 31 days. Times of the answer have the offset of ``time_zone``."""

    addresses: Addresses
    start: Moment
    end: Moment
    time_zone: Zone = "UTC"


class Time(BaseModel):
    start: datetime
    end: datetime


class Busy(Time):
    state: str
    """free, tentative, busy, out_of_office, working_elsewhere, or unknown. Where no block is, the person is free."""


class PersonSeen(BaseModel):
    """What the caller may see of one person's calendar: when, and never what, where or with whom."""

    email: str
    visible: bool
    code: str | None
    """Why it is not visible: unknown_address, not_shared, too_many_entries, no_answer."""
    detail: str | None
    """The same for people."""
    blocks: list[Busy]
    working_hours: list[Time] | None
    """Within the time asked for; null when Microsoft does not say."""

    @classmethod
    def of(cls, seen: Seen, zone: ZoneInfo) -> Self:
        blocks = [Busy(state=one.state, **_times(one.start, one.end, zone)) for one in seen.blocks]
        hours = None if seen.working is None else [Time(**_times(*span, zone)) for span in seen.working]
        about = {"code": seen.code, "detail": _WHY_NOT.get(seen.code or "")}
        return cls(email=seen.email, visible=seen.code is None, blocks=blocks, working_hours=hours, **about)


class Availability(BaseModel):
    """In the order of the addresses; one that was given twice is there once."""

    people: list[PersonSeen]


def _times(start: datetime, end: datetime, zone: ZoneInfo) -> dict[str, datetime]:
    return {"start": start.astimezone(zone), "end": end.astimezone(zone)}


@router.post("", dependencies=[LOOKS])
async def availability(wanted: AvailabilityWanted, caller: Caller, db: Db, graph: Graph_) -> Availability:
    """When people are free, asked of Microsoft now, as the caller; nothing of it is kept.

    409 with the code of what stands between the caller and Microsoft; ``link`` leads to where it is mended.
    """
    length = wanted.end - wanted.start
    if length < free_busy.SHORTEST:
        raise BadInput("time_too_short", "Give an end at least 5 minutes after the start.")
    if length > LONGEST:
        raise BadInput("time_too_long", f"Ask for at most {LONGEST.days} days; choose an earlier end.")
    scheduling.require_connection(await connection_now(db, caller.org_id, caller.user_id))
    as_caller = graph.as_user(caller.org_id, caller.user_id, "interactive")
    with refused_by_microsoft("to show this"):
        found = await free_busy.look(as_caller, wanted.addresses, wanted.start, wanted.end)
    zone = ZoneInfo(wanted.time_zone)
    return Availability(people=[PersonSeen.of(one, zone) for one in found])
