"""Names of time zones: IANA's in the record, Windows' or IANA's where Microsoft tells of an event.

Microsoft has one name for what are several in IANA's list, so names are compared by what the clocks show.
"""

import functools
import json
from datetime import datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

_WEEKS = 53


@functools.cache
def windows() -> dict[str, str]:
    """Windows names of zones in lower case to IANA names, as the Unicode CLDR pairs them."""
    text = resources.files(__package__).joinpath("windows_zones.json").read_text()
    return {name.lower(): zone for name, zone in json.loads(text).items()}


def named(name: str) -> str | None:
    """IANA's name of a zone that Microsoft names; None of one that is unknown, such as one made in desktop Outlook."""
    found = windows().get(name.lower(), name)
    try:
        return ZoneInfo(found).key
    except (ValueError, OSError, LookupError):
        return None


def alike(one: str, other: str, at: datetime) -> bool:
    """Whether the clocks of both show the same in the year from then on."""
    if one == other:
        return True
    zones, weeks = (ZoneInfo(one), ZoneInfo(other)), (at + timedelta(weeks=number) for number in range(_WEEKS))
    return all(week.astimezone(zones[0]).utcoffset() == week.astimezone(zones[1]).utcoffset() for week in weeks)
