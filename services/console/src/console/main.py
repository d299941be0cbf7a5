"""Composition root of the console: server-rendered pages over the public APIs. No database, no session of its own."""

import sys

import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from console.backend import Backend
from console.connecting import router as connecting
from console.pages import HERE, install_errors
from console.pages import router as pages
from console.protection import Protection
from console.settings import Settings


class Console:
    """The app and what must be closed after it; the same start and stop as any service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.backend = Backend(settings)
        self.app = FastAPI(title="Prospo console", docs_url=None, redoc_url=None, openapi_url=None)
        self.app.state.console = self
        self.app.include_router(pages)
        self.app.include_router(connecting)
        self.app.mount("/static", StaticFiles(directory=HERE / "static"))
        self.app.add_middleware(Protection, public_url=settings.public_url, form_targets=settings.simulator_url)
        install_errors(self.app)

    async def start(self, api: bool = True, worker: bool = False) -> None:
        """Nothing to open: connections are made at the first call."""

    async def stop(self) -> None:
        await self.backend.aclose()


def create_service(settings: Settings) -> Console:
    return Console(settings)


def create_app(settings: Settings) -> FastAPI:
    return Console(settings).app


def main() -> None:
    if sys.argv[1:] != ["api"]:
        sys.exit("usage: python -m console api (the console has no worker and nothing to migrate)")
    settings = Settings()
    uvicorn.run(create_app(settings), host=settings.http_host, port=settings.http_port)
