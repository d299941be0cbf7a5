"""What stands in a mailbox's calendar: own events, invitations, and the occurrences of both.

A *view* is an event as one mailbox sees it. The organizer's row is kept under ``events``; an attendee of the simulated
tenants has a row under ``event_copies``, which points to the organizer's. Occurrences are worked out, not kept.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Any

from m365_simulator.clock import moment_of, stamp
from m365_simulator.store import Row, Store

from . import recurrence
from .zones import zone_of

OCCURRENCE = re.compile(r"^(?P<base>.+)O(?P<day>\d{8})=$")


def views(store: Store, user: Row, calendar: str | None = None) -> Iterator[Row]:
    """Single events and series masters of a calendar, the default one unless named; invitations stand in that one."""
    for row in store.where("events", "user", user["id"]):
        if row.get("calendar") == calendar:
            yield own(row)
    for copy in store.where("event_copies", "user", user["id"]) if calendar is None else []:
        if not copy["removed"]:
            yield invited(store, copy)


def own(row: Row) -> Row:
    return {**row, "organizer": True, "response": "organizer", "cancelled": False, "type": kind(row), "master": None}


def invited(store: Store, copy: Row) -> Row:
    """``last`` is the organizer's row as it was when the meeting was cancelled; ``own`` what the attendee changed."""
    row = copy["last"] or store.get("events", copy["of"]) or {}
    mine = copy["own"]
    seen = {"id": copy["id"], "user": copy["user"], "organizer": False, "response": copy["response"]}
    more = {"cancelled": copy["last"] is not None, "type": kind(row), "master": None, "version": copy["version"]}
    more |= {"calendar": None, "attachments": mine.get("attachments", row.get("attachments", []))}
    return {**row, **seen, **more, "body": {**row["body"], **mine.get("body", {})}, **mine.get("times", {})}


def kind(row: Row) -> str:
    return "seriesMaster" if row["body"].get("recurrence") else "singleInstance"


def find(store: Store, user: Row, key: str) -> Row | None:
    """By the id of an event, an invitation, or an occurrence of one."""
    row = store.get("events", key)
    if row is not None:
        return own(row) if row["user"] == user["id"] else None
    copy = store.get("event_copies", key)
    if copy is not None:
        return invited(store, copy) if copy["user"] == user["id"] and not copy["removed"] else None
    named = OCCURRENCE.match(key)
    base = find(store, user, named["base"] + "=") if named else None
    if named is None or base is None or base["type"] != "seriesMaster":
        return None
    return next((one for one in occurrences(base) if one["id"] == key), None)


def occurrences(master: Row) -> Iterator[Row]:
    """The series one by one; an exception stands where it was moved to, a cancelled one is left out."""
    zone = zone_of(master["zones"][0])
    first = moment_of(master["start"]).astimezone(zone)
    length = moment_of(master["end"]) - moment_of(master["start"])
    for day in recurrence.dates(master["body"]["recurrence"]):
        date = f"{day:%Y%m%d}"
        if date in master["gone"]:
            continue
        began = datetime.datetime.combine(day, first.time(), zone)
        yield _occurrence(master, date, began, length)


def _occurrence(master: Row, date: str, began: datetime.datetime, length: datetime.timedelta) -> Row:
    changed: dict[str, Any] = master["exceptions"].get(date, {})
    times = {"start": stamp(began), "end": stamp(began.astimezone(datetime.UTC) + length)}
    body = {**master["body"], **changed.get("body", {}), "recurrence": None}
    about = {
        "id": f"{master['id'][:-1]}O{date}=",
        "type": "exception" if changed else "occurrence",
        "master": master["id"],
        "original": times["start"],
        "date": date,
        "body": body,
        "version": master["version"] + changed.get("version", 0),
    }
    different: Row = {name: changed[name] for name in ("start", "end", "zones", "attachments") if name in changed}
    return {**master, **times, **different, **about}


def between(
    store: Store, user: Row, first: datetime.datetime, last: datetime.datetime, calendar: str | None = None
) -> list[Row]:
    """Everything of a calendar that takes place in the window, earliest first; series as their occurrences."""
    found = []
    for view in views(store, user, calendar):
        each = occurrences(view) if view["type"] == "seriesMaster" else [view]
        found += [one for one in each if moment_of(one["start"]) < last and moment_of(one["end"]) > first]
    return sorted(found, key=lambda one: str(one["start"]))


def slots(row: Row) -> list[list[str]]:
    """When the meeting of an organizer's event takes place."""
    each = occurrences(own(row)) if kind(row) == "seriesMaster" else [row]
    return sorted([one["start"], one["end"]] for one in each)
