"""Connecting an account: the attempt that sets out to Microsoft, and what comes back.

An attempt is consumed, committed, before anything else is done with Microsoft's answer, so no answer counts twice.
Nothing is stored of the answer before the id_token is verified and all permissions are given.
"""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from shared.connections import ADMIN_REQUIRED, CONNECTOR_PLACE, Switch, Tenant, tenant_of
from shared.connections.obstacles import TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.database.unit_of_work import Database, UnitOfWork
from shared.entra.aadsts import EntraError, EntraMisconfigured, EntraReconnect, EntraRetry, EntraTenantGone, refusal
from shared.entra.id_tokens import Account, IdTokens
from shared.problems import Conflict, ProspoError, Unavailable
from shared.secrets import Envelope, digest
from shared.web import audit
from shared.web.identity import Identity
from user_auth import connections, leaving, permissions, queries
from user_auth.checking import AccountChecks
from user_auth.jobs import look_after
from user_auth.microsoft import Grant, Microsoft, is_consent_missing
from user_auth.refreshing import AccessTokens, seal
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow

log = structlog.get_logger(__name__)

_SECRET_BYTES = 32
_ONE_PERSON_PER_ACCOUNT = "connection_account"  # the unique index
_CONSENT_MISSING = "consent_missing"
_DECLINED = 65004
_ACCEPT = "The permissions were not accepted. Start again and accept them."
_NOT_ALLOWED = "Your organisation's Microsoft 365 does not let you allow Prospo these permissions yourself."
_CONNECT_AGAIN = (
    f"An Org Admin opens {CONNECTOR_PLACE}, chooses Connect and accepts the permissions for everybody; "
    "then connect your account again."
)
_ADMIN_CONSENTS = {
    65001: _CONNECT_AGAIN,
    90094: _CONNECT_AGAIN,
    90095: f"A Microsoft 365 administrator approves your request in Microsoft Entra. Or: {_CONNECT_AGAIN}",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was under way: it led to ``tid``, and the person wants to go to ``return_to`` then."""

    tid: str
    flow: dict[str, Any] = field(repr=False)
    return_to: str
    version: int = 0
    """The connection's when the answer came; it is another one when the person disconnected since."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The page to return to, the connection, and the organisation's tenant."""

    return_to: str
    row: ConnectionRow
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class _Proven:
    """The verified part of an answer, before anything is stored."""

    grant: Grant
    account: Account
    checked: connections.Checked


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
        checks: AccountChecks,
    ) -> None:
        self._settings = settings
        self._db = db
        self._envelope = envelope
        self._microsoft = microsoft
        self._id_tokens = id_tokens
        self._access_tokens = access_tokens
        self._checks = checks

    async def start(self, caller: Identity, return_to: str, features: Collection[Switch] = ()) -> tuple[str, str]:
        """The address to open at Microsoft, and the key this browser must bring back. Raises ``Conflict``.

        ``features`` are those that the person misses permissions for.
        """
        async with self._db.unit_of_work(caller.org_id) as work:
            tenant, tid = await _connected_tenant(work, caller.org_id)
            row = await queries.connection(work.session, caller.org_id, caller.user_id)
        challenge = row.unanswered_challenge if row is not None else None
        scopes = permissions.to_ask(features, tenant.features)
        # Only who has no connection chooses an account; with one, any other account would be refused in the end.
        hint = row.email or None if row is not None and connections.keeps_account(row, tid) else None
        state, browser_key = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
        try:
            address, flow = await self._microsoft.begin(tid, state, scopes, hint, challenge)
        except EntraError as error:
            raise _refused(error) from error
        async with self._db.unit_of_work(caller.org_id) as work:
            await self._keep_attempt(work, caller, state, browser_key, Attempt(tid, flow, return_to))
        return address, browser_key

    async def take(self, caller: Identity, browser_key: str, state: str) -> Attempt:
        """The attempt this answer belongs to: once, in time, of this person, from the browser that set out.

        Raises ``Conflict`` when there is none, which is noted: somebody may be trying another's answer.
        """
        state_hash = digest(state)
        async with self._db.unit_of_work(caller.org_id) as work:
            taken = await queries.take_attempt(
                work.session,
                caller.org_id,
                caller.user_id,
                state_hash=state_hash,
                browser_key_hash=digest(browser_key),
            )
            if taken is not None:
                row = await queries.connection(work.session, caller.org_id, caller.user_id)
                plain = await self._envelope.open(work.session, caller.org_id, _place(state_hash), taken.sealed_flow)
                return Attempt(taken.tid, json.loads(plain), taken.return_to, leaving.ended_in(row) if row else 0)
        refused = _unknown()
        log.warning("sign_in.unknown", org_id=caller.org_id, user_id=caller.user_id)
        figure = self._settings.refusals_noted_per_hour
        await audit.note_refused(self._db, caller.org_id, caller.user_id, "sign_in", figure, code=refused.code)
        raise refused

    async def complete(self, caller: Identity, attempt: Attempt, answer: dict[str, str]) -> SignedIn:
        """Raises ``Conflict`` or ``Unavailable`` with the reason; Microsoft's tokens are then dropped, never stored."""
        try:
            return await self._connect(caller, attempt, await self._prove(caller, attempt, answer))
        except ProspoError as error:
            await self._refuse(caller, error)
            raise

    async def _refuse(self, caller: Identity, error: ProspoError) -> None:
        async with self._db.unit_of_work(caller.org_id) as work:
            audit.note(work.session, caller.org_id, caller.user_id, "sign_in", "refused", code=error.code)
            if error.code == _CONSENT_MISSING:
                row = await queries.connection(work.session, caller.org_id, caller.user_id, lock=True)
                if row is not None and row.status == "expired":
                    row.granted_scopes = None  # what features had been given may be what is refused: reconnect without

    async def _keep_attempt(
        self, work: UnitOfWork, caller: Identity, state: str, browser_key: str, attempt: Attempt
    ) -> None:
        state_hash = digest(state)
        plain = json.dumps(attempt.flow).encode()
        await queries.add_attempt(
            work.session,
            org_id=caller.org_id,
            user_id=caller.user_id,
            state_hash=state_hash,
            browser_key_hash=digest(browser_key),
            tid=attempt.tid,
            sealed_flow=await self._envelope.seal(work.session, caller.org_id, _place(state_hash), plain),
            return_to=attempt.return_to,
            life_s=self._settings.sign_in_life_s,
        )

    async def _prove(self, caller: Identity, attempt: Attempt, answer: dict[str, str]) -> _Proven:
        """Redeem the code; verify who signed in, what was allowed, and that the account can be worked with."""
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
                f"These permissions were not given: {', '.join(grant.missing)}. Start again and accept all of them. If "
                f"Microsoft does not ask for them: {_CONNECT_AGAIN}",
                missing=list(grant.missing),
            )
        checked = await self._checks.at_sign_in(caller.org_id, caller.user_id, grant.access_token)
        return _Proven(grant, account, checked)

    async def _connect(self, caller: Identity, attempt: Attempt, proven: _Proven) -> SignedIn:
        grant, account = proven.grant, proven.account
        try:
            async with self._db.unit_of_work(caller.org_id) as work:
                tenant, tid = await _connected_tenant(work, caller.org_id)
                if tid != attempt.tid:
                    raise Conflict("tenant_changed", "Your organisation's Microsoft 365 was changed. Start again.")
                row = await queries.connection_to_change(work.session, caller.org_id, caller.user_id)
                if row.status == "disconnected" and leaving.ended_in(row) != attempt.version:
                    raise _disconnected_meanwhile()
                connections.check_account(row, account)
                if await queries.connected_elsewhere(work.session, row, account.tid, account.oid):
                    raise _account_in_use()
                sealed = await seal(self._envelope, work.session, row, grant)
                action = connections.connect(
                    row, account, grant, work.outbox, sealed_cache=sealed, checked=proven.checked
                )
                about = {"tid": account.tid, "oid": account.oid}
                audit.note(work.session, row.org_id, row.user_id, f"connection.{action}", "done", **about)
                look_after(work, row.user_id, self._settings)
                work.after_commit(lambda: self._access_tokens.forget(row.org_id, row.user_id))
        except IntegrityError as error:
            if _ONE_PERSON_PER_ACCOUNT not in str(error.orig):
                raise
            raise _account_in_use() from error  # two people with one account at the same moment
        return SignedIn(attempt.return_to, row, tenant)


async def _connected_tenant(work: UnitOfWork, org_id: str) -> tuple[Tenant, str]:
    """Held, so that news of it wait for this transaction and see what it did."""
    tenant = await tenant_of(work.session, org_id, hold=True)
    if not tenant.connected or not tenant.tid:
        raise conflict(TENANT_NOT_CONNECTED)
    return tenant, tenant.tid


def _refused(error: EntraError) -> ProspoError:
    """Entra's refusal of a sign-in as a problem; its number and trace id are what Microsoft's support asks for."""
    about: dict[str, Any] = {"aadsts": error.number, "microsoft_trace_id": error.trace_id} if error.number else {}
    if isinstance(error, EntraRetry):
        return Unavailable("microsoft_busy", f"{error.message} Start the sign-in again in a moment.", **about)
    if isinstance(error, EntraTenantGone):
        return conflict(TENANT_NOT_CONNECTED, detail=f"{error.message} An Org Admin does that.", **about)
    if isinstance(error, EntraMisconfigured):
        log.error("registration.refused", aadsts=error.number, trace=error.trace_id)
        return Unavailable("registration_refused", error.message, **about)
    if error.number == _DECLINED or (isinstance(error, EntraReconnect) and error.error == "access_denied"):
        return Conflict("permissions_declined", _ACCEPT, **about)
    if is_consent_missing(error) or error.number in _ADMIN_CONSENTS:
        remedy = _ADMIN_CONSENTS.get(error.number, _CONNECT_AGAIN)
        return Conflict(_CONSENT_MISSING, f"{_NOT_ALLOWED} {remedy}", remedy=remedy, **about)
    if not isinstance(error, EntraReconnect):
        return conflict(ADMIN_REQUIRED, detail=error.message, **about)
    return Conflict("sign_in_refused", f"{error.message} Start the sign-in again.", **about)


def _unknown() -> Conflict:
    detail = "This sign-in was used already, took more than ten minutes or began in another browser. Start it again."
    return Conflict("sign_in_unknown", detail)


def _disconnected_meanwhile() -> Conflict:
    detail = "You disconnected the account while this sign-in was under way, so it was not connected. Start again."
    return Conflict("disconnected_meanwhile", detail)


def _account_in_use() -> Conflict:
    return Conflict(
        "account_in_use",
        "Another person of your organisation has connected this Microsoft account. Sign in with your own, or ask them "
        "to disconnect it first.",
    )


def _place(state_hash: str) -> str:
    return f"sign_in_attempt|{state_hash}"
