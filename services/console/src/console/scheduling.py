"""Scheduling and rescheduling a Teams meeting: the form, what was typed into it, and what the API says to that."""

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Self
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console import recipients, times
from console.backend import Json, Refused, backend_of
from console.integrations import connection_of
from console.rendering import render

router = APIRouter(prefix="/meetings")
LONGEST_MIN = 30 * 60
_SHOWN_ON_FORM = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST}
_KEY = re.compile(r"[0-9a-f-]{36}")
_FIELDS = {"end": "minutes", "repeats": "until", "auto_recording": "lobby", "addresses": "attendees"}
_TYPED: tuple[str, ...] = (
    "subject",
    "start",
    "minutes",
    "time_zone",
    "attendees",
    "optional",
    "rooms",
    "body",
    "every",
    "until",
)
_TYPED += ("every", "until", "lobby", "presenters", "no_recording", "etag")
LOBBIES = {
    "": "As your organisation has it",
    "organizer": "Only you",
    "invited": "People who were invited",
    "organization": "People of your organisation",
    "organizationAndFederated": "People of your and of trusted organisations",
    "everyone": "Everybody",
}
PRESENTING = {
    "": "As your organisation has it",
    "organizer": "Only you",
    "organization": "People of your organisation",
    "everyone": "Everybody",
}


@dataclass(slots=True)
class MeetingForm:
    """What a person typed, as typed, so that a refusal loses nothing; ``errors`` are sentences by field."""

    subject: str = ""
    start: str = ""
    minutes: str = "30"
    attendees: str = ""
    optional: str = ""
    rooms: str = ""
    """Rooms that were invited in Outlook, which stay invited."""
    body: str = ""
    lobby: str = ""
    presenters: str = ""
    no_recording: str = ""
    every: str = ""
    until: str = ""
    etag: str = ""
    """The version of the meeting that the form was opened with."""
    time_zone: str = "UTC"
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, zone: ZoneInfo) -> Self:
        return cls(start=f"{times.next_hour(zone):%Y-%m-%dT%H:%M}", time_zone=zone.key)

    @classmethod
    def of(cls, meeting: Json, zone: ZoneInfo, etag: str) -> Self:
        zone = times.zone_named(meeting.get("time_zone")) or zone
        length = times.moment_of(meeting["end"]) - times.moment_of(meeting["start"])
        return cls(
            subject=meeting["subject"],
            start=times.local(meeting["start"], zone),
            minutes=str(int(length.total_seconds() // 60)),
            attendees=_written(meeting, "required"),
            optional=_written(meeting, "optional"),
            rooms=_written(meeting, "resource"),
            body=meeting.get("body") or "",
            lobby=meeting.get("lobby") or "",
            presenters=meeting.get("presenters") or "",
            no_recording="" if meeting.get("auto_recording_wanted", True) else "on",
            etag=etag,
            time_zone=zone.key,
        )

    @classmethod
    async def sent(cls, request: Request) -> Self:
        form = await request.form()
        made = cls(key=_key(str(form.get("key") or "")))
        for name in _TYPED:
            setattr(made, name, str(form.get(name) or "").replace("\r\n", "\n"))
        return made

    def request_body(self, meeting: Json | None = None) -> Json:
        """The API's request; ``errors`` says what cannot be one."""
        if not self.subject.strip():
            self.errors["subject"] = "Give the meeting a subject; the attendees see it in their invitation."
        slot, people = self.slot(), self.people()
        if self.every and not self.until:
            self.errors["until"] = "Give the last day of the series; a series has an end."
        if slot is None or self.errors:
            return {}
        begin, end = slot
        sent: Json = {"subject": self.subject, "start": begin.isoformat(), "end": end.isoformat(), "attendees": people}
        sent |= {"time_zone": self.time_zone, "body": self.body.strip()}
        if not (meeting and meeting.get("series_id")):  # all of a series are one meeting in Teams
            sent |= {name: value for name in ("lobby", "presenters") if (value := getattr(self, name))}
            sent["auto_recording"] = not self.no_recording
        if self.every and meeting is None:
            sent["repeats"] = {"every": self.every, "until": self.until}
        return sent

    def slot(self) -> tuple[datetime, datetime] | None:
        """Start and end; ``errors`` says what is none."""
        begin = self._begin()
        minutes = int(self.minutes) if self.minutes.isdecimal() else 0
        if not 1 <= minutes <= LONGEST_MIN:
            self.errors["minutes"] = f"Give the length in minutes, from 1 to {LONGEST_MIN}."
            return None
        try:
            return (begin, times.later(begin, timedelta(minutes=minutes))) if begin else None
        except OverflowError:
            self.errors["start"] = "Give a start that lies less far away."
            return None

    def people(self) -> list[Json]:
        """Everybody who is invited; ``errors`` says what is no address."""
        return [*self._people("attendees"), *self._people("optional", "optional"), *self._people("rooms", "resource")]

    def _begin(self) -> datetime | None:
        zone = times.zone_named(self.time_zone)
        if zone is None:
            self.errors["time_zone"] = "Choose a time zone from the list."
            return None
        try:
            return times.typed(self.start, zone)
        except (ValueError, OverflowError) as error:
            skipped = str(error) if "clocks" in str(error) else ""
            self.errors["start"] = skipped or "Give the date and time at which the meeting starts."
            return None

    def _people(self, name: str, role: str = "") -> list[Json]:
        people, fault = recipients.read(getattr(self, name))
        if fault:
            self.errors[name] = fault
        return [{**person, "type": role} if role else person for person in people]

    def blame(self, problem: Json) -> None:
        """Take over which fields the API refused."""
        for error in problem.get("errors") or []:
            first = str(error.get("field", "")).split(".")[0]
            self.errors.setdefault(_FIELDS.get(first, first), str(error.get("message", "")))


@router.get("/new")
async def new_meeting(request: Request) -> Response:
    return await show(request, MeetingForm.empty(times.zone_of(request)))


@router.post("")
async def schedule(request: Request) -> Response:
    form = await MeetingForm.sent(request)
    body = form.request_body()
    if form.errors:
        return await show(request, form, 422)
    headers = {"Idempotency-Key": form.key}
    kind = "series" if "repeats" in body else ""
    path = "/v1/meetings/series" if kind else "/v1/meetings"
    try:
        answer = await backend_of(request).call_with_news(request, "POST", path, json=body, headers=headers)
    except Refused as refused:
        return await _refused(request, form, refused)
    return RedirectResponse(f"/meetings/{kind}{'/' if kind else ''}{answer.json()['id']}", 303)


@router.get("/{meeting_id}/reschedule")
async def change_meeting(request: Request, meeting_id: uuid.UUID) -> Response:
    answer = await backend_of(request).call(request, "GET", f"/v1/meetings/{meeting_id}")
    form = MeetingForm.of(answer.json(), times.zone_of(request), answer.headers.get("etag", ""))
    return await show(request, form, meeting=answer.json())


@router.post("/{meeting_id}/reschedule")
async def reschedule(request: Request, meeting_id: uuid.UUID) -> Response:
    form = await MeetingForm.sent(request)
    answer = await backend_of(request).call(request, "GET", f"/v1/meetings/{meeting_id}")
    meeting = answer.json()
    body = form.request_body(meeting)
    if form.errors:
        return await show(request, form, 422, meeting=meeting)
    path, headers = f"/v1/meetings/{meeting_id}", {"If-Match": form.etag} if form.etag else {}
    try:
        await backend_of(request).call_with_news(request, "PATCH", path, json=body, headers=headers)
    except Refused as refused:
        if refused.status == HTTPStatus.PRECONDITION_FAILED:
            form.etag = answer.headers.get("etag", "")  # what was typed is sent over it when it is sent again
            return await show(request, form, refused.status, problem=refused.problem, meeting=meeting, changed=True)
        return await _refused(request, form, refused, meeting=meeting)
    return RedirectResponse(f"/meetings/{meeting_id}", 303)


async def _refused(request: Request, form: MeetingForm, refused: Refused, **more: Any) -> Response:
    """The form again with what was typed. With the same key, as the first try may have got through after all."""
    if refused.reached and refused.status not in _SHOWN_ON_FORM:
        raise refused
    form.blame(refused.problem)
    if refused.code == "idempotency_key_reused":
        form.key = str(uuid.uuid4())
    return await show(request, form, refused.status, problem=refused.problem, **more)


async def show(request: Request, form: MeetingForm, status: int = 200, **more: Any) -> Response:
    """The form as it was typed."""
    if "connection" not in more:
        more["connection"], more["tenant_ready"] = await connection_of(request)
    values = {"form": form, "zones": times.zones(), "free": None}
    values |= {"meeting": None, "problem": None, "changed": False, "lobbies": LOBBIES, "presenting": PRESENTING}
    return render(request, "meeting/form.html", status, **(values | more))


def _written(meeting: Json, role: str) -> str:
    people = [one for one in meeting["attendees"] if (one.get("type") or "required") == role]
    return "\n".join(map(recipients.written, people))


def _key(text: str) -> str:
    """The form's idempotency key; a new one when somebody took it out."""
    return text if _KEY.fullmatch(text) else str(uuid.uuid4())
