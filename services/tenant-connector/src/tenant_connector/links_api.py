"""HTTP in: consent links. Org Admins make and revoke them; whoever holds one needs no account, the token is all.

A token stands in bodies only: addresses end up in logs.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from shared.entra.client import Entra
from shared.problems import NotFound
from shared.secrets import digest
from shared.web.dependencies import Db
from shared.web.limits import limited
from shared.web.routes import AdminCaller, Work, provided
from tenant_connector import links, queries
from tenant_connector.consent import Consents
from tenant_connector.models import (
    Claimed,
    ConsentLinkMade,
    ConsentLinkShown,
    ConsentStarted,
    Invitation,
    LinkConsentAnswer,
    LinkSignInAnswer,
    LinkToken,
    NewConsentLink,
    SignInStarted,
)
from tenant_connector.settings import Settings

router = APIRouter(prefix="/v1/tenant/consent/link", tags=["consent link"])
Consents_ = Annotated[Consents, Depends(provided("consents"))]
Entra_ = Annotated[Entra, Depends(provided("entra"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
LINKS = limited("consent_link_made", per_hour="consents_per_hour", of="organisation")
NO_ACCOUNT: dict[str, Any] = {"security": []}


@router.post("", status_code=201, dependencies=[LINKS])
async def make_consent_link(
    wanted: NewConsentLink, caller: AdminCaller, db: Db, entra: Entra_, knobs: Knobs
) -> ConsentLinkMade:
    """A link to send to an administrator of the Microsoft 365 named. The newest replaces an older one."""
    return await links.make(db, entra, caller, knobs, wanted.tenant)


@router.get("")
async def consent_link(caller: AdminCaller, work: Work) -> ConsentLinkShown:
    """For whom and until when the link holds; its address is told only when it is made."""
    found = await queries.link(work.session, caller.org_id)
    if found is None:
        raise NotFound("no_consent_link", "There is no link that may be used. Make one when you need it.")
    return ConsentLinkShown(made_by=found.user_name, tenant=found.tenant_name, expires_at=found.expires_at)


@router.delete("", status_code=204)
async def revoke_consent_link(caller: AdminCaller, work: Work) -> None:
    """The link holds no more, nor what is under way with it. Revoking again changes nothing."""
    await links.revoke(work, caller)


@router.post("/open", openapi_extra=NO_ACCOUNT)
async def open_consent_link(wanted: LinkToken, db: Db, knobs: Knobs) -> Invitation:
    """Who asks. One and the same 404 for a token that is unknown, expired, revoked or used."""
    found = await links.opened(db, knobs, wanted.token)
    return Invitation(
        organisation=found.org_name,
        invited_by=found.user_name,
        tenant=found.tenant_name,
        expires_at=found.expires_at,
    )


@router.post("/start", status_code=201, openapi_extra=NO_ACCOUNT)
async def start_by_link(wanted: LinkToken, db: Db, knobs: Knobs, consents: Consents_) -> ConsentStarted:
    """Where to send the browser, as for an Org Admin."""
    return await consents.start(await links.holder(db, knobs, wanted.token))


@router.post("/complete", status_code=202, openapi_extra=NO_ACCOUNT)
async def complete_by_link(answer: LinkConsentAnswer, db: Db, knobs: Knobs, consents: Consents_) -> SignInStarted:
    """Take what Microsoft's consent page sent back."""
    sign_in_url, _ = await consents.complete(await links.holder(db, knobs, answer.token), answer)
    return SignInStarted(sign_in_url=sign_in_url)


@router.post("/sign-in", status_code=202, openapi_extra=NO_ACCOUNT)
async def sign_in_by_link(
    answer: LinkSignInAnswer, db: Db, knobs: Knobs, consents: Consents_
) -> SignInStarted | Claimed:
    """Take what the administrator's sign-in sent back; with this the link is used, unless it has to be done again."""
    who = await links.holder(db, knobs, answer.token, digest(answer.state))
    sign_in_url, row = await consents.sign_in(who, answer)
    return SignInStarted(sign_in_url=sign_in_url) if sign_in_url else Claimed(status=row.status)
