"""HTTP in: /v1/tenant for people, its consent links for whoever holds one, /internal/app-token for services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from shared.database.unit_of_work import UnitOfWork
from shared.entra.client import Entra
from shared.problems import PreconditionFailed, PreconditionMissing
from shared.web.dependencies import Db
from shared.web.limits import limited
from shared.web.routes import HEADER_MAX, AdminCaller, Caller, Work, called_by, needs_header, provided, with_header
from tenant_connector import access, audit, leaving, pick_queries, queries, tenant
from tenant_connector.consent import Consents, Traveller
from tenant_connector.models import (
    AppToken,
    AppTokenWanted,
    ConsentAnswer,
    ConsentStarted,
    ConsentTaken,
    FeaturesChange,
    NewConsent,
    SignInAnswer,
    Tenant,
    TenantNow,
)
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness import schedule as watching
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow
from tenant_connector.tokens import AppTokens

router = APIRouter()
Entra_ = Annotated[Entra, Depends(provided("entra"))]
Consents_ = Annotated[Consents, Depends(provided("consents"))]
Tokens = Annotated[AppTokens, Depends(provided("app_tokens"))]
Settings_ = Annotated[Settings, Depends(provided("settings"))]
CONSENTS = limited("consent", per_hour="consents_per_hour", of="organisation")
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=HEADER_MAX, include_in_schema=False)]
NEEDS_TAG = needs_header("If-Match", "The ETag last read.")
TAGGED = with_header("ETag", "The version of the connection.")


@router.get("/v1/tenant", tags=["tenant"], responses={200: TAGGED})
async def tenant_connection(caller: Caller, work: Work, response: Response) -> TenantNow:
    """The connection with its ETag; for everybody of the organisation."""
    return await _now(work, await queries.tenant(work.session, caller.org_id), caller.org_id, response)


@router.post("/v1/tenant/consent", status_code=201, tags=["tenant"], dependencies=[CONSENTS])
async def start_consent(caller: AdminCaller, consents: Consents_, _wanted: NewConsent | None = None) -> ConsentStarted:
    """Where to send the browser. The attempt is for this person and browser, once, for ten minutes."""
    return await consents.start(Traveller.of(caller))


@router.post("/v1/tenant/consent/complete", status_code=202, tags=["tenant"], responses={202: TAGGED})
async def complete_consent(
    answer: ConsentAnswer, caller: AdminCaller, consents: Consents_, response: Response
) -> ConsentTaken:
    """Take what Microsoft's consent page sent back. Nothing is claimed yet: the administrator signs in next."""
    sign_in_url, row = await consents.complete(Traveller.of(caller), answer)
    return ConsentTaken(**_shown(row, caller.org_id, response).model_dump(), sign_in_url=sign_in_url)


@router.post("/v1/tenant/consent/sign-in", status_code=202, tags=["tenant"], responses={202: TAGGED})
async def complete_sign_in(
    answer: SignInAnswer, caller: AdminCaller, consents: Consents_, response: Response
) -> ConsentTaken | Tenant:
    """Take what the administrator's sign-in sent back; the proof of the tenant runs on after this answer.

    With ``sign_in_url`` nothing is claimed yet: Microsoft does not know the consent, and the browser goes there again.
    """
    sign_in_url, row = await consents.sign_in(Traveller.of(caller), answer)
    shown = _shown(row, caller.org_id, response)
    return ConsentTaken(**shown.model_dump(), sign_in_url=sign_in_url) if sign_in_url else shown


@router.patch("/v1/tenant/features", tags=["tenant"], responses={200: TAGGED}, openapi_extra=NEEDS_TAG)
async def switch_features(
    change: FeaturesChange, caller: AdminCaller, work: Work, response: Response, if_match: IfMatch = None
) -> TenantNow:
    """Switch any of the four; ``If-Match`` is the ETag last read."""
    if not if_match:
        raise PreconditionMissing("if_match_required", "Read the tenant and send its ETag as If-Match.")
    row = await queries.tenant_for_change(work.session, caller.org_id)
    if not _matches(if_match, row):
        raise PreconditionFailed("tenant_changed", "The tenant changed meanwhile. Read it again, then change it.")
    wanted = change.model_dump(exclude_none=True)
    changed = tenant.switch(row, wanted, caller.user_id, work.outbox, await readiness.red(work.session, caller.org_id))
    if changed:
        audit.note(work.session, caller.org_id, caller.user_id, "features.change", changed=changed)
    if {"sharepoint_storage", "contacts_import"} & set(changed):
        watching.check_soon(work)
    return await _now(work, row, caller.org_id, response)


@router.delete("/v1/tenant", tags=["tenant"], responses={200: TAGGED})
async def disconnect_tenant(
    caller: AdminCaller, work: Work, tokens: Tokens, settings: Settings_, response: Response
) -> TenantNow:
    """Disconnect; what was imported is kept. Disconnecting again changes nothing.

    Nothing is done with the tenant any more, but that Prospo removes what it set there, until ``leaving.until``.
    """
    await queries.drop_attempts(work.session, caller.org_id)
    await queries.drop_link(work.session, caller.org_id)
    await work.session.execute(pick_queries.FORGET_ALL, {"org_id": caller.org_id})
    row = await queries.tenant_for_change(work.session, caller.org_id)
    until, was_connected = leaving.deadline(settings.leave_within_s), row.status == "connected"
    if tenant.disconnect(row, "An Org Admin disconnected Microsoft 365.", work.outbox, until):
        if was_connected:
            await leaving.begin(work, row, until)
        audit.note(work.session, caller.org_id, caller.user_id, "tenant.disconnect", tid=row.tid)
        await readiness.clear(work.session, work.outbox, caller.org_id)
    work.after_commit(lambda: tokens.forget(caller.org_id))
    return await _now(work, row, caller.org_id, response)


@router.post(
    "/internal/app-token", tags=["internal"], dependencies=[called_by("meetings", "recording-ingest", "storage")]
)
async def app_token(wanted: AppTokenWanted, db: Db, tokens: Tokens, entra: Entra_) -> AppToken:
    """The application's token in the organisation's tenant, for Graph."""
    token = await access.app_token(db, tokens, entra, wanted.org_id, wanted.refused, leaving=wanted.leaving)
    return AppToken(access_token=token.value, expires_at=token.expires_at, tid=token.tid)


async def _now(work: UnitOfWork, row: TenantRow | None, org_id: str, response: Response) -> TenantNow:
    leavers = await queries.leavers(work.session, org_id) if row is not None and row.leaving is not None else []
    shown = TenantNow.now(row, org_id, leavers)
    response.headers["ETag"] = f'"{shown.version}"'
    return shown


def _shown(row: TenantRow | None, org_id: str, response: Response) -> Tenant:
    shown = Tenant.of(row, org_id)
    response.headers["ETag"] = f'"{shown.version}"'
    return shown


def _matches(if_match: str, row: TenantRow) -> bool:
    """RFC 9110: a list of strong tags, or ``*``; a weak tag never matches."""
    tags = {tag.strip() for tag in if_match.split(",")}
    return bool(tags & {"*", f'"{row.version}"'})
