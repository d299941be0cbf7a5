"""Access tokens: from memory while they last, else one refresh per person over all pods.

Guarantee: the row lock of the connection is held from before Microsoft is asked until the new refresh token is
committed, so two pods never refresh the same connection at once and no token is given out whose successor could be
lost. This is the only place where Microsoft is called inside a transaction. A kill in between leaves the former refresh
token, which Microsoft still accepts.
"""

import asyncio
import contextlib
import math
import time
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.connections import tenant_of
from shared.connections.obstacles import TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.database.unit_of_work import Database, UnitOfWork
from shared.entra.aadsts import (
    EntraError,
    EntraMisconfigured,
    EntraReconnect,
    EntraTellAdmin,
    EntraTenantGone,
    EntraTenantUnknown,
)
from shared.entra.client import TIMEOUT_S
from shared.entra.kept import Flights, Newest
from shared.problems import ConfigurationError, Conflict, ProspoError, Unavailable
from shared.secrets import Envelope, Unreadable, digest
from shared.web.audit import note
from user_auth import connections, leaving, permissions, queries
from user_auth.microsoft import NOTHING_KEPT, Grant, Microsoft, is_listed, kept_token
from user_auth.refusals import Owner, Refusals
from user_auth.settings import Settings
from user_auth.tables import ConnectionRow

log = structlog.get_logger(__name__)

Person = tuple[str, str]
_MAX_KEPT = 5_000
_STILL_VALID = timedelta(seconds=30)
_NEVER = datetime.min.replace(tzinfo=UTC)
_RENEW_REFUSED_AFTER = timedelta(minutes=5)
"""A token that Graph refuses so soon after such a renewal is refused for a reason that no other token changes."""
_DOUBTED_FOR = timedelta(days=1)
"""Counted by the day, not by the try: however often it is asked, what is over by tomorrow ends nothing."""
_SILENT_REFUSED_FOR = timedelta(days=1)
"""A consent that somebody gives in the Entra admin centre is told by nobody; it is found then, at the latest."""
_IDLE_S = 2 * 2 * 2 * TIMEOUT_S + 15
"""Longer than Microsoft may take: for the whole and for what is left of it, with the former credential of the
application and the one that replaces it, each time discovery and token."""


@dataclass(frozen=True, slots=True)
class UserToken:
    """An access token for Graph, and the version of the connection it belongs to."""

    value: str = field(repr=False)
    expires_at: datetime
    tid: str
    oid: str
    version: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: a person's token, with the answer to a challenge, in place of a refused one (its digest).

    ``known_version`` is the version of the connection that the caller has heard of. ``leaving``: of one that has ended,
    to remove what was set at Microsoft.
    """

    org_id: str
    user_id: str
    claims: str | None = None
    refused: str | None = None
    known_version: int = 0
    leaving: bool = False

    @property
    def person(self) -> Person:
        return self.org_id, self.user_id

    def is_refused(self, token: UserToken) -> bool:
        return self.refused is not None and digest(token.value) == self.refused

    @property
    def challenge(self) -> str | None:
        return None if self.claims is None else digest(self.claims)

    def may_have(self, kept: UserToken) -> bool:
        """Whether a token from memory will do."""
        return (
            not self.leaving
            and self.claims is None
            and kept.version >= self.known_version
            and not self.is_refused(kept)
        )


class AccessTokens:
    """One per process; forgets at once what this process ends, and within ``token_recheck_s`` what others end."""

    def __init__(self, settings: Settings, db: Database, envelope: Envelope, microsoft: Microsoft) -> None:
        self._settings = settings
        self._db = db
        self._envelope = envelope
        self._microsoft = microsoft
        self._margin = timedelta(seconds=settings.token_margin_s)
        self._kept = Newest[Person, tuple[UserToken, float]](_MAX_KEPT)
        self._flights = Flights[Wanted, UserToken](self._fetch, lambda wanted, _: self._forget_known(wanted))
        self._known: dict[Wanted, UserToken] = {}  # what is stored of those under way
        self._refusals = Refusals(settings)
        self._forgotten = 0
        # A refresh holds a database connection while Microsoft thinks; half of what the pool may open stays free for
        # everything else, and no organisation takes all of the other half.
        self._all_rooms = asyncio.Semaphore(settings.database_pool_size)
        self._rooms: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()

    async def aclose(self) -> None:
        """Let the refreshes under way save what Microsoft gave them."""
        await self._flights.end(cancel=False)

    async def token(
        self,
        org_id: str,
        user_id: str,
        claims: str | None = None,
        refused: str | None = None,
        *,
        known_version: int = 0,
        leaving: bool = False,
    ) -> UserToken:
        """A token with time left; ``claims`` (JSON of a CAE challenge) forces a new one.

        Who names the ``refused`` token beside the claims is given the one that answered the same challenge already.
        It is another one than ``refused`` (a digest), unless Graph refused one a short while before as well: it then
        has a reason that no token changes, and Microsoft is not asked again and again.

        Raises ``Conflict`` when somebody must act, ``Unavailable`` when it is worth trying again.
        """
        wanted = Wanted(org_id, user_id, claims, refused, known_version, leaving)
        kept = self._kept.get(wanted.person)
        if kept is not None and self._is_fresh(*kept) and wanted.may_have(kept[0]):
            return kept[0]
        try:
            async with asyncio.timeout(self._settings.token_answer_within_s):
                return await self._flights.join(wanted)
        except TimeoutError:
            known = self._meanwhile(wanted)
            if known is None:
                raise _busy() from None
            return known

    def forget(self, org_id: str, user_id: str | None = None) -> None:
        """Give out nothing from memory for this person, or for all of the organisation."""
        self._forgotten += 1
        for person in [known for known in self._kept if known[0] == org_id and user_id in {None, known[1]}]:
            del self._kept[person]
        for wanted in [one for one in self._known if one.org_id == org_id and user_id in {None, one.user_id}]:
            del self._known[wanted]
        if user_id is None:
            self._refusals.forget(org_id)

    async def _fetch(self, wanted: Wanted) -> UserToken:
        forgotten = self._forgotten
        async with self._db.unit_of_work(wanted.org_id) as work:
            row = await self._standing(work.session, wanted)
            token, _ = await self._open(work.session, row)
            silent = [] if wanted.leaving else await self._silent(work.session, row)
        if silent or not self._serves(row, token, wanted):
            self._known[wanted] = token
            token = await self._refresh(wanted, token.version)
        if forgotten == self._forgotten and not wanted.leaving:
            self._kept.keep(wanted.person, (token, time.monotonic()))
        return token

    def _forget_known(self, wanted: Wanted) -> None:
        self._known.pop(wanted, None)

    def _serves(self, row: ConnectionRow, token: UserToken, wanted: Wanted) -> bool:
        if not self._lasts(token):
            return False
        if wanted.challenge is not None:
            answered = row.answered_challenge == wanted.challenge and wanted.refused is not None
            return answered and not wanted.is_refused(token)
        return not wanted.is_refused(token) or _renewed_lately(row)

    async def _refresh(self, wanted: Wanted, version: int) -> UserToken:
        """A new token; the known one instead while it is valid at all and Microsoft or the lock keeps us waiting."""
        owner = *wanted.person, version
        try:
            return await self._ask(wanted, owner)
        except (EntraError, DBAPIError, TimeoutError) as error:
            known = None if isinstance(error, EntraTenantGone) else self._meanwhile(wanted)
            if known is None:
                raise _problem(self._refusals.standing(owner) or error) from error
            return known

    async def _ask(self, wanted: Wanted, owner: Owner) -> UserToken:
        """Raises what Microsoft refused a moment ago without asking it again."""
        if (refused := self._refusals.standing(owner)) is not None:
            raise refused
        try:
            async with self._room(wanted.org_id):
                outcome = await self._refresh_locked(wanted)
            if isinstance(outcome, UserToken):
                return outcome
            raise outcome  # what it does to the connection is committed
        except (EntraError, DBAPIError, TimeoutError) as error:
            level = log.error if isinstance(error, EntraMisconfigured) else log.warning
            number = error.number if isinstance(error, EntraError) else 0
            level("a token could not be refreshed", org_id=wanted.org_id, error=type(error).__name__, aadsts=number)
            if isinstance(error, EntraError):
                self._refusals.keep(owner, error)
            raise

    def _meanwhile(self, wanted: Wanted) -> UserToken | None:
        """The stored token, due for a refresh but valid, and not what the caller wants another one for."""
        known = self._known.get(wanted)
        if known is None or wanted.claims is not None or wanted.is_refused(known):
            return None
        return known if known.expires_at > datetime.now(UTC) + _STILL_VALID else None

    async def _refresh_locked(self, wanted: Wanted) -> UserToken | Conflict | EntraError:
        """Refresh under the row lock. A refusal of the grant is returned, not raised: its effect must be committed."""
        async with self._db.unit_of_work(wanted.org_id) as work:
            wait_s = self._settings.token_answer_within_s
            await queries.limit_waiting(work.session, lock_wait_s=wait_s, idle_s=_IDLE_S)
            row = await self._standing(work.session, wanted, lock=True)
            token, cache = await self._open(work.session, row)
            silent = [] if wanted.leaving else await self._silent(work.session, row)
            if not silent and self._serves(row, token, wanted):
                return token  # another pod was first
            try:
                grant = await self._microsoft.refresh(token.tid, cache, wanted.claims, row.granted_scopes, silent)
                if wanted.refused is not None:
                    row.renewed_for_refusal_at = datetime.now(UTC)
            except (EntraReconnect, EntraTellAdmin) as refused:
                if wanted.leaving:  # it has ended already
                    return connections.refuse_token(row, tenant_connected=True)
                return await self._expire(work, row, refused, wanted) if _is_meant(row, refused) else refused
            row.answered_challenge = wanted.challenge
            if wanted.leaving:
                return await self._save(work.session, row, grant)
            before = connections.mail_permitted(row), row.silent_refused_in
            if silent:
                await _remember(work.session, row, refused=not set(silent) <= set(grant.scopes))
            row.granted_scopes = list(grant.scopes)
            if (connections.mail_permitted(row), row.silent_refused_in) != before:
                connections.tell_mail(row, work.outbox)
            return await self._save(work.session, row, grant)

    async def _silent(self, session: AsyncSession, row: ConnectionRow) -> list[str]:
        """Further scopes of the next refresh; none for a day after a refusal, unless the tenant changed."""
        tenant = await tenant_of(session, row.org_id)
        known = row.silent_refused_in == tenant.version and row.silent_refused_at is not None
        if known and row.silent_refused_at and datetime.now(UTC) - row.silent_refused_at < _SILENT_REFUSED_FOR:
            return []
        return permissions.silent(permissions.in_force(row.granted_scopes), tenant.features)

    async def _save(self, session: AsyncSession, row: ConnectionRow, grant: Grant) -> UserToken:
        row.sealed_cache = await seal(self._envelope, session, row, grant)
        row.token_expires_at, row.doubted_since = grant.expires_at, None
        return UserToken(grant.access_token, grant.expires_at, str(row.tid), str(row.oid), row.version)

    async def _expire(self, work: UnitOfWork, row: ConnectionRow, refused: EntraError, wanted: Wanted) -> Conflict:
        connections.expire(row, refused, work.outbox, claims=wanted.claims)
        details = {"user_id": row.user_id, "aadsts": refused.number, "microsoft_trace_id": refused.trace_id}
        note(work.session, row.org_id, "microsoft", "connection.expired", "done", **details)
        work.after_commit(lambda: self.forget(row.org_id, row.user_id))
        return connections.refuse_token(row, tenant_connected=True)

    async def _standing(self, session: AsyncSession, wanted: Wanted, *, lock: bool = False) -> ConnectionRow:
        """The connection, or one that is left. Raises ``Conflict`` when it does not stand (any more)."""
        row = await queries.connection(session, *wanted.person, lock=lock)
        if row is not None and (leaving.is_open(row) if wanted.leaving else row.status == "connected"):
            return row
        self.forget(*wanted.person)
        tenant = await tenant_of(session, wanted.org_id, hold=True)
        raise connections.refuse_token(row, tenant_connected=tenant.connected)

    async def _open(self, session: AsyncSession, row: ConnectionRow) -> tuple[UserToken, str]:
        """The stored token and MSAL's cache it is in. Raises ``Unavailable`` while it cannot be opened."""
        blob, expires_at = row.sealed_cache or b"", row.token_expires_at or _NEVER
        try:
            cache = (await self._envelope.open(session, row.org_id, place(row.user_id), blob)).decode()
        except (Unreadable, ConfigurationError) as error:
            log.exception("connection.unopenable", org_id=row.org_id, user_id=row.user_id)
            raise _unreadable() from error
        value = kept_token(cache)
        if value is None:
            value, expires_at = "", _NEVER
        return UserToken(value, expires_at, str(row.tid), str(row.oid), row.version), cache

    def _is_fresh(self, token: UserToken, checked_at: float) -> bool:
        return time.monotonic() - checked_at < self._settings.token_recheck_s and self._lasts(token)

    def _lasts(self, token: UserToken) -> bool:
        return token.expires_at > datetime.now(UTC) + self._margin

    @contextlib.asynccontextmanager
    async def _room(self, org_id: str) -> AsyncIterator[None]:
        own = self._rooms.get(org_id) or asyncio.Semaphore(self._settings.database_pool_size // 2 + 1)
        self._rooms[org_id] = own
        async with asyncio.timeout(self._settings.token_answer_within_s) as limit, own, self._all_rooms:
            limit.reschedule(None)
            yield


def place(user_id: str) -> str:
    """The associated data of a sealed token cache."""
    return f"connection|{user_id}"


async def seal(envelope: Envelope, session: AsyncSession, row: ConnectionRow, grant: Grant) -> bytes:
    return await envelope.seal(session, row.org_id, place(row.user_id), grant.cache.encode())


async def _remember(session: AsyncSession, row: ConnectionRow, *, refused: bool) -> None:
    """Whether the organisation's consent holds what was asked for without a question."""
    row.silent_refused_at = datetime.now(UTC) if refused else None
    row.silent_refused_in = (await tenant_of(session, row.org_id)).version if refused else None


def _is_meant(row: ConnectionRow, refused: EntraError) -> bool:
    """Whether a refusal ends the connection. One that is not published is noted, and meant when a day proves it."""
    if is_listed(refused) or refused.error == NOTHING_KEPT:
        return True
    now = datetime.now(UTC)
    row.doubted_since = row.doubted_since or now
    return now - row.doubted_since >= _DOUBTED_FOR


def _renewed_lately(row: ConnectionRow) -> bool:
    at = row.renewed_for_refusal_at
    return at is not None and datetime.now(UTC) - at < _RENEW_REFUSED_AFTER


def _problem(error: Exception) -> ProspoError:
    """The problem that prevents a refresh; with ``retry_after_s`` where a time is known."""
    if isinstance(error, EntraTenantGone):
        return conflict(TENANT_NOT_CONNECTED)
    waits = {"retry_after_s": math.ceil(error.after_s)} if isinstance(error, EntraError) and error.after_s else {}
    if isinstance(error, EntraMisconfigured):
        code = "tenant_gone" if isinstance(error, EntraTenantUnknown) else "prospo_misconfigured"
        return Unavailable(code, error.message, **waits)
    return _busy(**waits)


def _busy(**waits: int) -> Unavailable:
    detail = "Microsoft's sign-in is busy or cannot be reached. Try again in a moment."
    return Unavailable("microsoft_busy", detail, **waits)


def _unreadable() -> Unavailable:
    return Unavailable(
        "connection_unreadable",
        "What Prospo keeps of your Microsoft connection cannot be opened. Tell the operator. If it stays, disconnect "
        f"your account and connect it again {connections.WHERE}.",
    )
