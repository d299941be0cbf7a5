"""Who is free, shown on the form that schedules a meeting. What was typed stays in the form."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console import scheduling, times
from console.backend import Json, Refused, backend_of
from console.free_times import Calendar, Span, clipped, proposals
from console.integrations import connection_of
from console.scheduling import MeetingForm

router = APIRouter(prefix="/meetings")
DAYS = timedelta(days=7)
"""So many days after the chosen one are looked through for a better time."""
AT_ONCE = 20
"""The API tells of so many people at a time."""
STANDINGS = {
    "free": ("Free", "good", "check"),
    "tentative": ("Tentative", "warn", "clock"),
    "busy": ("Busy", "bad", "cross"),
    "out_of_office": ("Out of office", "bad", "cross"),
    "unknown": ("Not free", "bad", "cross"),
    "outside_hours": ("Outside working hours", "warn", "clock"),
    "not_visible": ("Not visible", "neutral", "dash"),
}
STATES = {"working_elsewhere": "Working elsewhere"} | {name: words for name, (words, _, _) in STANDINGS.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks about: the meeting's time, the days to look through, and whom, the required ones first."""

    start: datetime
    end: datetime
    days: Span
    zone: ZoneInfo
    own: str
    required: list[str]
    optional: list[str]

    @property
    def everybody(self) -> list[str]:
        return list(dict.fromkeys([*self.required, *self.optional]))


@dataclass(frozen=True, slots=True)
class Row:
    """One person on one day."""

    email: str
    remark: str
    standing: tuple[str, str, str]
    entries: list[str]
    hours: list[str] | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Free:
    """What the page shows; ``problem`` when the API refused."""

    days: list[tuple[str, list[Row]]] = field(default_factory=list)
    proposals: list[tuple[str, str]] = field(default_factory=list)
    """What the form takes as the start, and the time in words."""
    unseen: list[str] = field(default_factory=list)
    """Required people whose calendars are not visible."""
    blind: bool = False
    """Nobody who is required is visible."""
    unknown_hours: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problem: Json | None = None


@router.post("/free")
async def free(request: Request) -> Response:
    return await _look(request)


@router.post("/{meeting_id}/free")
async def free_to_reschedule(request: Request, meeting_id: uuid.UUID) -> Response:
    return await _look(request, await backend_of(request).get(request, f"/v1/meetings/{meeting_id}"))


async def _look(request: Request, meeting: Json | None = None) -> Response:
    form = await MeetingForm.sent(request)
    form.start = str((await request.form()).get("take") or form.start)
    connection, tenant_ready = await connection_of(request)
    known: dict[str, Any] = {"connection": connection, "tenant_ready": tenant_ready, "meeting": meeting}
    if connection["status"] != "connected":
        return await scheduling.show(request, form, **known)
    asked = _asked(form, connection)
    if asked is None:
        return await scheduling.show(request, form, 422, **known)
    wanted = {"addresses": asked.everybody[:AT_ONCE], "time_zone": asked.zone.key}
    wanted |= {name: moment.isoformat() for name, moment in zip(("start", "end"), asked.days, strict=True)}
    try:
        answer = await backend_of(request).call_with_news(request, "POST", "/v1/meetings/availability", json=wanted)
    except Refused as refused:
        if refused.status == HTTPStatus.UNAUTHORIZED:
            raise
        form.blame(refused.problem)
        return await scheduling.show(request, form, refused.status, free=Free(problem=refused.problem), **known)
    found = {one["email"]: Calendar.of(one) for one in answer.json()["people"]}
    return await scheduling.show(request, form, free=_shown(asked, found), **known)


def _asked(form: MeetingForm, connection: Json) -> Asked | None:
    """None where the form says no time or has something that is no address; the form then says so."""
    slot, people = form.slot(), form.people()
    if slot is None or form.errors:
        return None
    zone, own = ZoneInfo(form.time_zone), str((connection.get("account") or {}).get("email") or "").lower()
    roles = {role: [str(one["email"]).lower() for one in people if one.get("type", "required") == role]
             for role in ("required", "optional")}  # fmt: skip
    start, end = slot
    try:
        days = _midnight(start, zone), _midnight(end + timedelta(days=1) + DAYS, zone)
    except OverflowError:
        form.errors["start"] = "Give a start that lies less far away."
        return None
    required = list(filter(None, dict.fromkeys([own, *roles["required"]])))
    return Asked(start, end, days, zone, own, required, roles["optional"])


def _midnight(moment: datetime, zone: ZoneInfo) -> datetime:
    return datetime.combine(moment.astimezone(zone).date(), time(), zone)


def _shown(asked: Asked, found: dict[str, Calendar]) -> Free:
    required = [found[email] for email in asked.required if email in found]
    visible = [one for one in required if one.visible]
    coming = max(asked.days[0], datetime.now(asked.zone)), asked.days[1]
    length = times.lasting(asked.start, asked.end)
    starts = proposals(visible, coming, length, asked.zone) if visible else []
    said = [(f"{one:%Y-%m-%dT%H:%M}", _when(one, times.later(one, length))) for one in starts]
    return Free(
        days=[_day(asked, day, found) for day in _days(asked)],
        proposals=said,
        unseen=[one.email for one in required if not one.visible],
        blind=not visible,
        unknown_hours=[one.email for one in visible if one.working is None],
        left_out=asked.everybody[AT_ONCE:],
    )


def _days(asked: Asked) -> list[Span]:
    """The days that the meeting touches."""
    found, first = [], asked.days[0]
    while first < asked.end:
        found.append((first, _midnight(first + timedelta(days=1), asked.zone)))
        first = found[-1][1]
    return found


def _day(asked: Asked, day: Span, found: dict[str, Calendar]) -> tuple[str, list[Row]]:
    return times.day(day[0]), [_row(asked, day, found[email]) for email in asked.everybody if email in found]


def _row(asked: Asked, day: Span, one: Calendar) -> Row:
    entries = [
        f"{span} {STATES.get(state, state)}"
        for start, end, state in one.blocks
        if state != "free"
        for span in _spans([(start, end)], day)
    ]
    remark = "you" if one.email == asked.own else "optional" if one.email not in asked.required else ""
    standing = STANDINGS[one.standing(asked.start, asked.end)]
    hours = None if one.working is None else _spans(one.working, day)
    return Row(one.email, remark, standing, entries, hours, one.detail)


def _spans(spans: Sequence[Span], day: Span) -> list[str]:
    """``09:00–17:30``, on the day's clock."""
    zone = day[0].tzinfo
    local = [(start.astimezone(zone), end.astimezone(zone)) for start, end in clipped(spans, day)]
    return [f"{start:%H:%M}–{'24:00' if end == day[1] else f'{end:%H:%M}'}" for start, end in local]


def _when(start: datetime, end: datetime) -> str:
    return f"{times.day(start)}, {start:%H:%M}–{end:%H:%M}"
