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
_FIELDS = {"end": "minutes"}


@dataclass(slots=True)
class MeetingForm:
    """What a person typed, as typed, so that a refusal loses nothing; ``errors`` are sentences by field."""

    subject: str = ""
    start: str = ""
    minutes: str = "30"
    attendees: str = ""
    time_zone: str = "UTC"
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, zone: ZoneInfo) -> Self:
        return cls(start=f"{times.next_hour(zone):%Y-%m-%dT%H:%M}", time_zone=zone.key)

    @classmethod
    def of(cls, meeting: Json, zone: ZoneInfo) -> Self:
        length = times.moment_of(meeting["end"]) - times.moment_of(meeting["start"])
        return cls(
            subject=meeting["subject"],
            start=times.local(meeting["start"], zone),
            minutes=str(int(length.total_seconds() // 60)),
            attendees="\n".join(map(recipients.written, meeting["attendees"])),
            time_zone=zone.key,
        )

    @classmethod
    async def sent(cls, request: Request) -> Self:
        form = await request.form()
        made = cls(key=_key(str(form.get("key") or "")))
        for name in ("subject", "start", "minutes", "attendees", "time_zone"):
            setattr(made, name, str(form.get(name) or ""))
        return made

    def body(self) -> Json:
        """The API's request; ``errors`` says what cannot be one."""
        if not self.subject.strip():
            self.errors["subject"] = "Give the meeting a subject; the attendees see it in their invitation."
        begin = self._begin()
        minutes = int(self.minutes) if self.minutes.isdecimal() else 0
        if not 1 <= minutes <= LONGEST_MIN:
            self.errors["minutes"] = f"Give the length in minutes, from 1 to {LONGEST_MIN}."
        people = self._people()
        if begin is None or self.errors:
            return {}
        end = begin + timedelta(minutes=minutes)
        return {"subject": self.subject, "start": begin.isoformat(), "end": end.isoformat(), "attendees": people}

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

    def _people(self) -> list[Json]:
        people, fault = recipients.read(self.attendees)
        if fault:
            self.errors["attendees"] = fault
        return people

    def blame(self, problem: Json) -> None:
        """Take over which fields the API refused."""
        for error in problem.get("errors") or []:
            first = str(error.get("field", "")).split(".")[0]
            self.errors.setdefault(_FIELDS.get(first, first), str(error.get("message", "")))


@router.get("/new")
async def new_meeting(request: Request) -> Response:
    return await _show(request, MeetingForm.empty(times.zone_of(request)))


@router.post("")
async def schedule(request: Request) -> Response:
    form = await MeetingForm.sent(request)
    body = form.body()
    if form.errors:
        return await _show(request, form, 422)
    headers = {"Idempotency-Key": form.key}
    try:
        answer = await backend_of(request).call_with_news(request, "POST", "/v1/meetings", json=body, headers=headers)
    except Refused as refused:
        return await _refused(request, form, refused)
    return RedirectResponse(f"/meetings/{answer.json()['id']}", 303)


@router.get("/{meeting_id}/reschedule")
async def change_meeting(request: Request, meeting_id: uuid.UUID) -> Response:
    meeting = await backend_of(request).get(request, f"/v1/meetings/{meeting_id}")
    return await _show(request, MeetingForm.of(meeting, times.zone_of(request)), meeting=meeting)


@router.post("/{meeting_id}/reschedule")
async def reschedule(request: Request, meeting_id: uuid.UUID) -> Response:
    form = await MeetingForm.sent(request)
    body = form.body()
    meeting = await backend_of(request).get(request, f"/v1/meetings/{meeting_id}")
    if form.errors:
        return await _show(request, form, 422, meeting=meeting)
    try:
        await backend_of(request).call_with_news(request, "PATCH", f"/v1/meetings/{meeting_id}", json=body)
    except Refused as refused:
        return await _refused(request, form, refused, meeting=meeting)
    return RedirectResponse(f"/meetings/{meeting_id}", 303)


async def _refused(request: Request, form: MeetingForm, refused: Refused, **more: Any) -> Response:
    """The form again with what was typed. With the same key, as the first try may have got through after all."""
    if refused.reached and refused.status not in _SHOWN_ON_FORM:
        raise refused
    form.blame(refused.problem)
    if refused.code == "idempotency_key_reused":
        form.key = str(uuid.uuid4())
    return await _show(request, form, refused.status, problem=refused.problem, **more)


async def _show(request: Request, form: MeetingForm, status: int = 200, **more: Any) -> Response:
    connection, tenant_ready = await connection_of(request)
    values = {"form": form, "zones": times.zones(), "connection": connection, "tenant_ready": tenant_ready}
    return render(request, "meeting/form.html", status, **({"meeting": None, "problem": None} | values | more))


def _key(text: str) -> str:
    """The form's idempotency key; a new one when somebody took it out."""
    return text if _KEY.fullmatch(text) else str(uuid.uuid4())
