"""Microsoft Graph over httpx: one client per service, callers for people and for the application."""

from shared.graph.caller import DeltaPage, GraphCaller
from shared.graph.download import Download
from shared.graph.transport import Token, Tokens, Transport

<<<<<<< HEAD
import asyncio
import random
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from shared.graph.errors import GraphError, GraphGiveUp, GraphNotFound, GraphReconnect, GraphRetry, GraphTellAdmin
from shared.settings import ServiceSettings

TRIES = 4
PATIENCE_S = 20.0
PER_MAILBOX = 4
_DEFAULT_WAIT_S = 30.0
_CHUNK = 320 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}
=======
__all__ = ["DeltaPage", "Download", "Graph", "GraphCaller", "Token", "Tokens"]
>>>>>>> graph


class Graph(Transport):
    """One per service; ``as_user`` and ``as_app`` give callers."""

<<<<<<< HEAD
    @property
    def value(self) -> str: ...


class Tokens(Protocol):
    """What gives tokens; ``shared.tokens.TokenClient`` is one."""

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> Any: ...

    async def app_token(self, org_id: str) -> Any: ...

    def forget(self, org_id: str, user_id: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Download:
    """A running download: 200 or 206, the whole file's size when Graph says it, and its bytes in chunks."""

    status: int
    total: int | None
    content_type: str
    chunks: AsyncIterator[bytes]


class Graph:
    """One client per service; ``as_user`` and ``as_app`` give callers."""

    def __init__(self, settings: ServiceSettings, tokens: Tokens, db: Any = None) -> None:
        self.settings = settings
        self.tokens = tokens
        self.base_url = settings.graph_base_url.rstrip("/")
        verify: Any = ssl.create_default_context(cafile=settings.ca_bundle) if settings.ca_bundle else True
        self.http = httpx.AsyncClient(timeout=httpx.Timeout(60, connect=10), trust_env=False, verify=verify)
        self._slots: dict[tuple[str, str | None], asyncio.Semaphore] = {}

    def as_user(self, org_id: str, user_id: str) -> "GraphCaller":
=======
    def as_user(self, org_id: str, user_id: str) -> GraphCaller:
>>>>>>> graph
        return GraphCaller(self, org_id, user_id)

    def as_app(self, org_id: str) -> GraphCaller:
        return GraphCaller(self, org_id, None)
