"""The way to Microsoft's consent page and back. What comes back is not believed, only something to prove."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

from shared.db import UnitOfWork
from shared.entra import PERSONAL_TENANT, Entra, EntraRetry, refusal
from shared.identity import Identity
from shared.problems import BadInput, Conflict, Forbidden, ProspoError, Unavailable
from tenant_connector import audit, queries, tenant
from tenant_connector.models import ConsentAnswer, ConsentStarted
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow

CALLBACK = "/connectors/microsoft365/callback"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DECLINED = {65004}
_NOT_ADMIN = {90094, 90095, 65001}
_AGAIN = "Start again with Connect under Admin, Connectors, Microsoft 365."


@dataclass(frozen=True, slots=True)
class Completed:
    """What came of a way back: the tenant now being proven, or the refusal to answer with after the commit."""

    row: TenantRow | None
    refused: ProspoError | None


async def start(work: UnitOfWork, caller: Identity, settings: Settings, entra: Entra) -> ConsentStarted:
    """A new attempt. Only hashes are kept of what the browser must bring back."""
    state, browser_key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    await queries.add_attempt(
        work.session,
        caller.org_id,
        state_hash=_hash(state),
        user_id=caller.user_id,
        browser_key_hash=_hash(browser_key),
        life_s=settings.consent_attempt_life_s,
    )
    audit.note(work.session, caller.org_id, caller.user_id, "consent.start")
    return ConsentStarted(consent_url=_consent_url(settings, entra, state), browser_key=browser_key)


async def complete(work: UnitOfWork, caller: Identity, answer: ConsentAnswer) -> Completed:
    """Use the attempt up, whatever comes of it. The refusal is returned, not raised: it must be committed first."""
    attempt = await queries.take_attempt(work.session, caller.org_id, _hash(answer.state))
    if attempt is None:
        return _refuse(work, caller, _unknown_attempt())
    row = await queries.tenant_for_change(work.session, caller.org_id)
    refused = _wrong_attempt(attempt, caller, answer) or _said_no(answer) or _wrong_tenant(answer, row)
    if refused is not None:
        tenant.refuse(row, {"code": refused.code, "detail": refused.detail})
        return _refuse(work, caller, refused)
    await _claim(work, caller, row, str(answer.tenant).lower())
    return Completed(row, None)


async def _claim(work: UnitOfWork, caller: Identity, row: TenantRow, tid: str) -> None:
    claim_id = tenant.claim(row, tid, caller.user_id, await queries.now(work.session))
    work.jobs.add("prove", {"claim_id": claim_id}, dedupe_key=claim_id, priority="interactive")
    audit.note(work.session, caller.org_id, caller.user_id, "consent.complete", claimed_tid=tid)


def _consent_url(settings: Settings, entra: Entra, state: str) -> str:
    query = {
        "client_id": settings.client_id,
        "scope": " ".join(entra.graph_default),
        "redirect_uri": settings.public_url.rstrip("/") + CALLBACK,
        "state": state,
    }
    return f"{entra.page_authority('organizations')}/v2.0/adminconsent?{urlencode(query)}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _refuse(work: UnitOfWork, caller: Identity, refused: ProspoError) -> Completed:
    audit.note(work.session, caller.org_id, caller.user_id, "consent.complete", "refused", code=refused.code)
    return Completed(None, refused)


def _unknown_attempt() -> ProspoError:
    return Conflict("consent_attempt_unknown", f"This consent was not started here, or was used already. {_AGAIN}")


def _wrong_attempt(attempt: queries.Attempt, caller: Identity, answer: ConsentAnswer) -> ProspoError | None:
    if attempt.user_id != caller.user_id:
        return Forbidden("consent_other_user", f"Another person of your organisation started this consent. {_AGAIN}")
    if not secrets.compare_digest(attempt.browser_key_hash, _hash(answer.browser_key)):
        return Forbidden("consent_other_browser", f"This consent was started in another browser. {_AGAIN}")
    if not attempt.alive:
        return Conflict("consent_attempt_expired", f"The consent took too long, so it was not taken. {_AGAIN}")
    return None


def _said_no(answer: ConsentAnswer) -> ProspoError | None:
    """``error`` decides before ``admin_consent``: Microsoft sends ``admin_consent=True`` beside an error."""
    if answer.error is not None:
        return _refused_by_microsoft(answer)
    if (answer.admin_consent or "").lower() != "true":
        return Conflict("consent_missing", f"Microsoft did not say that the consent was given. {_AGAIN}")
    return None


def _refused_by_microsoft(answer: ConsentAnswer) -> ProspoError:
    said = refusal({"error": answer.error, "error_description": answer.error_description or ""})
    if said.number in _NOT_ADMIN:
        return Conflict(
            "consent_needs_admin",
            "This Microsoft account may not consent for the organisation. A Global Administrator or a Privileged Role "
            f"Administrator of your Microsoft 365 has to do it. {_AGAIN}",
        )
    if isinstance(said, EntraRetry):
        return Unavailable("microsoft_busy", f"Microsoft could not take the consent right now. {_AGAIN}")
    if said.number in _DECLINED or said.error in {"access_denied", "permission_denied", "consent_required"}:
        return Conflict("consent_declined", f"The permissions were declined at Microsoft. {_AGAIN} Then accept them.")
    return Conflict("consent_refused", f"{said.message} {_AGAIN}")


def _wrong_tenant(answer: ConsentAnswer, row: TenantRow) -> ProspoError | None:
    tid = (answer.tenant or "").lower()
    if not tid:
        return BadInput("consent_without_tenant", f"Microsoft did not say which tenant consented. {_AGAIN}")
    if not _GUID.fullmatch(tid):
        return BadInput("tenant_not_a_guid", f"What came back is not the id of a Microsoft tenant. {_AGAIN}")
    if tid == PERSONAL_TENANT:
        return BadInput(
            "personal_tenant",
            f"Personal Microsoft accounts cannot be connected. {_AGAIN} Sign in with a work account there.",
        )
    if row.status == "connected" and tid != row.tid:
        return Conflict(
            "another_tenant_connected",
            f"Your organisation is connected to {row.display_name} ({row.tid}), and consent came from another tenant. "
            "Nothing was changed. To move to the other tenant, disconnect first, then connect it.",
        )
    return None
