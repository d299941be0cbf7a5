"""Times of calendars: Windows zone names and IANA names in, the zone asked for out."""

import datetime
import functools
import json
import re
from importlib import resources
from zoneinfo import ZoneInfo

from m365_simulator.clock import moment_of, stamp
from m365_simulator.store import Row

DIGITS = re.compile(r"\.(\d+)$")
PREFER = re.compile(r'outlook\.timezone\s*=\s*"?(?P<zone>[^",;]+)"?', re.IGNORECASE)

FIRST_YEAR, LAST_YEAR = 1601, 4500
"""What Exchange can hold."""


class BadTime(ValueError):
    """Not a time or not a zone; the sentence names it."""


@functools.cache
def windows() -> dict[str, str]:
    """Windows names in lower case to IANA names, as the Unicode CLDR pairs them."""
    text = resources.files(__package__).joinpath("windows_zones.json").read_text()
    return {name.lower(): zone for name, zone in json.loads(text).items()}


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(windows().get(name.lower(), name))
    except (ValueError, OSError, LookupError) as error:
        raise BadTime(f"The time zone '{name}' is not known.") from error


def is_known(name: str) -> bool:
    try:
        zone_of(name)
    except BadTime:
        return False
    return True


def read(value: Row | None, name: str) -> tuple[str, str]:
    """A dateTimeTimeZone as a UTC stamp and the name of its zone. Graph writes seven fraction digits."""
    given = value or {}
    zone = given.get("timeZone") or "UTC"
    try:
        text = DIGITS.sub(lambda found: f".{found[1][:6]:0<6}", given["dateTime"].removesuffix("Z"))
        local = datetime.datetime.fromisoformat(text)
    except (KeyError, ValueError) as error:
        raise BadTime(f"The property '{name}' is not a valid time: {given.get('dateTime')}.") from error
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        raise BadTime(f"The property '{name}' is not a valid time: {given['dateTime']}.")
    return stamp(local if local.tzinfo else local.replace(tzinfo=zone_of(zone))), zone


def shown(moment: str, zone: str) -> Row:
    local = moment_of(moment).astimezone(zone_of(zone))
    return {"dateTime": f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}0", "timeZone": zone}


def preferred(header: str) -> str:
    """The zone of ``Prefer: outlook.timezone``, UTC without it; raises ``BadTime`` for one that is not known."""
    found = PREFER.search(header)
    zone = found["zone"].strip() if found else "UTC"
    zone_of(zone)
    return zone
