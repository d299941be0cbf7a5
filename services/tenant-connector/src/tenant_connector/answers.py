"""Reads Microsoft's redirects: the refusal with its remedy, or the claim. Nothing here is proven yet."""

import re
from typing import Any

from shared.connections.places import CONNECTOR_PLACE
from shared.entra.aadsts import EntraError, EntraReconnect, EntraRetry, EntraTellAdmin, EntraTenantGone, refusal
from shared.entra.client import PERSONAL_TENANT
from shared.problems import BadInput, Conflict, ProspoError
from tenant_connector.models import ConsentAnswer, SignInAnswer

AGAIN = f"Start again with Connect under {CONNECTOR_PLACE}."
LINK_AGAIN = "Open the link that you were sent once more and start again."

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DECLINED = {65004}
NOT_ADMIN = {90094, 90095, 65001}
_REDEEMED = 54005
_BUSY = f"Microsoft is busy right now. {AGAIN}"


def consent_refused(answer: ConsentAnswer) -> ProspoError | None:
    """``error`` decides before ``admin_consent``: Microsoft sends ``admin_consent=True`` beside an error."""
    if answer.error is not None:
        return _consent_error(answer)
    if (answer.admin_consent or "").lower() != "true":
        return Conflict("consent_missing", f"Microsoft did not say that the consent was given. {AGAIN}")
    return _not_a_tenant((answer.tenant or "").lower())


def _consent_error(answer: ConsentAnswer) -> ProspoError:
    said = refusal({"error": answer.error, "error_description": answer.error_description or ""})
    extra = about(said)
    if said.number in NOT_ADMIN:
        return Conflict(
            "consent_needs_admin",
            "This Microsoft account may not consent for the organisation. A Global Administrator or a Privileged Role "
            "Administrator of your Microsoft 365 has to do it. If that is somebody else, an Org Admin sends them a "
            f"link under {CONNECTOR_PLACE}; they need no Prospo account. {AGAIN}",
            **extra,
        )
    if isinstance(said, EntraRetry):
        return Conflict("microsoft_busy", _BUSY, **extra)
    if _declined(said):
        return Conflict(
            "consent_declined", f"The permissions were declined at Microsoft. {AGAIN} Then accept them.", **extra
        )
    return Conflict("consent_refused", f"{said.message} {AGAIN}", **extra)


def about(said: EntraError) -> dict[str, Any]:
    """The ids by which Microsoft's support finds the refusal."""
    return {"aadsts": said.number, "microsoft_trace_id": said.trace_id} if said.number else {}


def _declined(said: EntraError) -> bool:
    """Microsoft says ``access_denied`` too when a rule of the organisation stands in the way; then a number tells."""
    if said.number in DECLINED:
        return True
    by_rule = isinstance(said, EntraTellAdmin) and said.number != 0
    return said.error in {"access_denied", "permission_denied", "consent_required"} and not by_rule


def _not_a_tenant(tid: str) -> ProspoError | None:
    if not tid:
        return BadInput("consent_without_tenant", f"Microsoft did not say which tenant consented. {AGAIN}")
    if not GUID.fullmatch(tid):
        return BadInput("tenant_not_a_guid", f"What came back is not the id of a Microsoft tenant. {AGAIN}")
    if tid == PERSONAL_TENANT:
        return BadInput(
            "personal_tenant",
            f"Personal Microsoft accounts cannot be connected. {AGAIN} Sign in with a work account there.",
        )
    return None


def sign_in_refused(answer: SignInAnswer) -> ProspoError | None:
    """Loading the page again would bring the same words, so even a busy Microsoft ends the trip."""
    if answer.error is not None:
        said = refusal({"error": answer.error, "error_description": answer.error_description or ""})
        return Conflict("microsoft_busy", _BUSY, **about(said)) if isinstance(said, EntraRetry) else sign_in_error(said)
    if not answer.code:
        return Conflict("sign_in_missing", f"Microsoft did not say who signed in. {AGAIN}")
    return None


def sign_in_error(said: EntraError) -> ProspoError:
    """Entra's refusal of the administrator's sign-in, of the redirect or of the token endpoint."""
    extra = about(said)
    if said.number in DECLINED or (said.error == "access_denied" and _declined(said)):
        return Conflict(
            "sign_in_declined", f"The sign-in after the consent was cancelled at Microsoft. {AGAIN}", **extra
        )
    if isinstance(said, EntraTenantGone) or said.number == 65001 or said.error == "consent_required":
        return Conflict(
            "consent_not_in_force",
            "Your Microsoft 365 does not know Prospo, though consent was reported. If it was given just now, wait a "
            f"minute. {AGAIN}",
            **extra,
        )
    if said.number == _REDEEMED:
        return spent(**extra)
    if isinstance(said, EntraReconnect):
        return Conflict("sign_in_refused", f"{said.message} {AGAIN}", **extra)
    return Conflict("sign_in_refused", said.message, **extra)


def spent(**about: Any) -> Conflict:
    """An answer was lost between the redeeming of the code and the end of the trip; no reload brings it back."""
    return Conflict(
        "sign_in_spent",
        f"Microsoft's answer to the sign-in can be used only once, and what it brought was lost on the way. {AGAIN}",
        **about,
    )
