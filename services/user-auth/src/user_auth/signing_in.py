"""Connecting an account: the attempt that sets out to Microsoft, and what comes back.

An attempt is consumed, committed, before anything else is done with Microsoft's answer, so no answer counts twice.
Nothing is stored of the answer before the id_token is verified and all permissions are given.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from shared.db import Database, UnitOfWork
from shared.entra import (
    EntraError,
    EntraMisconfigured,
    EntraReconnect,
    EntraRetry,
    EntraTenantGone,
    refusal,
)
from shared.id_tokens import Account, IdTokens
from shared.identity import Identity
from shared.problems import Conflict, ProspoError, Unavailable
from shared.secrets import Envelope
from user_auth import connections, queries
from user_auth.jobs import look_after
from user_auth.microsoft import Grant, Microsoft
from user_auth.refreshing import AccessTokens, seal
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow

log = structlog.get_logger(__name__)

_SECRET_BYTES = 32
_ONE_PERSON_PER_ACCOUNT = "connection_account"  # the unique index


@dataclass(frozen=True, slots=True)
class _Attempt:
    tid: str
    flow: dict[str, Any] = field(repr=False)
    return_to: str


class SignIns:
    """Starts and completes sign-ins."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        envelope: Envelope,
        microsoft: Microsoft,
        id_tokens: IdTokens,
        access_tokens: AccessTokens,
    ) -> None:
        self._settings = settings
        self._db = db
        self._envelope = envelope
        self._microsoft = microsoft
        self._id_tokens = id_tokens
        self._access_tokens = access_tokens

    async def start(self, caller: Identity, return_to: str) -> tuple[str, str]:
        """The address to open at Microsoft, and the key this browser must bring back. Raises ``Conflict``."""
        async with self._db.unit_of_work(caller.org_id) as work:
            tid = await _connected_tid(work, caller.org_id)
        state, browser_key = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        try:
            address, flow = await self._microsoft.begin(tid, state)
        except EntraError as error:
            raise _refused(error) from error
        async with self._db.unit_of_work(caller.org_id) as work:
            await self._keep_attempt(work, caller, state, browser_key, _Attempt(tid, flow, return_to))
        return address, browser_key

    async def complete(self, caller: Identity, browser_key: str, answer: dict[str, str]) -> tuple[str, ConnectionRow]:
        """Where the person wanted to go, and the connection. Raises ``Conflict`` or ``Unavailable`` with the reason."""
        attempt = await self._take_attempt(caller, browser_key, answer["state"])
        try:
            grant, account = await self._prove(attempt, answer)
            return attempt.return_to, await self._connect(caller, attempt, grant, account)
        except ProspoError as error:
            async with self._db.unit_of_work(caller.org_id) as work:
                await queries.note(work.session, caller.org_id, caller.user_id, "sign_in", "refused", code=error.code)
            error.extra["return_to"] = attempt.return_to
            raise

    async def _keep_attempt(
        self, work: UnitOfWork, caller: Identity, state: str, browser_key: str, attempt: _Attempt
    ) -> None:
        state_hash = _hash(state)
        plain = json.dumps(attempt.flow).encode()
        await queries.add_attempt(
            work.session,
            org_id=caller.org_id,
            user_id=caller.user_id,
            state_hash=state_hash,
            browser_key_hash=_hash(browser_key),
            tid=attempt.tid,
            sealed_flow=await self._envelope.seal(work.session, caller.org_id, _place(state_hash), plain),
            return_to=attempt.return_to,
            life_s=self._settings.sign_in_life_s,
        )

    async def _take_attempt(self, caller: Identity, browser_key: str, state: str) -> _Attempt:
        """The attempt this answer belongs to: once, in time, of this person, from the browser that set out."""
        state_hash = _hash(state)
        async with self._db.unit_of_work(caller.org_id) as work:
            taken = await queries.take_attempt(
                work.session,
                caller.org_id,
                caller.user_id,
                state_hash=state_hash,
                browser_key_hash=_hash(browser_key),
            )
            if taken is not None:
                plain = await self._envelope.open(work.session, caller.org_id, _place(state_hash), taken.sealed_flow)
                return _Attempt(taken.tid, json.loads(plain), taken.return_to)
        raise Conflict(
            "sign_in_unknown",
            "This sign-in was used already, took more than ten minutes or began in another browser. Start it again.",
        )

    async def _prove(self, attempt: _Attempt, answer: dict[str, str]) -> tuple[Grant, Account]:
        """Redeem the code and verify who signed in and what was allowed."""
        try:
            if "error" in answer:
                raise refusal(answer)
            grant = await self._microsoft.redeem(attempt.tid, attempt.flow, answer)
        except EntraError as error:
            raise _refused(error) from error
        account = await self._id_tokens.verify(grant.id_token, attempt.tid)
        if grant.missing:
            raise Conflict(
                "permissions_missing",
                f"These permissions were not given: {', '.join(grant.missing)}. Start again and accept all of them.",
                missing=list(grant.missing),
            )
        return grant, account

    async def _connect(self, caller: Identity, attempt: _Attempt, grant: Grant, account: Account) -> ConnectionRow:
        try:
            async with self._db.unit_of_work(caller.org_id) as work:
                if await _connected_tid(work, caller.org_id) != attempt.tid:
                    raise Conflict("tenant_changed", "Your organisation's Microsoft 365 was changed. Start again.")
                row = await queries.connection_to_change(work.session, caller.org_id, caller.user_id)
                connections.check_account(row, account)
                if await queries.connected_elsewhere(work.session, row, account.tid, account.oid):
                    raise _account_in_use()
                sealed = await seal(self._envelope, work.session, row, grant)
                action = connections.connect(row, account, sealed, grant.expires_at, work.outbox)
                about = {"tid": account.tid, "oid": account.oid}
                await queries.note(work.session, row.org_id, row.user_id, f"connection.{action}", "done", **about)
                look_after(work, row.user_id, self._settings)
                work.after_commit(lambda: self._access_tokens.forget(row.org_id, row.user_id))
        except IntegrityError as error:
            if _ONE_PERSON_PER_ACCOUNT not in str(error.orig):
                raise
            raise _account_in_use() from error  # two people with one account at the same moment
        return row


async def _connected_tid(work: UnitOfWork, org_id: str) -> str:
    tenant = await queries.tenant(work.session, org_id)
    if tenant is None or not tenant.connected or not tenant.tid:
        raise connections.tenant_not_connected()
    return tenant.tid


def _refused(error: EntraError) -> ProspoError:
    """Entra's refusal of a sign-in as a problem; its number and trace id are what Microsoft's support asks for."""
    about = {"aadsts": error.number, "microsoft_trace_id": error.trace_id} if error.number else {}
    if isinstance(error, EntraRetry):
        return Unavailable("microsoft_busy", f"{error.message} Start the sign-in again in a moment.", **about)
    if isinstance(error, EntraTenantGone):
        return Conflict("tenant_not_connected", f"{error.message} An Org Admin does that.", **about)
    if isinstance(error, EntraMisconfigured):
        log.error("Microsoft refuses the registration", aadsts=error.number, trace=error.trace_id)
        return Unavailable("registration_refused", error.message, **about)
    if not isinstance(error, EntraReconnect):
        return Conflict("admin_must_act", error.message, **about)
    if error.error == "access_denied":
        return Conflict("permissions_declined", error.message, **about)
    return Conflict("sign_in_refused", f"{error.message} Start the sign-in again.", **about)


def _account_in_use() -> Conflict:
    return Conflict(
        "account_in_use",
        "Another person of your organisation has connected this Microsoft account. Sign in with your own, or ask them "
        "to disconnect it first.",
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _place(state_hash: str) -> str:
    return f"sign_in_attempt|{state_hash}"
