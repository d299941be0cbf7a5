"""An Org Admin's own sign-in for browsing SharePoint: its access token, for minutes, and nothing else of it.

The permissions are asked for with this sign-in alone (dynamic scopes): they are not part of the registration, so the
organisation's consent never has them. No refresh token is asked for. The access token is sealed in one row per person,
bound to that person, and goes when a place was chosen, when its time is over, or with the connection.
"""

import asyncio
import json
import secrets
from datetime import datetime
from typing import Any

from shared.connections.places import CONNECTOR_PLACE
from shared.database.unit_of_work import Database, UnitOfWork
from shared.entra.aadsts import EntraError, EntraRetry, EntraTellAdmin, refusal
from shared.entra.client import Entra
from shared.entra.id_tokens import IdTokens
from shared.jobs import Periodic
from shared.jobs.job import Job
from shared.problems import Conflict, Forbidden, ProspoError, Unavailable
from shared.secrets import Envelope, Unreadable, digest
from shared.web.identity import Identity
from tenant_connector import access, audit, pick_queries, tenant
from tenant_connector.answers import DECLINED, NOT_ADMIN
from tenant_connector.settings import Settings
from tenant_connector.work import ForgetPick

CALLBACK = "/connectors/microsoft365/storage/browse/callback"
SCOPES = ("Team.ReadBasic.All", "Channel.ReadBasic.All", "Sites.Read.All")
"""Permissions of the one sign-in: to read which teams, channels, sites and folders the person sees."""
AGAIN = f"Start again with Browse under {CONNECTOR_PLACE} → Choose Storage Location, or paste the address of the place."


class Picks:
    """Starts the sign-in, takes its answer, and gives the token to who signed in."""

    def __init__(self, settings: Settings, db: Database, envelope: Envelope, entra: Entra, id_tokens: IdTokens) -> None:
        self._settings, self._db, self._envelope = settings, db, envelope
        self._entra, self._id_tokens = entra, id_tokens

    async def start(self, caller: Identity) -> tuple[str, str]:
        """The address to open and the browser's key. An earlier sign-in of the same person ends."""
        tid = await self._tenant(caller.org_id)
        state, browser_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        try:
            address, flow = await asyncio.to_thread(self._begin, tid, state)
        except EntraError as error:
            raise _refused(error) from error
        values = {"tid": tid, "state_hash": digest(state), "browser_key_hash": digest(browser_key)}
        async with self._work(caller) as work:
            sealed = await self._sealed(work, caller, json.dumps(flow).encode())
            more = {"sealed_flow": sealed, "life_s": self._settings.consent_attempt_life_s}
            ends = (await work.session.execute(pick_queries.START, _about(caller) | values | more)).scalar_one()
            work.queue(ForgetPick(user_id=caller.user_id), run_at=ends)
            audit.note(work.session, caller.org_id, caller.user_id, "browse.start")
        return address, browser_key

    async def complete(self, caller: Identity, state: str, browser_key: str, answer: dict[str, str]) -> datetime:
        """Until when the person may browse now. ``answer`` is what Microsoft put on the way back."""
        state_hash = digest(state)
        pick = _checked(await self._pick(caller), state_hash, browser_key)
        if pick.sealed_token is not None:  # the page was loaded again
            return _moment(pick)
        if answer.get("error"):
            async with self._work(caller) as work:
                await work.session.execute(pick_queries.FORGET, _about(caller))
            raise _refused(refusal(answer))
        about = _about(caller) | {"state_hash": state_hash}
        async with self._work(caller) as work:
            if (await work.session.execute(pick_queries.TAKE, about)).first() is None:
                raise _unknown()
            flow = json.loads(await self._opened(work, caller, pick.sealed_flow))
        try:
            token = await self._redeemed(pick.tid, flow, {"state": state, "code": answer.get("code", "")})
        except Unavailable:
            async with self._work(caller) as work:
                await work.session.execute(pick_queries.PUT_BACK, about | {"sealed_flow": pick.sealed_flow})
            raise
        async with self._work(caller) as work:
            sealed = await self._sealed(work, caller, token.encode())
            more = {"sealed_token": sealed, "life_s": self._settings.browse_life_s}
            kept = (await work.session.execute(pick_queries.KEEP, about | more)).first()
            if kept is None:
                raise _unknown()
            work.queue(ForgetPick(user_id=caller.user_id), run_at=kept.expires_at)
            audit.note(work.session, caller.org_id, caller.user_id, "browse.sign_in")
        return _moment(kept)

    async def token(self, caller: Identity) -> str:
        """A token of the connected tenant. Raises ``Conflict`` without a sign-in, or when it is too old."""
        tid, pick = await self._tenant(caller.org_id), await self._pick(caller)
        if pick is None or not pick.alive or pick.sealed_token is None or pick.tid != tid:
            raise not_open()
        async with self._work(caller) as work:
            try:
                return (await self._opened(work, caller, pick.sealed_token)).decode()
            except Unreadable as error:  # sealed for somebody else, or with a key that is gone
                raise not_open() from error

    async def end(self, caller: Identity) -> None:
        """Nothing of the sign-in is left. Ending it again changes nothing."""
        async with self._work(caller) as work:
            if (await work.session.execute(pick_queries.FORGET, _about(caller))).first() is not None:
                audit.note(work.session, caller.org_id, caller.user_id, "browse.end")

    async def _tenant(self, org_id: str) -> str:
        connection = await access.connection_of(self._db, org_id)
        if connection is None:
            raise tenant.not_connected()
        return connection.tid

    async def _pick(self, caller: Identity) -> Any | None:
        async with self._work(caller) as work:
            return (await work.session.execute(pick_queries.PICK, _about(caller))).first()

    def _work(self, caller: Identity) -> Any:
        return self._db.unit_of_work(caller.org_id)

    async def _sealed(self, work: UnitOfWork, caller: Identity, secret: bytes) -> bytes:
        return await self._envelope.seal(work.session, caller.org_id, f"pick|{caller.user_id}", secret)

    async def _opened(self, work: UnitOfWork, caller: Identity, sealed: bytes) -> bytes:
        return await self._envelope.open(work.session, caller.org_id, f"pick|{caller.user_id}", bytes(sealed))

    def _begin(self, tid: str, state: str) -> tuple[str, dict[str, Any]]:
        redirect_uri = self._settings.public_url.rstrip("/") + CALLBACK
        scopes, without = self._entra.scopes(SCOPES), ["offline_access"]
        return self._entra.begin_sign_in(tid, scopes, redirect_uri=redirect_uri, state=state, exclude_scopes=without)

    async def _redeemed(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> str:
        """The access token of an account of the tenant. Raises ``Unavailable`` before the code is spent only."""
        await self._id_tokens.ready(tid)
        try:
            said = await asyncio.to_thread(self._entra.end_sign_in, tid, flow, answer)
        except EntraError as error:
            raise _refused(error) from error
        try:
            await self._id_tokens.verify(str(said.get("id_token") or ""), tid)
        except (Conflict, Unavailable) as error:
            raise Conflict("browse_not_proven", f"Microsoft's answer could not be verified. {AGAIN}") from error
        return str(said.get("access_token") or "")


async def forget_old(job: Job, user_id: str) -> None:
    """Raises ``Periodic`` while another sign-in of the same person lasts."""
    about = {"org_id": job.org_id, "user_id": user_id}
    async with job.unit_of_work() as work:
        await work.session.execute(pick_queries.FORGET_OLD, about)
        left_s = (await work.session.execute(pick_queries.LEFT_S, about)).scalar()
    if left_s is not None:
        raise Periodic("a later sign-in lasts", after_s=max(left_s, 1))


def _about(caller: Identity) -> dict[str, Any]:
    return {"org_id": caller.org_id, "user_id": caller.user_id}


def _moment(row: Any) -> datetime:
    ends: datetime = row.expires_at
    return ends


def _checked(pick: Any | None, state_hash: str, browser_key: str) -> Any:
    if pick is None or not secrets.compare_digest(pick.state_hash, state_hash):
        raise _unknown()
    if not secrets.compare_digest(pick.browser_key_hash, digest(browser_key)):
        raise Forbidden("browse_other_browser", f"This sign-in was started in another browser. {AGAIN}")
    if not pick.alive:
        raise Conflict("browse_expired", f"The sign-in took too long, so it was not taken. {AGAIN}")
    return pick


def _unknown() -> Conflict:
    return Conflict("browse_unknown", f"This sign-in was not started here, or was used already. {AGAIN}")


def not_open() -> Conflict:
    return Conflict("browse_not_open", f"Sign in at Microsoft first; a sign-in lasts some minutes. {AGAIN}")


def _refused(error: EntraError) -> ProspoError:
    """The problem for a refusal by the sign-in page or the token endpoint."""
    if isinstance(error, EntraRetry):
        return Unavailable("microsoft_busy", f"{error.message} Try again in a moment.")
    if error.number in NOT_ADMIN:
        return Conflict(
            "browse_not_permitted",
            "Your Microsoft 365 does not let this account allow Prospo to browse. Paste the address of the place "
            "instead, or have an administrator of Microsoft 365 sign in.",
        )
    by_rule = isinstance(error, EntraTellAdmin) and error.number != 0
    if error.number in DECLINED or (error.error == "access_denied" and not by_rule):
        return Conflict("browse_declined", f"Browsing was declined at Microsoft. {AGAIN}")
    return Conflict("browse_refused", f"{error.message} {AGAIN}")
