"""How long Graph lets a subscription live, by its resource: Microsoft's published maxima in minutes, of what we follow.

For mailboxes the service enforces ten minutes less than it prints. What Graph grants is kept as it answered, and a
maximum that it names in a refusal is believed.
"""

import re
from datetime import timedelta

MARGIN = timedelta(minutes=15)
"""Clocks differ, and a create takes its time."""
RENEW_BEFORE = timedelta(hours=4)
_DEFAULT = 4_230
_MAXIMA = [
    (re.compile(r"^(me|users/[^/]+)/(.+/)?(messages|events|contacts)$"), 10_070),
    (re.compile(r"/meetingcallevents$"), 1_440),  # of 4,320: the application cannot end them once it has no token
    (re.compile(r"/onlinemeetings/"), 4_320),
]
_MINUTES = re.compile(r"can only be (\d+) minutes in the future")
_SPAN = re.compile(r"allowed max '(?:(\d+)\.)?(\d+):(\d+):\d+")


def life_of(resource: str) -> timedelta:
    """The life to ask for: the maximum less a margin."""
    path = resource.strip("/").lower()
    return _less(next((minutes for form, minutes in _MAXIMA if form.search(path)), _DEFAULT))


def renew_before(resource: str) -> timedelta:
    """How long before its end it is renewed."""
    return min(RENEW_BEFORE, life_of(resource) / 3)


def life_in(message: str) -> timedelta | None:
    """The maximum that a refusal names, less a margin; None when it names none."""
    if found := _MINUTES.search(message):
        return _less(int(found[1]))
    if found := _SPAN.search(message):
        return _less(int(found[1] or 0) * 24 * 60 + int(found[2]) * 60 + int(found[3]))
    return None


def _less(minutes: int) -> timedelta:
    whole = timedelta(minutes=minutes)
    return whole - min(MARGIN, whole / 4)
