"""Templates, what all of them know, and the parts of a page that renew themselves."""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from markupsafe import Markup

from console import mail_words, switches, times, wording
from console.backend import Refused
from console.person import PERSONAS, person_of

HERE = Path(__file__).parent
STOP_POLLING = 286
"""htmx's status for an answer after which it asks no more."""

templates = Jinja2Templates(HERE / "templates")
templates.env.trim_blocks = templates.env.lstrip_blocks = True
templates.env.filters |= {
    "status": wording.status,
    "standing": wording.standing,
    "size": wording.size,
    "clock": wording.clock,
    "web_link": wording.web_link,
    "own_link": wording.own_link,
    "repeats": wording.repeats,
    "stays": wording.stays,
    "when": times.when,
    "span": times.span,
    "day": times.day_of,
    "mail_status": mail_words.mail_status,
    "people": mail_words.people,
}
templates.env.globals |= {"plural": wording.plural, "ended_by": wording.ENDED_BY, "personas": PERSONAS}
templates.env.globals |= {"ways_on": wording.WAYS_ON, "contact_fields": wording.FIELDS, "contact_sets": wording.SETS}
templates.env.globals |= {"contact_parts": wording.ELEMENTS}
templates.env.globals |= {"mail_steps": mail_words.MAIL_STEPS, "skipped_because": mail_words.SKIPPED}
templates.env.globals |= {"import_actions": wording.IMPORT_ACTIONS, "import_outcomes": wording.IMPORT_OUTCOMES}


def _common(request: Request) -> dict[str, Any]:
    settings = request.app.state.console.settings
    connection = getattr(request.state, "connection", None)
    return {
        "simulator_url": settings.simulator_url,
        "public_url": settings.public_url,
        "person": person_of(request),
        "zone": times.zone_of(request),
        "path": request.url.path,
        "expired": getattr(request.state, "expired", False),
        "switched_off": switches.is_off(connection, switches.CONTACTS),
        "mail_off": switches.is_off(connection, switches.MAIL),
    }


def render(request: Request, page: str, status: int = 200, **values: Any) -> Response:
    return templates.TemplateResponse(request, page, _common(request) | values, status_code=status)


class Live:
    """The parts of one page that change while it is open.

    ``states`` names each part, a template in ``folder``, with the state that is news when it changes. The open page
    asks ``url`` every few seconds with the marks of what it shows; only parts that differ are sent, so a playing video
    and the focus stay where they are.
    """

    def __init__(
        self, request: Request, page: str, folder: str, states: Mapping[str, str], every_s: int | None, **values: Any
    ) -> None:
        context = _common(request) | values | {"request": request}
        self.page = page
        self.every_s = every_s
        self.parts = {name: _rendered(f"{folder}/{name}.html", context) for name in states}
        self._marks = {name: f"{state}.{_mark(self.parts[name])}" for name, state in states.items()}

    @property
    def url(self) -> str:
        return f"{self.page}/live?{urlencode(self._marks)}"

    def changed(self, shown: Mapping[str, str]) -> dict[str, Markup]:
        return {name: self.parts[name] for name, mark in self._marks.items() if shown.get(name) != mark}

    def is_news(self, name: str, shown: Mapping[str, str]) -> bool:
        return shown.get(name, "").split(".")[0] != self._marks[name].split(".")[0]


def answer_live(request: Request, live: Live, news: Callable[[str], str | None]) -> Response:
    """What is new since the page last asked: 204 when nothing is. ``news`` says a part's new state in a sentence."""
    if "hx-request" not in request.headers:
        return RedirectResponse(live.page, 303)
    shown = request.query_params
    changed = live.changed(shown)
    if not changed and live.every_s:
        return Response(status_code=204)
    said = " ".join(filter(None, (news(name) for name in changed if live.is_news(name, shown))))
    return render(request, "live.html", 200 if live.every_s else STOP_POLLING, live=live, changed=changed, news=said)


def answer_no_news(request: Request, refused: Refused) -> Response:
    """Say on the open page why there is no news; a refusal by the service itself ends the asking."""
    asking = refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    said = f"{refused} {'This page keeps looking.' if asking else 'Reload the page.'}"
    response = render(request, "news.html", 200 if asking else STOP_POLLING, news=said, problem=refused.problem)
    response.headers["HX-Reswap"] = "none"
    return response


def _rendered(template: str, context: dict[str, Any]) -> Markup:
    return Markup(templates.get_template(template).render(context))  # noqa: S704 - the template escaped what it holds


def _mark(html: str) -> str:
    return hashlib.sha256(html.encode()).hexdigest()[:12]
