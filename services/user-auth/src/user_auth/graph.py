"""Microsoft's words about an account that signs in. Nobody else here sees Graph's JSON."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from shared.entra.tokens import OneToken
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError
from shared.settings import ServiceSettings

T = TypeVar("T")
log = structlog.get_logger(__name__)

_TEAMS = "teamsForBusiness"
_NO_MAILBOX = {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi"}


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What Graph says of an account; None where it did not say."""

    guest: bool | None
    mailbox: bool | None
    teams: bool | None


async def account_facts(
    settings: ServiceSettings, org_id: str, user_id: str, access_token: str, within_s: float
) -> AccountFacts:
    """Two reads side by side with the person's own token; what is not answered in time is not known."""
    graph = Graph(settings, OneToken(access_token))
    try:
        caller = graph.as_user(org_id, user_id, "interactive")
        guest, calendar = await asyncio.gather(
            _answered(_is_guest(caller), within_s), _answered(_calendar(caller), within_s)
        )
    finally:
        await graph.aclose()
    mailbox, teams = calendar or (None, None)
    return AccountFacts(guest, mailbox, teams)


async def _is_guest(caller: GraphCaller) -> bool:
    return str((await caller.get("/me", {"$select": "userType"})).get("userType")).casefold() == "guest"


async def _calendar(caller: GraphCaller) -> tuple[bool, bool | None]:
    """Whether there is a mailbox, and whether its calendar may hold Teams meetings."""
    try:
        providers = (await caller.get("/me/calendar")).get("allowedOnlineMeetingProviders")
    except GraphError as error:
        if error.code.casefold() in _NO_MAILBOX:
            return False, None
        raise
    return True, _TEAMS in providers if isinstance(providers, list) else None


async def _answered(asked: Awaitable[T], within_s: float) -> T | None:
    try:
        async with asyncio.timeout(within_s):
            return await asked
    except (GraphError, TimeoutError) as error:
        log.info("what an account can do was not told", error=type(error).__name__)
        return None
