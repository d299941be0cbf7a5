"""HTTP in: the caller's own connection, and access tokens for the other services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from shared.connections import tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.problems import say_with_problems
from shared.web.audit import note
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import AdminCaller, Caller, Cursor, Work, called_by, provided
from user_auth import connections, leaving, queries
from user_auth.checking import AccountChecks
from user_auth.models import (
    Connection,
    NewSignIn,
    People,
    Person,
    SignInAnswer,
    SignInDone,
    SignInStarted,
    Token,
    TokenRequest,
)
from user_auth.refreshing import AccessTokens
from user_auth.settings import Settings
from user_auth.signing_in import SignIns
from user_auth.tables import ConnectionRow

router = APIRouter()

SignIns_ = Annotated[SignIns, Depends(provided("sign_ins"))]
Settings_ = Annotated[Settings, Depends(provided("settings"))]
AccessTokens_ = Annotated[AccessTokens, Depends(provided("access_tokens"))]
Limit = Annotated[int, Query(ge=1, le=100)]
SIGN_INS = limited("sign_in", per_hour="sign_ins_per_hour")
CHECKS = limited("check", per_hour="checks_per_hour")
Checks = Annotated[AccountChecks, Depends(provided("checks"))]


@router.get("/v1/connection", tags=["connection"])
async def connection(caller: Caller, work: Work) -> Connection:
    return await _shown(caller, work, await queries.connection_to_show(work.session, caller.org_id, caller.user_id))


@router.get("/v1/connection/people", tags=["connection"])
async def people(caller: AdminCaller, work: Work, cursor: Cursor = None, limit: Limit = 50) -> People:
    """The people of the organisation by id: connected, expired, disconnected, or never connected.

    Prospo knows a person who has never connected once they have looked at their own connection, and not before.
    """
    rows = await queries.people(work.session, caller.org_id, after=cursor, limit=limit + 1)
    tenant = await tenant_of(work.session, caller.org_id)
    return People(
        items=[Person.of(row, tenant) for row in rows[:limit]],
        next_cursor=rows[limit - 1].user_id if len(rows) > limit else None,
        counts=await queries.counts(work.session, caller.org_id),
    )


@router.post("/v1/connection/sign-in", status_code=201, tags=["connection"], dependencies=[SIGN_INS])
async def sign_in(wanted: NewSignIn, caller: Caller, sign_ins: SignIns_) -> SignInStarted:
    """409 ``tenant_not_connected`` before the organisation's tenant is connected, ``feature_off`` for one that is off.

    Asks for the five permissions, and with ``features`` for what these need besides.
    """
    address, browser_key = await sign_ins.start(caller, wanted.return_to, wanted.features)
    return SignInStarted(authorize_url=address, browser_key=browser_key)


@router.post("/v1/connection/complete", tags=["connection"])
async def complete(answer: SignInAnswer, caller: Caller, sign_ins: SignIns_, request: Request) -> SignInDone:
    """Every failure of a known sign-in carries its ``return_to``, so the person gets back to where they were."""
    given = answer.given()
    attempt = await sign_ins.take(caller, answer.browser_key, given["state"])
    say_with_problems(request, return_to=attempt.return_to)
    done = await sign_ins.complete(caller, attempt, given)
    return SignInDone(return_to=done.return_to, connection=Connection.of(done.row, done.tenant))


@router.post("/v1/connection/check", tags=["connection"], dependencies=[CHECKS])
async def check(caller: Caller, checks: Checks) -> Connection:
    """Ask Microsoft again what the account can do, and renew the notices. 409 when no account is connected."""
    return Connection.of(*await checks.again(caller.org_id, caller.user_id))


@router.delete("/v1/connection", tags=["connection"])
async def disconnect(caller: Caller, work: Work, access_tokens: AccessTokens_, settings: Settings_) -> Connection:
    """Nothing is done for the person any more; what was imported is kept. Disconnecting again changes nothing.

    Until ``leaving.until`` at the latest Prospo removes what it set at Microsoft, then the tokens are destroyed.

    A sign-in that is under way leads nowhere any more. 503 ``try_again``, and nothing is changed, while the connection
    is being renewed at a silent Microsoft.
    """
    await queries.cancel_attempts(work.session, caller.org_id, caller.user_id)
    row = await queries.connection_in_time(work.session, caller.org_id, caller.user_id)
    end = connections.End("The person disconnected the account.", leaving.deadline(settings.leave_within_s))
    if row is not None and connections.disconnect(row, work.outbox, "by_person", end):
        leaving.watch(work, row, settings.leave_within_s)
        note(work.session, caller.org_id, caller.user_id, "connection.disconnected", "done")
        work.after_commit(lambda: access_tokens.forget(caller.org_id, caller.user_id))
    return await _shown(caller, work, row)


@router.post(
    "/internal/tokens", tags=["internal"], dependencies=[called_by("contacts", "mail", "meetings", "recording-ingest")]
)
async def access_token(wanted: TokenRequest, access_tokens: AccessTokens_) -> Token:
    """409 ``account_not_connected`` or ``tenant_not_connected`` when somebody must act.

    503 when it is worth trying again: ``microsoft_busy``, ``prospo_misconfigured``, ``tenant_gone`` or
    ``connection_unreadable``, with ``Retry-After`` where the time is known.
    """
    token = await access_tokens.token(**wanted.model_dump())
    return Token(access_token=token.value, expires_at=token.expires_at, oid=token.oid, tid=token.tid)


async def _shown(caller: Identity, work: UnitOfWork, row: ConnectionRow | None) -> Connection:
    return Connection.of(row, await tenant_of(work.session, caller.org_id))
