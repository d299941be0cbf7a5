"""What a person sees: account picker, consent, failures, the meetings. Honest about being a simulation.

``client.FormReader`` reads these pages as a browser would: one form with hidden inputs, and the buttons ``account`` and
``decision``; ``accept`` is what goes on.
"""

import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.directory import PERSONAL
from m365_simulator.store import Row

router = APIRouter()
_FOLDER = Path(__file__).parent / "pages_html"
_templates = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)

WORDS = {
    "User.Read": "Sign in and read their profile",
    "Calendars.ReadWrite": "Read and write their calendars",
    "Calendars.Read": "Read calendars",
    "OnlineMeetings.ReadWrite": "Create and manage their online meetings",
    "OnlineMeetings.Read": "Read their online meetings",
    "OnlineMeetingRecording.Read.All": "Read recordings of online meetings",
    "OnlineMeetingTranscript.Read.All": "Read transcripts of online meetings",
    "Contacts.Read": "Read their contacts",
    "Contacts.ReadWrite": "Read and write their contacts",
    "Mail.Send": "Send mail as them",
    "Mail.ReadWrite": "Read and write their mail",
    "Mail.Read": "Read their mail",
    "Files.ReadWrite": "Read and write their files",
    "Files.ReadWrite.All": "Read and write all files they have access to",
    "Sites.ReadWrite.All": "Edit items in all site collections",
    "Sites.Selected": "Access the SharePoint sites that are selected for it",
    "User.Read.All": "Read all users' profiles",
    "Organization.Read.All": "Read the organization's information",
    "OnlineMeetings.Read.All": "Read all online meetings",
    "OnlineMeetings.ReadWrite.All": "Read and create all online meetings",
}


@router.get("/simulator.css")
async def style() -> FileResponse:
    return FileResponse(_FOLDER / "simulator.css", media_type="text/css")


def console_url(simulator: Simulator) -> str:
    """The site that the application's redirect URIs belong to."""
    parts = urlsplit(simulator.settings.redirect_uris[0])
    return f"{parts.scheme}://{parts.netloc}"


def show(simulator: Simulator, page: str, status: int = 200, **values: Any) -> HTMLResponse:
    html = _templates.get_template(page).render(console=console_url(simulator), **values)
    return HTMLResponse(html, status, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def failure(simulator: Simulator, code: int, text: str) -> HTMLResponse:
    return show(simulator, "failure.html", 400, code=code, text=text)


def accounts(request: Request, fields: dict[str, str], *, why: str, hint: str = "", domain: str = "") -> HTMLResponse:
    """Pick an account; people are grouped by organisation, the one hinted at comes first.

    ``domain`` leaves one organisation's people, as a domain hint does.
    """
    simulator: Simulator = request.scope["simulator"]
    users = sorted(simulator.store.all("users"), key=lambda user: user["address"] != hint)
    tenants = sorted(simulator.store.all("tenants"), key=lambda t: not hint.endswith(f"@{t['domain']}"))
    if any(t["domain"] == domain for t in tenants):
        tenants = [t for t in tenants if t["domain"] == domain]
    groups = [(t, [u for u in users if u["tenant"] == t["id"]]) for t in tenants]
    values: dict[str, Any] = {"fields": fields, "groups": groups, "personal": PERSONAL, "why": why}
    return show(simulator, "accounts.html", action=request.url.path, **values)


def approval(request: Request, fields: dict[str, str], blocked: list[str], *, app: str, workflow: bool) -> HTMLResponse:
    """An administrator must consent; with the workflow on, the person may ask for it."""
    simulator: Simulator = request.scope["simulator"]
    words = [(WORDS.get(name, name), name) for name in blocked]
    values: dict[str, Any] = {"action": request.url.path, "fields": fields, "asked": words}
    return show(simulator, "approval.html", app=app, workflow=workflow, **values)


def form_post(simulator: Simulator, action: str, fields: dict[str, str]) -> HTMLResponse:
    """The answer as a form that the browser posts to the application, by itself or by its button."""
    return show(simulator, "form_post.html", action=action, fields=fields)


def signed_out(simulator: Simulator) -> HTMLResponse:
    return show(simulator, "signed_out.html")


def consent(
    request: Request, fields: dict[str, str], asked: dict[str, list[str]], *, title: str, app: str = "Prospo"
) -> HTMLResponse:
    """``asked``: permissions by heading. ``fields`` holds the account already picked."""
    simulator: Simulator = request.scope["simulator"]
    words = {heading: [(WORDS.get(name, name), name) for name in names] for heading, names in asked.items()}
    values: dict[str, Any] = {"action": request.url.path, "fields": fields, "asked": words, "title": title}
    return show(simulator, "consent.html", app=app, **values)


def meetings(simulator: Simulator, *, happened: str | None) -> HTMLResponse:
    rows = [_shown(simulator, row) for row in reversed(simulator.store.all("meetings"))]
    done = next((row["subject"] for row in rows if row["id"] == happened), None)
    return show(simulator, "meetings.html", meetings=rows, now=readable(simulator.now()), done=done)


def _shown(simulator: Simulator, row: Row) -> dict[str, Any]:
    organizer = simulator.store.get("users", row["organizer"]) or {"name": "Somebody", "address": ""}
    recorded = sum(artefact["meeting"] == row["id"] for artefact in simulator.store.all("artefacts"))
    times = {name: readable(moment_of(row[name])) for name in ("start", "end")}
    return {**row, **times, "organizer": organizer, "recorded": recorded, "subject": row["subject"] or "No subject"}


def readable(moment: datetime.datetime) -> str:
    utc = moment.astimezone(datetime.UTC)
    return f"{utc:%a} {utc.day} {utc:%b %Y, %H:%M} UTC"
