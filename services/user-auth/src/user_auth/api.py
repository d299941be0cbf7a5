"""HTTP in: the caller's own connection, and access tokens for the other services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from shared.web import Caller, ServiceCaller, Work, provided
from user_auth import connections, queries
from user_auth.models import Connection, NewSignIn, SignInAnswer, SignInDone, SignInStarted, Token, TokenRequest
from user_auth.refreshing import AccessTokens
from user_auth.signing_in import SignIns

router = APIRouter()

SignIns_ = Annotated[SignIns, Depends(provided("sign_ins"))]
AccessTokens_ = Annotated[AccessTokens, Depends(provided("access_tokens"))]


@router.get("/v1/connection", tags=["connection"])
async def connection(caller: Caller, work: Work) -> Connection:
    return Connection.of(await queries.connection(work.session, caller.org_id, caller.user_id))


@router.post("/v1/connection/sign-in", status_code=201, tags=["connection"])
async def sign_in(wanted: NewSignIn, caller: Caller, sign_ins: SignIns_) -> SignInStarted:
    """409 ``tenant_not_connected`` before the organisation's tenant is connected."""
    address, browser_key = await sign_ins.start(caller, wanted.return_to)
    return SignInStarted(authorize_url=address, browser_key=browser_key)


@router.post("/v1/connection/complete", tags=["connection"])
async def complete(answer: SignInAnswer, caller: Caller, sign_ins: SignIns_) -> SignInDone:
    """Every refusal of a known sign-in carries its ``return_to``, so the person gets back to where they were."""
    return_to, row = await sign_ins.complete(caller, answer.browser_key, answer.given())
    return SignInDone(return_to=return_to, connection=Connection.of(row))


@router.delete("/v1/connection", tags=["connection"])
async def disconnect(caller: Caller, work: Work, access_tokens: AccessTokens_) -> Connection:
    """Destroy the tokens; what was imported is kept. Disconnecting again changes nothing."""
    row = await queries.connection(work.session, caller.org_id, caller.user_id, lock=True)
    if row is not None and connections.disconnect(row, work.outbox, reason="The person disconnected the account."):
        await queries.note(work.session, caller.org_id, caller.user_id, "connection.disconnected", "done")
        work.after_commit(lambda: access_tokens.forget(caller.org_id, caller.user_id))
    return Connection.of(row)


@router.post("/internal/tokens", tags=["internal"])
async def access_token(
    wanted: TokenRequest, _service: ServiceCaller, access_tokens: AccessTokens_, response: Response
) -> Token:
    """409 ``reconnect_required`` or ``tenant_not_connected`` when somebody must act, 503 when Microsoft is busy."""
    token = await access_tokens.token(**wanted.model_dump())
    response.headers["Cache-Control"] = "no-store"
    return Token(access_token=token.value, expires_at=token.expires_at, oid=token.oid, tid=token.tid)
