"""Writing a mail: new, to a contact or the people of a meeting, or an answer; with files."""

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, UploadFile

from console import recipients
from console.backend import Json, Refused, backend_of
from console.conversations import conversation_of
from console.problems import refused_page
from console.rendering import render
from console.switches import require_person

PAGE = "/mail/write"
router = APIRouter(prefix=PAGE, dependencies=[Depends(require_person)])
_SHOWN_ON_FORM = {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST, 413}
_FIELDS = ("to", "cc", "bcc", "subject", "body")
_ABOUT = ("conversation", "message", "cursor")
_KEY = re.compile(r"[0-9a-f-]{36}")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_CHUNK = 256 * 1024


@dataclass(slots=True)
class MailForm:
    """What a person typed, as typed, so that a refusal loses nothing; ``errors`` are sentences by field."""

    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    body: str = ""
    files: list[dict[str, str]] = field(default_factory=list)
    """Uploaded already: ``id``, ``name`` and ``size``."""
    conversation: str = ""
    message: str = ""
    cursor: str = ""
    everybody: bool = False
    answers: str = ""
    """The message at Microsoft that is answered."""
    key: str = field(default_factory=lambda: str(uuid.uuid4()))
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def sent(cls, form: FormData) -> Self:
        key = str(form.get("key") or "")
        made = cls(key=key) if _KEY.fullmatch(key) else cls()
        for name in (*_FIELDS, *_ABOUT, "answers"):
            setattr(made, name, str(form.get(name) or "").replace("\r\n", "\n"))
        made.everybody = form.get("everybody") == "true"
        columns = [form.getlist(name) for name in ("file", "file_name", "file_size")]
        made.files = [
            {"id": str(id_), "name": str(name), "size": str(size)} for id_, name, size in zip(*columns, strict=False)
        ]
        return made

    def request_body(self) -> Json:
        """The API's request; ``errors`` says what cannot be one."""
        people: Json = {}
        for name in ("to", "cc", "bcc"):
            people[name], fault = recipients.read(getattr(self, name))
            if fault:
                self.errors[name] = fault
        if not self.answers and not any(people.values()) and not self.errors:
            self.errors["to"] = "Name at least one person who gets the mail."
        asked = {"subject": self.subject.strip(), "body": self.body, "files": [one["id"] for one in self.files]}
        answers = {"answers": {"message_id": self.answers, "everybody": self.everybody}} if self.answers else {}
        return {name: found for name, found in people.items() if found} | asked | answers

    def blame(self, problem: Json) -> None:
        """Take over which fields the API refused."""
        for error in problem.get("errors") or []:
            first = str(error.get("field", "")).split(".")[0]
            self.errors.setdefault(first if first in _FIELDS else "files", str(error.get("message", "")))


@router.get("")
async def write(
    request: Request,
    to: str = "",
    contact: uuid.UUID | None = None,
    meeting: uuid.UUID | None = None,
    conversation: uuid.UUID | None = None,
    message: str = "",
    cursor: str = "",
    everybody: bool = False,
) -> Response:
    form = MailForm(to=to[:320], everybody=everybody)
    if contact:
        form.to = _of_contact(await backend_of(request).get(request, f"/v1/contacts/{contact}"))
    elif meeting:
        found = await backend_of(request).get(request, f"/v1/meetings/{meeting}")
        form.to, form.subject = "\n".join(map(recipients.written, found["attendees"])), found["subject"]
    elif conversation:
        form.conversation, form.message, form.cursor = str(conversation), message, cursor
    return await _show(request, form)


@router.post("")
async def send(request: Request) -> Response:
    """Send it; or attach, or take out a file, and show the form again."""
    async with request.form(max_files=50) as given:
        form = MailForm.sent(given)
        try:
            for upload in given.getlist("upload"):
                if isinstance(upload, UploadFile) and upload.filename:
                    form.files.append(await _uploaded(request, upload))
        except Refused as refused:
            return await _refused(request, form, refused, "files")
        remove, attach = str(given.get("remove") or ""), "attach" in given
    if remove:
        form.files = [one for one in form.files if one["id"] != remove]
    if remove or attach:
        return await _show(request, form)
    asked = form.request_body()
    if form.errors:
        return await _show(request, form, 422)
    headers = {"Idempotency-Key": form.key}
    try:
        answer = await backend_of(request).call_with_news(request, "POST", "/v1/mail", json=asked, headers=headers)
    except Refused as refused:
        return await _refused(request, form, refused)
    return RedirectResponse(f"/mail/outbox/{answer.json()['id']}", 303)


async def _uploaded(request: Request, upload: UploadFile) -> dict[str, str]:
    """Give one file to the service. Its size is told first, so that one that is too large is refused unread."""
    kind = upload.content_type or ""
    name = re.split(r"[/\\]", upload.filename or "")[-1][:200] or "file"
    about = {"name": name, "media_type": kind if _TYPE.fullmatch(kind) else "application/octet-stream"}

    async def content() -> AsyncIterator[bytes]:
        while chunk := await upload.read(_CHUNK):
            yield chunk

    answer = await backend_of(request).call(
        request,
        "POST",
        "/v1/mail/files",
        params=about,
        content=content(),
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(upload.size or 0)},
    )
    made = answer.json()
    return {"id": made["id"], "name": made["name"], "size": str(made["size_bytes"])}


async def _refused(request: Request, form: MailForm, refused: Refused, where: str = "") -> Response:
    """The form again with what was typed. With the same key, as the first try may have got through after all."""
    if refused.reached and refused.status not in _SHOWN_ON_FORM:
        raise refused
    form.blame(refused.problem)
    if where:
        form.errors.setdefault(where, str(refused))
    if refused.code == "idempotency_key_reused":
        form.key = str(uuid.uuid4())
    return await _show(request, form, refused.status, problem=refused.problem)


async def _show(request: Request, form: MailForm, status: int = 200, problem: Json | None = None) -> Response:
    answered = None
    if form.conversation:
        found, _ = await conversation_of(request, _id(form.conversation), form.cursor or None)
        answered = next((one for one in found["messages"] if one["id"] == form.message), None)
        if answered is None or not answered["message_id"]:
            detail = "This mail cannot be answered from here. Open the conversation again and choose the mail."
            refusal = Refused(404, {"detail": detail, "code": "message_not_found"})
            return refused_page(request, refusal, way_on=(f"/mail/conversations/{_id(form.conversation)}", "Open it"))
        form.answers = answered["message_id"]
    limits = await backend_of(request).look(request, "/v1/mail/limits")
    values: dict[str, Any] = {"form": form, "answered": answered, "limits": limits, "problem": problem}
    return render(request, "mail/write.html", status, connection=await _connection(request), **values)


async def _connection(request: Request) -> Json | None:
    """Pages that are read know it already; a form that comes back does not."""
    known: Json | None = getattr(request.state, "connection", None)
    return known or await backend_of(request).look(request, "/v1/connection")


def _of_contact(contact: Json) -> str:
    emails = [one["value"]["address"] for one in contact["sets"].get("emails", []) if one["valid"]]
    return recipients.written({"name": contact["name"], "email": emails[0]}) if emails else ""


def _id(given: str) -> str:
    """An id of ours from a form; one that nobody has, when it is none."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return str(uuid.UUID(int=0))
