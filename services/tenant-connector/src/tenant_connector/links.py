"""A link for an administrator of Microsoft 365 who has no Prospo account: it lets them consent, and nothing else.

It is for the one tenant that its maker named, so whoever else gets hold of it cannot connect theirs.

The token is ``base64url(organisation).secret``: the organisation is needed to see the row at all, behind row-level
security, and the secret is compared with the hash that is kept.
"""

import asyncio
import base64
import binascii
import re
import secrets

from shared.database.unit_of_work import Database, UnitOfWork
from shared.entra.aadsts import EntraError, EntraTenantUnknown
from shared.entra.client import Entra
from shared.problems import BadInput, NotFound
from shared.secrets import digest
from shared.web import limits
from shared.web.identity import Identity
from tenant_connector import audit, queries
from tenant_connector.administrators import refused
from tenant_connector.answers import GUID, about
from tenant_connector.consent import Traveller, check_connected
from tenant_connector.models import ConsentLinkMade
from tenant_connector.settings import Settings

PAGE = "/connectors/microsoft365/grant#"
"""The token is behind the ``#``: browsers send that part to nobody, so it is in no access log on the way."""
_SECRET_BYTES = 32
_LONGEST = 1000
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


async def make(db: Database, entra: Entra, caller: Identity, settings: Settings, tenant: str) -> ConsentLinkMade:
    """A new link in place of an older one, for the tenant with this domain or id.

    Only here is it told; its hash is kept. Raises ``BadInput``, ``Conflict``, or ``Unavailable``: nothing has changed.
    """
    name = tenant.strip().lower()
    tid = await _tid(entra, name)
    token = f"{_encoded(caller.org_id)}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    async with db.unit_of_work(caller.org_id) as work:
        check_connected(await queries.tenant(work.session, caller.org_id), tid)
        expires_at = await queries.put_link(
            work.session,
            caller.org_id,
            token_hash=digest(token),
            user_id=caller.user_id,
            user_name=caller.name or caller.user_id,
            org_name=caller.org_name or caller.org_id,
            tid=tid,
            tenant_name=name,
            life_s=settings.consent_link_life_s,
        )
        audit.note(work.session, caller.org_id, caller.user_id, "consent_link.make", tid=tid)
    return ConsentLinkMade(url=settings.public_url.rstrip("/") + PAGE + token, tenant=name, expires_at=expires_at)


async def _tid(entra: Entra, name: str) -> str:
    if not (GUID.fullmatch(name) or _DOMAIN.fullmatch(name)):
        raise BadInput(
            "tenant_not_named",
            "Name the Microsoft 365 that the link is for: by one of its domains, for example contoso.com, or by its "
            "tenant id.",
        )
    try:
        return await asyncio.to_thread(entra.tenant_id, name)
    except EntraTenantUnknown as error:
        raise BadInput(
            "tenant_not_found",
            f"Microsoft knows no organisation with the domain or tenant id {name}. Check the spelling; an "
            "administrator finds both in the Microsoft Entra admin center, under Overview.",
            **about(error),
        ) from error
    except EntraError as error:
        raise refused(error) from error


async def revoke(work: UnitOfWork, caller: Identity) -> None:
    """Also what is under way with it. Without a link nothing changes."""
    if await queries.drop_link(work.session, caller.org_id):
        audit.note(work.session, caller.org_id, caller.user_id, "consent_link.revoke")


async def opened(db: Database, settings: Settings, token: str, next_hash: str = "") -> queries.Link:
    """The link of a token. Raises ``NotFound``, the same for one that never was and one that is no more; ``TooMany``.

    ``next_hash`` is of the second leg's state: a used link still opens for the trip that used it. Only a link that is
    there is counted, so whoever has none can neither use one up nor fill a table.
    """
    org_id = _organisation(token)
    if org_id is not None:
        async with db.unit_of_work(org_id) as work:
            found = await queries.link(work.session, org_id, next_hash)
        if found is not None and secrets.compare_digest(found.token_hash, digest(token)):
            await limits.spend(db, org_id, found.token_hash, "consent_link", settings.link_calls_per_hour, "link")
            return found
    raise unknown()


async def holder(db: Database, settings: Settings, token: str, next_hash: str = "") -> Traveller:
    """Whoever holds the link, as a traveller. Raises ``NotFound`` or ``TooMany``."""
    found = await opened(db, settings, token, next_hash)
    return Traveller(_organisation(token) or "", found.user_id, found.token_hash, found.tid)


def unknown() -> NotFound:
    return NotFound(
        "consent_link_unknown",
        "This link does not hold: it was used, withdrawn or replaced, has expired, or is not complete. Ask the person "
        "who sent it for a new one.",
    )


def _encoded(org_id: str) -> str:
    return base64.urlsafe_b64encode(org_id.encode()).decode().rstrip("=")


def _organisation(token: str) -> str | None:
    encoded, dot, secret = token.partition(".")
    if not (encoded and dot and secret) or len(token) > _LONGEST or not token.isascii():
        return None
    try:
        org_id = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    return org_id if org_id and "\x00" not in org_id else None
