"""Free/busy of several mailboxes at once: https://learn.microsoft.com/graph/api/calendar-getschedule.

Published there and in https://learn.microsoft.com/graph/outlook-get-free-busy-schedule: at most 20 addresses, less than
62 days, slots of 5 to 1440 minutes, 30 unless given, an error of its own for an address that cannot be answered, and
that whoever is asked about decides what is shown. Users report the codes of refusals, that a slot may not be longer
than the period, that a null slot is answered 500, and 1,000 entries of a calendar at most. Unproven: the code of a
calendar that is not shared, and what an application sees.
"""

import datetime
import math
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, json_of, sound

from . import zones
from .calendar_views import between
from .events import calendars_words, mailbox, zone_and_text

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
ADDRESSES, ENTRIES = 20, 1000
LONGEST = datetime.timedelta(days=62)
NAMES = ("schedules", "startTime", "endTime", "availabilityViewInterval")
RANK = {"free": 0, "workingElsewhere": 0, "tentative": 1, "busy": 2, "oof": 3}
"""The digit of each state in an availabilityView; of several the highest is shown."""
HOURS: Row = {
    "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "startTime": "08:00:00.0000000",
    "endTime": "17:00:00.0000000",
    "timeZone": {"name": "UTC"},
}
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@router.post("/me/calendar/getSchedule")
@router.post("/users/{name}/calendar/getSchedule")
async def get_schedule(request: Request) -> Response:
    caller, user = mailbox(request)
    first, last, minutes, addresses = _wanted(await json_of(request))
    zone, _ = zone_and_text(request)
    found = [_schedule(caller, user, address, (first, last), minutes, zone) for address in addresses]
    return answer(caller.simulator, "Collection(microsoft.graph.scheduleInformation)", {"value": found}, kind=None)


def _wanted(body: Any) -> tuple[datetime.datetime, datetime.datetime, int, list[str]]:
    names = {name.lower(): name for name in NAMES}
    if not isinstance(body, dict) or not {key.lower() for key in body} <= set(names):
        raise GraphError(400, "RequestBodyRead", f"The action takes the parameters {', '.join(NAMES)}.")
    given = {names[key.lower()]: value for key, value in body.items()}
    addresses = given.get("schedules")
    if not isinstance(addresses, list) or not addresses or not all(isinstance(one, str) for one in addresses):
        raise GraphError(400, "ErrorInvalidRequest", "schedules must be a collection of SMTP addresses.")
    if len(addresses) > ADDRESSES:
        text = "There are too many target users in the EmailAddress array."
        text += f" The allowed size = {ADDRESSES}; the actual size = {len(addresses)}."
        raise GraphError(400, "ErrorMailboxDataArrayTooBig", text)
    if not all(isinstance(given.get(name), dict) for name in ("startTime", "endTime")):
        raise GraphError(400, "ErrorInvalidRequest", "startTime and endTime must be given.")
    with calendars_words():
        first, last = (moment_of(zones.read(given[name], name)[0]) for name in ("startTime", "endTime"))
    if not datetime.timedelta(0) < last - first < LONGEST:
        text = "The time duration specified for FreeBusyViewOptions.TimeWindow is invalid."
        raise GraphError(400, "ErrorInvalidTimeInterval", text)
    return first, last, _slot(given.get("availabilityViewInterval", 30), last - first), addresses


def _slot(given: Any, period: datetime.timedelta) -> int:
    if given is None:
        raise GraphError(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed.")
    minutes = int(given) if str(given).isdecimal() else 0
    if not 5 <= minutes <= 1440 or datetime.timedelta(minutes=minutes) > period:
        text = "The specified merged free/busy interval is not valid. Specify an interval that is less than the "
        text += "free/busy time window and between 5 and 1440 minutes."
        raise GraphError(400, "ErrorInvalidMergedFreeBusyInterval", text)
    return minutes


def _schedule(
    caller: Caller,
    asking: Row,
    address: str,
    window: tuple[datetime.datetime, datetime.datetime],
    minutes: int,
    zone: str,
) -> Row:
    user = find_user(caller.store, address) if "@" in address else None
    if user is None or user["tenant"] != caller.tenant or not user["mailbox"]:
        return _error(address, "5009", f"Unable to resolve e-mail address {address} to an Active Directory object.")
    kept = caller.store.get("calendar_sharing", user["id"]) or {}
    own = not caller.app_only and user["id"] == asking["id"]
    level = "details" if own else kept.get("level", "times")
    if level == "none":
        return _error(address, "ErrorNoFreeBusyAccess", "The caller does not have access to free/busy data.")
    found = [view for view in between(caller.store, user, *window) if not view["cancelled"]]
    if len(found) > ENTRIES:
        text = f"The result set contains too many calendar entries. The allowed size = {ENTRIES}; "
        return _error(address, "5006", f"{text}the actual size = {len(found)}.")
    shown: Row = {"scheduleId": address, "availabilityView": _merged(found, window, minutes)}
    items = [] if level == "merged" else [_item(view, zone, details=level == "details") for view in found]
    hours = sound(kept.get("hours") or HOURS, "graph.workingHours")
    return shown | {"scheduleItems": items, "workingHours": hours}


def _error(address: str, code: str, text: str) -> Row:
    return {"scheduleId": address, "error": {"message": text, "responseCode": code}}


def _item(view: Row, zone: str, *, details: bool) -> Row:
    body = view["body"]
    times = {name: zones.shown(view[name], zone) for name in ("start", "end")}
    private = body.get("sensitivity", "normal") not in ("normal", "personal")
    if not details:
        return {"status": _status(view), **times}
    words = {"subject": body.get("subject", ""), "location": (body.get("location") or {}).get("displayName", "")}
    return {"isPrivate": private, "status": _status(view), **({} if private else words), **times}


def _status(view: Row) -> str:
    """Who has not accepted yet is tentative for as long."""
    status = str(view["body"].get("showAs") or "busy")
    unanswered = not view["organizer"] and view["response"] in ("none", "notResponded", "tentativelyAccepted")
    return "tentative" if unanswered and status == "busy" else status


def _merged(found: list[Row], window: tuple[datetime.datetime, datetime.datetime], minutes: int) -> str:
    first, last = window
    slot = datetime.timedelta(minutes=minutes)
    digits = [0] * math.ceil((last - first) / slot)
    for view in found:
        begin = max((moment_of(view["start"]) - first) // slot, 0)
        end = min(math.ceil((moment_of(view["end"]) - first) / slot), len(digits))
        for place in range(begin, end):
            digits[place] = max(digits[place], RANK.get(_status(view), 0))
    return "".join(map(str, digits))


@verb
def calendar_sharing(simulator: Simulator, *, user: str, level: Literal["none", "merged", "times", "details"]) -> Row:
    """What colleagues see of a calendar: nothing, the merged view alone, times (as by default), or subjects too."""
    return _keep(simulator, user, {"level": level})


@verb
def working_hours(
    simulator: Simulator, *, user: str, days: list[Day], start: str = "08:00", end: str = "17:00", zone: str = "UTC"
) -> Row:
    """Set the working hours of a mailbox; ``zone`` is Windows' name or the IANA one."""
    try:
        zones.zone_of(zone)
        times = [f"{datetime.time.fromisoformat(text):%H:%M:%S}.0000000" for text in (start, end)]
    except ValueError as error:
        raise Refused(f"These are no working hours: {error}.") from error
    hours = {"daysOfWeek": days, "startTime": times[0], "endTime": times[1], "timeZone": {"name": zone}}
    return _keep(simulator, user, {"hours": hours})


def _keep(simulator: Simulator, name: str, more: Row) -> Row:
    user = find_user(simulator.store, name)
    if user is None:
        raise Refused(f"There is nobody '{name}'.")
    kept = simulator.store.get("calendar_sharing", user["id"]) or {}
    return simulator.store.put("calendar_sharing", user["id"], kept | more)
