"""The pages a person opens: start, Microsoft 365 card, integrations, schedule, meetings, the meeting record."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from console.backend import Backend, Refused

HERE = Path(__file__).parent
templates = Jinja2Templates(HERE / "templates")
router = APIRouter()

FEATURES = {
    "outlook_email": ("Outlook email", "Send as yourself and see conversations with a contact."),
    "auto_recording": ("Auto-recording", "Teams meetings record by themselves; recording and transcript arrive here."),
    "contacts_import": ("Contacts import", "People can import their Outlook contacts."),
    "sharepoint_storage": ("SharePoint storage", "Files and recordings go to a Teams drive. Requires a selection."),
}


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.console.backend
    return backend


def render(request: Request, page: str, status: int = 200, **values: Any) -> Response:
    settings = request.app.state.console.settings
    common = {
        "simulator_url": settings.simulator_url,
        "persona": request.headers.get("x-prospo-persona") if settings.simulator_url else None,
    }
    return templates.TemplateResponse(request, page, common | values, status_code=status)


def install_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def show_refusal(request: Request, refused: Refused) -> Response:
        return render(request, "refused.html", refused.status, problem=refused.problem)


@router.get("/health/live")
@router.get("/health/ready")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/")
async def start(request: Request) -> Response:
    if "authorization" not in request.headers:
        return render(request, "welcome.html")
    return RedirectResponse("/meetings", 303)


@router.get("/connectors/microsoft365")
async def connector(request: Request) -> Response:
    answer = await backend_of(request).call(request, "GET", "/v1/tenant")
    return render(request, "connector.html", tenant=answer.json(), etag=answer.headers.get("etag"), features=FEATURES)


@router.post("/connectors/microsoft365/features")
async def switch_feature(
    request: Request, feature: Annotated[str, Form()], on: Annotated[bool, Form()], etag: Annotated[str, Form()]
) -> Response:
    await backend_of(request).call(
        request, "PATCH", "/v1/tenant/features", json={feature: on}, headers={"If-Match": etag}
    )
    return RedirectResponse("/connectors/microsoft365", 303)


@router.get("/integrations")
async def integrations(request: Request) -> Response:
    return render(request, "integrations.html", connection=await backend_of(request).get(request, "/v1/connection"))


@router.get("/meetings")
async def meetings(request: Request) -> Response:
    return render(request, "meetings.html", meetings=(await backend_of(request).get(request, "/v1/meetings"))["items"])


@router.get("/meetings/new")
async def new_meeting(request: Request) -> Response:
    connection = await backend_of(request).get(request, "/v1/connection")
    begin = (datetime.now(UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    return render(request, "schedule.html", connection=connection, begin=begin, key=str(uuid.uuid4()))


@router.post("/meetings")
async def schedule(
    request: Request,
    subject: Annotated[str, Form()],
    start: Annotated[datetime, Form()],
    minutes: Annotated[int, Form(ge=5, le=1440)],
    attendees: Annotated[str, Form()],
    key: Annotated[str, Form()],
) -> Response:
    begin = start if start.tzinfo else start.replace(tzinfo=UTC)
    body = {
        "subject": subject,
        "start": begin.isoformat(),
        "end": (begin + timedelta(minutes=minutes)).isoformat(),
        "attendees": [{"email": email} for email in attendees.replace(",", " ").split()],
    }
    answer = await backend_of(request).call(
        request, "POST", "/v1/meetings", json=body, headers={"Idempotency-Key": key}
    )
    return RedirectResponse(f"/meetings/{answer.json()['id']}", 303)


@router.get("/meetings/{meeting_id}")
async def meeting(request: Request, meeting_id: uuid.UUID) -> Response:
    return render(request, "meeting.html", meeting=await backend_of(request).get(request, f"/v1/meetings/{meeting_id}"))


@router.get("/transcripts/{transcript_id}")
async def transcript(request: Request, transcript_id: uuid.UUID) -> Response:
    found = await backend_of(request).get(request, f"/v1/transcripts/{transcript_id}")
    return render(request, "transcript.html", transcript=found)
