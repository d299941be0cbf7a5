"""Online meetings as they are kept: made with an event or alone, moved, cancelled, and shown in Graph's words."""

import base64
import datetime
from urllib.parse import quote, unquote

from m365_simulator.changes import Change
from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.store import Row

from . import lifecycle

KEPT_DAYS = 60
"""A meeting expires this long after its last end."""
LOBBY = {"scope": "organization", "isDialInBypassEnabled": False}
OWN = ("subject", "recordAutomatically", "allowTranscription", "startDateTime", "endDateTime")


def new_meeting(
    simulator: Simulator,
    user: Row,
    subject: str | None,
    slots: list[list[str]],
    attendees: list[str],
    event: str | None,
) -> Row:
    """``event`` is the calendar event it belongs to; None for a standalone meeting."""
    thread = f"19:meeting_{simulator.ids.text('thread', 32)}@thread.v2"
    context = quote(f'{{"Tid":"{user["tenant"]}","Oid":"{user["id"]}"}}', safe="")
    key = "MSo" + base64.urlsafe_b64encode(f"{user['id']}*0**{thread}".encode()).rstrip(b"=").decode()
    numbers = str(int.from_bytes(simulator.ids.text("join", 24).encode()))
    row: Row = {
        "id": key,
        "tenant": user["tenant"],
        "organizer": user["id"],
        "join_url": f"https://teams.microsoft.com/l/meetup-join/{quote(thread, safe='')}/0?context={context}",
        "thread": thread,
        "subject": subject,
        "event": event,
        "standalone": event is None,
        "attendees": attendees,
        "vtc": numbers[:9],
        "join_id": numbers[9:19],
        "passcode": None,
        "external_id": None,
        "options": {},
        "recordAutomatically": False,
        "allowTranscription": True,
        "recorded_by_hand": False,
        "happened": False,
        "cancelled": False,
        "delay_s": 0,
        "created": stamp(simulator.now()),
        "made_on_service_clock": stamp(simulator.clock.service()),
        **_when(slots),
    }
    simulator.store.put("meetings", key, row)
    lifecycle.plan(simulator, row)
    return row


def _when(slots: list[list[str]]) -> Row:
    return {"slots": slots, "start": slots[0][0], "end": slots[0][1]} if slots else {}


def moved(simulator: Simulator, key: str, subject: str | None, slots: list[list[str]], attendees: list[str]) -> None:
    """As its event says now."""
    row = simulator.store.get("meetings", key)
    if row is None:
        return
    later = bool(slots) and slots != row.get("slots")
    row |= {"subject": subject, "attendees": attendees, **_when(slots)}
    if later and any(slot[0] not in row.get("held", []) for slot in slots):
        row["happened"] = False
    simulator.store.put("meetings", key, row)
    lifecycle.plan(simulator, row)
    tell(simulator, "updated", row)


def cancelled(simulator: Simulator, key: str) -> None:
    row = simulator.store.get("meetings", key)
    if row is not None:
        row = simulator.store.put("meetings", key, row | {"cancelled": True})
        lifecycle.plan(simulator, row)
        tell(simulator, "deleted", row)


def restored(simulator: Simulator, key: str) -> None:
    row = simulator.store.get("meetings", key)
    if row is not None:
        row = simulator.store.put("meetings", key, row | {"cancelled": False})
        lifecycle.plan(simulator, row)
        tell(simulator, "updated", row)


def tell(simulator: Simulator, change_type: str, row: Row) -> None:
    resource = f"communications/onlineMeetings('{row['id']}')"
    covered = (f"communications/onlineMeetings/{row['id']}", f"users/{row['organizer']}/onlineMeetings/{row['id']}")
    simulator.changes.tell(
        Change(
            change_type,
            "microsoft.graph.onlineMeeting",
            row["tenant"],
            resource,
            row["id"],
            covered,
            shown(simulator, row),
            organizer=row["organizer"],
        )
    )


def plain(url: str) -> str:
    """Without percent-encoding: a filter may carry the URL as it is or encoded once more."""
    decoded = unquote(url)
    return url if decoded == url else plain(decoded)


def expires(row: Row) -> datetime.datetime:
    last = max((slot[1] for slot in row.get("slots") or []), default=row["end"])
    ended = max([last, *row.get("ends", [])])
    return moment_of(ended) + datetime.timedelta(days=KEPT_DAYS)


def may_join(store_user: Row, row: Row) -> bool:
    """The organizer and the people invited."""
    return bool(store_user["id"] == row["organizer"] or store_user["address"] in row["attendees"])


def _person(simulator: Simulator, row: Row, address: str, role: str) -> Row:
    user = find_user(simulator.store, address)
    who = {"id": user["id"] if user else None, "displayName": None, "tenantId": (user or row)["tenant"]}
    return {"identity": {"user": who}, "role": role, "upn": user["address"] if user else address}


def shown(simulator: Simulator, row: Row) -> Row:
    options = {name: value for name, value in row["options"].items() if name not in OWN}
    needed = bool((options.pop("joinMeetingIdSettings", None) or {}).get("isPasscodeRequired"))
    guests = [_person(simulator, row, address, "attendee") for address in row["attendees"] if address]
    participants = {"organizer": _person(simulator, row, row["organizer"], "presenter"), "attendees": guests}
    return {
        "isEntryExitAnnounced": True,
        "allowedPresenters": "everyone",
        "allowRecording": True,
        "allowMeetingChat": "enabled",
        "isBroadcast": False,
        **options,
        "lobbyBypassSettings": {**LOBBY, **(options.get("lobbyBypassSettings") or {})},
        "id": row["id"],
        "creationDateTime": row["created"],
        "startDateTime": row["start"],
        "endDateTime": row["end"],
        "expiryDateTime": stamp(expires(row)),
        "joinWebUrl": row["join_url"],
        "subject": row["subject"],
        "externalId": row.get("external_id"),
        "recordAutomatically": row["recordAutomatically"],
        "allowTranscription": row["allowTranscription"],
        "videoTeleconferenceId": row.get("vtc"),
        "chatInfo": {"threadId": row.get("thread"), "messageId": "0", "replyChainMessageId": None},
        "joinMeetingIdSettings": {
            "isPasscodeRequired": needed,
            "joinMeetingId": row.get("join_id"),
            "passcode": row.get("passcode") if needed else None,
        },
        "participants": participants,
    }
