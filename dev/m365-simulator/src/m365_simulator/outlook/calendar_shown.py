"""Events, calendars and their changes in Graph's words."""

from urllib.parse import quote

from m365_simulator.changes import Change
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.teams.policies import allowed

from . import bodies
from .zones import shown as in_zone

NEVER = "0001-01-01T00:00:00Z"
DEFAULTS: Row = {
    "subject": "",
    "importance": "normal",
    "sensitivity": "normal",
    "showAs": "busy",
    "isAllDay": False,
    "isReminderOn": True,
    "reminderMinutesBeforeStart": 15,
    "responseRequested": True,
    "allowNewTimeProposals": True,
    "hideAttendees": False,
    "hasAttachments": False,
    "categories": [],
    "isDraft": False,
    "recurrence": None,
    "isOnlineMeeting": False,
    "onlineMeetingProvider": "unknown",
    "onlineMeeting": None,
}
HIDDEN = {"attachments", "calendar", "extensions", "instances", "exceptionOccurrences"}
HIDDEN |= {"singleValueExtendedProperties", "multiValueExtendedProperties", "@odata.type"}


def event(simulator: Simulator, view: Row, zone: str = "UTC", *, as_text: bool = False) -> Row:
    """As its mailbox sees it, times in ``zone``."""
    body, key = view["body"], view["id"]
    kept = {name: value for name, value in body.items() if name not in HIDDEN}
    organizer = simulator.store.get("users", view["organizer_id"]) or {"name": "Somebody", "address": ""}
    master = view["type"] == "seriesMaster"
    return {
        **DEFAULTS,
        **kept,
        "@odata.etag": f'W/"{change_key(view)}"',
        "id": key,
        "changeKey": change_key(view),
        "iCalUId": view["ical"],
        "createdDateTime": view["created"],
        "lastModifiedDateTime": view["modified"],
        "start": in_zone(view["start"], zone),
        "end": in_zone(view["end"], zone),
        "originalStartTimeZone": view["zones"][0],
        "originalEndTimeZone": view["zones"][1],
        "subject": f"Canceled: {body.get('subject') or ''}" if view["cancelled"] else body.get("subject", ""),
        "body": bodies.shown(body.get("body"), as_text=as_text),
        "bodyPreview": bodies.preview(body.get("body")),
        "hasAttachments": any(not one["isInline"] for one in view.get("attachments", [])),
        **_places(body),
        "attendees": body.get("attendees") or [],
        "isCancelled": view["cancelled"],
        "isOrganizer": view["organizer"],
        "responseStatus": {"response": view["response"], "time": NEVER},
        "type": view["type"],
        "seriesMasterId": view["master"],
        "recurrence": body.get("recurrence") if master else None,
        "webLink": f"https://outlook.office365.com/owa/?itemid={quote(key)}&exvsurl=1&path=/calendar/item",
        "onlineMeetingUrl": None,
        "organizer": {"emailAddress": {"name": organizer["name"], "address": organizer["address"]}},
        **({"originalStart": view["original"]} if view.get("original") else {}),
    }


def change_key(view: Row) -> str:
    return f"{view['ical'][-20:]}{view['version']:04d}"


def _places(body: Row) -> Row:
    """``location`` is the first of ``locations``. A place with a name has an id: its name, unless another is given."""
    given = body.get("locations") or [body.get("location")]
    found = [_place(one) for one in given if one]
    return {"location": found[0] if found else {**_place({}), "address": {}, "coordinates": {}}, "locations": found}


def _place(given: Row) -> Row:
    name = given.get("displayName") or ""
    ids = {"uniqueId": name, "uniqueIdType": "private"} if name else {"uniqueIdType": "unknown"}
    usual = {"displayName": name, "locationType": "default", **ids}
    return usual | {name: value for name, value in given.items() if value is not None}


def calendar(simulator: Simulator, user: Row, row: Row | None = None) -> Row:
    """The default calendar, or one that was made; Teams is offered where the organisation lets the person have it."""
    online = allowed(simulator, user, "online_meetings")
    return {
        "id": row["id"] if row else calendar_id(user),
        "name": row["name"] if row else "Calendar",
        "color": row["color"] if row else "auto",
        "hexColor": "",
        "isDefaultCalendar": row is None,
        "isRemovable": row is not None,
        "changeKey": "AAAA",
        "canEdit": True,
        "canShare": True,
        "canViewPrivateItems": True,
        "isTallyingResponses": True,
        "allowedOnlineMeetingProviders": ["teamsForBusiness"] if online else [],
        "defaultOnlineMeetingProvider": "teamsForBusiness" if online else "unknown",
        "owner": {"name": user["name"], "address": user["address"]},
    }


def calendar_id(user: Row) -> str:
    return f"AAMkC{user['id'].replace('-', '')}="


def tell(simulator: Simulator, change_type: str, view: Row) -> None:
    """An event was created, updated or deleted in one mailbox."""
    key, owner = view["id"], view["user"]
    covered = (f"users/{owner}/events", f"users/{owner}/calendar/events", f"users/{owner}/events/{key}")
    data = event(simulator, view)
    path = f"Users/{owner}/Events/{key}"
    simulator.changes.tell(
        Change(change_type, "microsoft.graph.event", view["tenant"], path, key, covered, data, data["@odata.etag"])
    )
