"""The trip to Microsoft and back: consent, then the administrator's own sign-in, then a claim that is to be proven.

Both legs are one attempt: of one person (or one link), in one browser, for ten minutes. Whoever takes a leg first has
it; a refusal ends the attempt and is remembered before it is told. What broke or Microsoft could not answer is given
back, and a leg whose answer was lost on the way answers the same browser once more.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from shared.database.unit_of_work import REQUEST_ID, Database, UnitOfWork
from shared.entra.client import Entra
from shared.entra.id_tokens import Account
from shared.problems import Conflict, Forbidden, ProspoError, Unavailable
from shared.secrets import Envelope, digest
from shared.web.identity import Identity
from tenant_connector import audit, queries, tenant
from tenant_connector.administrators import Administrators
from tenant_connector.answers import AGAIN, LINK_AGAIN, consent_refused, sign_in_refused
from tenant_connector.models import ConsentAnswer, ConsentStarted, SignInAnswer
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow
from tenant_connector.work import ProveTenant

CALLBACK = "/connectors/microsoft365/callback"
LEASE_S = 120.0
"""Seconds for which a leg stays locked when its process dies; longer than any wait for Microsoft."""


@dataclass(frozen=True, slots=True)
class Traveller:
    """The person who consents: an Org Admin, or the holder of a link (``link`` is its hash) that ``user_id`` sent.

    ``tid`` is the one tenant that may be connected with the link.
    """

    org_id: str
    user_id: str
    link: str | None = None
    tid: str | None = None

    @classmethod
    def of(cls, caller: Identity) -> "Traveller":
        return cls(caller.org_id, caller.user_id)

    def note(self, work: UnitOfWork, action: str, outcome: audit.Outcome = "done", **details: Any) -> None:
        if self.link is None:
            audit.note(work.session, self.org_id, self.user_id, action, outcome, **details)
        else:
            audit.note(work.session, self.org_id, audit.LINK, action, outcome, user_id=self.user_id, **details)


@dataclass(frozen=True, slots=True)
class _Leg:
    """One way back from Microsoft, under the state it brought."""

    who: Traveller
    action: str
    state_hash: str
    browser_key: str = field(repr=False)


class Consents:
    """Starts trips and takes what comes back from their two legs."""

    def __init__(
        self, settings: Settings, db: Database, envelope: Envelope, entra: Entra, administrators: Administrators
    ) -> None:
        self._settings = settings
        self._db = db
        self._envelope = envelope
        self._entra = entra
        self._administrators = administrators

    async def start(self, who: Traveller) -> ConsentStarted:
        """A new attempt. Only hashes are kept of what the browser must bring back."""
        state, browser_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        async with self._db.unit_of_work(who.org_id) as work:
            await queries.add_attempt(
                work.session,
                who.org_id,
                state_hash=digest(state),
                user_id=who.user_id,
                link_hash=who.link,
                browser_key_hash=digest(browser_key),
                life_s=self._settings.consent_attempt_life_s,
            )
            who.note(work, "consent.start")
        return ConsentStarted(consent_url=consent_url(self._settings, self._entra, state), browser_key=browser_key)

    async def complete(self, who: Traveller, answer: ConsentAnswer) -> tuple[str, TenantRow | None]:
        """The first leg: where the administrator signs in now, and the tenant's row, which is as it was."""
        leg = _Leg(who, "consent.complete", digest(answer.state), answer.browser_key)
        attempt = await self._take(leg, second_leg=False)
        async with self._holding(leg, attempt):
            _check(attempt, leg, consent_refused(answer))
            tid = str(answer.tenant).lower()
            async with self._db.unit_of_work(who.org_id) as work:
                row = await queries.tenant(work.session, who.org_id)
            _check_tenant(who, row, tid)
            return await self._send_on(leg, attempt, tid), row

    async def sign_in(self, who: Traveller, answer: SignInAnswer) -> tuple[str | None, TenantRow]:
        """The second leg: claim the tenant when one of its administrators signed in, and let the proof begin.

        Or the address of another sign-in, while not all of Microsoft knows the consent that was just given.
        """
        leg = _Leg(who, "consent.sign_in", digest(answer.state), answer.browser_key)
        attempt = await self._take(leg, second_leg=True)
        if attempt.finished:
            return None, await self._row(who)
        async with self._holding(leg, attempt):
            try:
                account = await self._signed_in(leg, attempt, answer)
            except Conflict as refused:
                if not self._may_be_early(refused, attempt):
                    raise
                await asyncio.sleep(self._settings.sign_in_pause_s)
                return await self._send_on(leg, attempt, attempt.claimed_tid or "", refused), await self._row(who)
            return None, await self._claim(leg, attempt, account)

    async def _signed_in(self, leg: _Leg, attempt: queries.Attempt, answer: SignInAnswer) -> Account:
        _check(attempt, leg, sign_in_refused(answer))
        flow = await self._opened_flow(leg, attempt)
        said = {"state": answer.state, "code": answer.code or ""}
        return await self._administrators.signed_in(attempt.claimed_tid or "", flow, said)

    def _may_be_early(self, refused: Conflict, attempt: queries.Attempt) -> bool:
        """A code that was refused is spent, so only another sign-in can help."""
        patience_s = self._settings.sign_in_patience_s
        return refused.code == "consent_not_in_force" and (attempt.consented_s or 0) < patience_s

    async def _take(self, leg: _Leg, *, second_leg: bool) -> queries.Attempt:
        who = leg.who
        async with self._db.unit_of_work(who.org_id) as work:
            given: dict[str, Any] = {
                "second_leg": second_leg,
                "user_id": who.user_id,
                "link_hash": who.link,
                "browser_key_hash": digest(leg.browser_key),
                "lease_s": LEASE_S,
            }
            for _ in range(3):  # whoever held it may give it back between the two looks
                attempt = await queries.take_attempt(work.session, who.org_id, leg.state_hash, **given)
                if attempt is not None:
                    return attempt
                if await queries.is_under_way(work.session, who.org_id, leg.state_hash):
                    raise _under_way()
            refused = Conflict(
                "consent_attempt_unknown", f"This consent was not started here, or was used already. {AGAIN}"
            )
            who.note(work, leg.action, "refused", code=refused.code)
        _reword(who, refused)
        raise refused

    @asynccontextmanager
    async def _holding(self, leg: _Leg, attempt: queries.Attempt) -> AsyncIterator[None]:
        """A refusal ends the attempt and is committed before it is answered. Other errors free the attempt again."""
        try:
            yield
        except ProspoError as refused:
            if not isinstance(refused, Unavailable):
                await self._end(leg, attempt, refused)
                _reword(leg.who, refused)
            raise
        finally:
            async with self._db.unit_of_work(leg.who.org_id) as work:
                held = attempt.state_hash, attempt.taken_until
                await queries.give_back_attempt(work.session, leg.who.org_id, *held)

    async def _end(self, leg: _Leg, attempt: queries.Attempt, refused: ProspoError) -> None:
        org_id = leg.who.org_id
        problem = tenant.as_problem(
            refused.code,
            refused.detail,
            support_code=REQUEST_ID.get(),
            number=refused.extra.get("aadsts", 0),
            trace_id=refused.extra.get("microsoft_trace_id", ""),
        )
        async with self._db.unit_of_work(org_id) as work:
            if await queries.end_attempt(work.session, org_id, attempt.state_hash):
                row = await queries.tenant_for_change(work.session, org_id)
                tenant.refuse(row, problem)
            leg.who.note(work, leg.action, "refused", code=refused.code, **tenant.traces(problem))

    async def _row(self, who: Traveller) -> TenantRow:
        async with self._db.unit_of_work(who.org_id) as work:
            return await queries.tenant_for_change(work.session, who.org_id)

    async def _send_on(self, leg: _Leg, attempt: queries.Attempt, tid: str, refused: ProspoError | None = None) -> str:
        """The attempt's second leg: another state, with a verifier and a nonce that are sealed until the way back.

        ``refused`` is why the one before did not do.
        """
        org_id, state = leg.who.org_id, secrets.token_urlsafe(32)
        address, flow = await self._administrators.begin(tid, state)
        next_hash = digest(state)
        async with self._db.unit_of_work(org_id) as work:
            sealed = await self._envelope.seal(work.session, org_id, _place(next_hash), json.dumps(flow).encode())
            sent_on = await queries.send_on_attempt(
                work.session, org_id, attempt.state_hash, next_hash=next_hash, claimed_tid=tid, sealed_flow=sealed
            )
            if not sent_on:
                raise _dropped()
            if refused is None:
                leg.who.note(work, leg.action, claimed_tid=tid)
            else:
                leg.who.note(work, leg.action, "refused", code=refused.code, claimed_tid=tid)
        return address

    async def _opened_flow(self, leg: _Leg, attempt: queries.Attempt) -> dict[str, Any]:
        org_id = leg.who.org_id
        async with self._db.unit_of_work(org_id) as work:
            place, sealed = _place(leg.state_hash), bytes(attempt.sealed_flow or b"")
            flow: dict[str, Any] = json.loads(await self._envelope.open(work.session, org_id, place, sealed))
        return flow

    async def _claim(self, leg: _Leg, attempt: queries.Attempt, account: Account) -> TenantRow:
        who = leg.who
        async with self._db.unit_of_work(who.org_id) as work:
            if not await queries.finish_attempt(work.session, who.org_id, attempt.state_hash):
                raise _dropped()
            if who.link is not None and not await queries.use_link(work.session, who.org_id, who.link):
                raise _dropped()
            row = await queries.tenant_for_change(work.session, who.org_id)
            _check_tenant(who, row, account.tid)
            claim_id = tenant.claim(row, account.tid, who.user_id, await queries.now(work.session))
            by_link = account.oid if who.link else None
            work.queue(ProveTenant(claim_id=claim_id, request_id=REQUEST_ID.get(), link_oid=by_link))
            who.note(work, leg.action, claimed_tid=account.tid, oid=account.oid)
        return row


def consent_url(settings: Settings, entra: Entra, state: str) -> str:
    query = {
        "client_id": settings.client_id,
        "scope": " ".join(entra.graph_default),
        "redirect_uri": settings.public_url.rstrip("/") + CALLBACK,
        "state": state,
    }
    return f"{entra.page_authority('organizations')}/v2.0/adminconsent?{urlencode(query)}"


def _check(attempt: queries.Attempt, leg: _Leg, said: ProspoError | None) -> None:
    """Raise the refusal: of a foreign attempt first, then what Microsoft ``said``."""
    if attempt.user_id != leg.who.user_id or attempt.link_hash != leg.who.link:
        raise Forbidden("consent_other_user", f"Another person started this consent. {AGAIN}")
    if not secrets.compare_digest(attempt.browser_key_hash, digest(leg.browser_key)):
        raise Forbidden("consent_other_browser", f"This consent was started in another browser. {AGAIN}")
    if not attempt.alive:
        raise Conflict("consent_attempt_expired", f"The consent took too long, so it was not taken. {AGAIN}")
    if said is not None:
        raise said


def _check_tenant(who: Traveller, row: TenantRow | None, tid: str) -> None:
    if who.link is not None and tid != who.tid:
        raise Conflict(
            "link_for_another_tenant",
            "This link is for another Microsoft 365 than the one that consented, so nothing was connected. Sign in "
            f"with an account of the one that the link names, or have a new link made for the other one. {AGAIN}",
        )
    check_connected(row, tid)


def check_connected(row: TenantRow | None, tid: str) -> None:
    """Raises ``Conflict`` when another tenant is connected."""
    if row is not None and row.status == "connected" and tid != row.tid:
        raise Conflict(
            "another_tenant_connected",
            f"Your organisation is connected to {row.display_name} ({row.tid}), and this is another tenant. "
            "Nothing was changed. To move to the other tenant, disconnect first, then connect it.",
        )


def _under_way() -> ProspoError:
    return Unavailable(
        "consent_under_way",
        "Prospo is still processing Microsoft's answer. Load this page again in a moment.",
        retry_after_s=2,
    )


def _dropped() -> ProspoError:
    return Conflict(
        "consent_ended",
        f"An Org Admin disconnected Microsoft 365 or withdrew the link meanwhile. Nothing changed. {AGAIN}",
    )


def _reword(who: Traveller, refused: ProspoError) -> None:
    """Remembered refusals are read by Org Admins; who holds a link has only that to start again with."""
    if who.link is not None:
        refused.detail = refused.detail.replace(AGAIN, LINK_AGAIN)


def _place(state_hash: str) -> str:
    return f"consent_attempt|{state_hash}"
