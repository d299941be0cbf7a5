"""Composition root of the console: server-rendered pages over the public APIs. No database, no session of its own."""

import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from console import (
    attending,
    availability,
    board,
    browsing,
    connecting,
    connector,
    contacts,
    conversations,
    explaining,
    filing,
    help_pages,
    importing,
    integrations,
    keeping,
    keeping_mail,
    locating,
    mailbox,
    meetings,
    outbox,
    reading,
    scheduling,
    series,
    start,
    writing,
)
from console.backend import Backend
from console.problems import install_errors, too_large_page
from console.protection import OwnForms, Protection
from console.reminder import look_at_connection
from console.rendering import HERE
from console.settings import Settings
from shared.hosting.serving import Server
from shared.telemetry import set_up_logs
from shared.web.routes import Edge

ROOMS = (
    start,
    connector,
    board,
    connecting,
    locating,
    browsing,
    keeping,
    keeping_mail,
    integrations,
    scheduling,
    availability,
    series,
    attending,
    meetings,
    explaining,
    reading,
    importing,
    contacts,
    filing,
    writing,
    outbox,
    mailbox,
    conversations,
    help_pages,
)
"""Each has a ``router`` with pages and forms."""


class Console:
    """The app and what must be closed after it; the same start and stop as any service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.backend = Backend(settings)
        pages = FastAPI(title="Prospo console", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        pages.state.console = self
        for module in ROOMS:
            pages.include_router(module.router, dependencies=[Depends(look_at_connection)])
        pages.mount("/static", StaticFiles(directory=HERE / "static"))
        pages.add_middleware(OwnForms, settings=settings)
        # No page shows a secret beside what another site can put into it, so compressing tells nobody anything.
        pages.add_middleware(GZipMiddleware)
        install_errors(pages)
        self._pages = pages
        # Outside FastAPI's own middleware, so that the page of an unexpected error is protected too.
        self.app: ASGIApp = Protection(_sized(pages, settings, self._too_large), settings)

    async def start(self, api: bool = True, worker: bool = False) -> None:
        """Nothing to open: connections are made at the first call."""

    async def stop(self) -> None:
        await self.backend.aclose()

    def _too_large(self, request: Request, *_said: Any) -> Response:
        request.scope["app"] = self._pages  # which may not have been asked yet
        return too_large_page(request)


def _sized(pages: ASGIApp, settings: Settings, refusal: Callable[..., Response]) -> ASGIApp:
    """Limits on what is sent: a form with a mail's files may be larger, and slower, than any other."""
    usual = Edge(pages, settings.body_limit_bytes, (filing.UPLOAD,), believes=True, refusal=refusal)
    larger, within_s = settings.mail_form_limit_bytes, settings.mail_form_s
    with_files = Edge(pages, larger, within_s=within_s, believes=True, refusal=refusal)

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        await (with_files if scope.get("path") == writing.PAGE else usual)(scope, receive, send)

    return chosen


def create_service(settings: Settings) -> Console:
    return Console(settings)


def create_app(settings: Settings) -> ASGIApp:
    return Console(settings).app


def main() -> None:
    if sys.argv[1:] != ["api"]:
        sys.exit("usage: python -m console api (the console has no worker and nothing to migrate)")
    settings = Settings()
    set_up_logs(settings.log_level)
    # No access log: the addresses of the ways back from Microsoft hold codes.
    Server(
        uvicorn.Config(create_app(settings), host=settings.http_host, port=settings.http_port, access_log=False)
    ).run()
