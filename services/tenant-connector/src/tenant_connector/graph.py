"""Microsoft's words for a tenant. Nobody else sees Graph's JSON."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.graph import Graph, GraphCaller
from shared.settings import ServiceSettings
from shared.tokens import AccessToken


@dataclass(frozen=True, slots=True)
class Organisation:
    """The tenant as Microsoft describes it to whoever holds a token of it."""

    tid: str
    display_name: str


class OneToken:
    """Gives the token under proof, whoever asks: the organisation has no other yet."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    async def user_token(self, org_id: str, user_id: str, *, claims: str | None = None) -> AccessToken:
        raise NotImplementedError("The connector never acts as a person.")

    async def app_token(self, org_id: str) -> AccessToken:
        return self._token

    def forget(self, org_id: str, user_id: str | None, refused: str | None = None) -> None:
        """There is no other to give."""


@asynccontextmanager
async def as_application(settings: ServiceSettings, org_id: str, token: AccessToken) -> AsyncIterator[GraphCaller]:
    """Graph with this one token."""
    graph = Graph(settings, OneToken(token))
    try:
        yield graph.as_app(org_id)
    finally:
        await graph.aclose()


async def organisation(caller: GraphCaller) -> Organisation | None:
    """The tenant the token belongs to; None when Graph names none."""
    said = await caller.get("/organization")
    items = [said] if "id" in said else said.get("value") or []  # Microsoft's page shows one entity as well as a list
    if not items:
        return None
    return Organisation(str(items[0]["id"]).lower(), str(items[0].get("displayName") or items[0]["id"]))
