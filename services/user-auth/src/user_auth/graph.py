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
_SMTP = "smtp:"
_LONGEST, _MOST = 320, 400
"""Longest address, and most addresses: Exchange Online gives a mailbox at most 400."""
_NO_MAILBOX = {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi"}


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """Facts of Graph about an account; None where it did not say."""

    guest: bool | None
    addresses: tuple[str, ...] | None
    """Addresses that the directory gives the account, in lower case. Not ``otherMails``, which nobody verified."""
    mailbox: bool | None
    teams: bool | None


async def account_facts(
    settings: ServiceSettings, org_id: str, user_id: str, access_token: str, within_s: float
) -> AccountFacts:
    """Two reads side by side with the person's own token; what is not answered in time is not known."""
    graph = Graph(settings, OneToken(access_token))
    try:
        caller = graph.as_user(org_id, user_id, "interactive")
        person, calendar = await asyncio.gather(
            _answered(_person(caller), within_s), _answered(_calendar(caller), within_s)
        )
    finally:
        await graph.aclose()
    guest, addresses = person or (None, None)
    mailbox, teams = calendar or (None, None)
    return AccountFacts(guest, addresses, mailbox, teams)


async def _person(caller: GraphCaller) -> tuple[bool, tuple[str, ...]]:
    """Whether it is a guest, and its addresses."""
    found = await caller.get("/me", {"$select": "userType,userPrincipalName,mail,proxyAddresses"})
    of_exchange = found.get("proxyAddresses")
    proxies = [str(one) for one in of_exchange] if isinstance(of_exchange, list) else []
    smtp = [one[len(_SMTP) :] for one in proxies if one.casefold().startswith(_SMTP)]
    said = (found.get("userPrincipalName"), found.get("mail"), *smtp)
    addresses = sorted({one.lower() for one in said if isinstance(one, str) and "@" in one and len(one) <= _LONGEST})
    return str(found.get("userType")).casefold() == "guest", tuple(addresses[:_MOST])


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
        log.info("account.not_told", error=type(error).__name__)
        return None
