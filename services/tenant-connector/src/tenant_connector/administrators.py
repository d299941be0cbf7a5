"""The administrator's own sign-in: who consented is somebody of that tenant, and one of its administrators.

The tenant in the consent's redirect is a query parameter that anybody can write. An id_token that Microsoft signed for
this trip cannot be written, so nobody claims the tenant of others. Nothing of the sign-in is kept but who it was.
"""

import asyncio
from typing import Any

import structlog

from shared.entra.aadsts import EntraError, EntraMisconfigured, EntraRetry, EntraTenantUnknown
from shared.entra.client import Entra
from shared.entra.id_tokens import Account, IdTokens
from shared.problems import Conflict, ProspoError, Unavailable
from tenant_connector.answers import AGAIN, about, sign_in_error, spent
from tenant_connector.settings import Settings

log = structlog.get_logger(__name__)

CALLBACK = "/connectors/microsoft365/sign-in/callback"
_OWN_WORDS = {
    "wrong_tenant": Conflict(
        "consent_other_tenant",
        "The account that signed in is of another Microsoft 365 than the one the consent was reported for, so nothing "
        f"was connected. {AGAIN} Use one administrator's account all the way.",
    ),
    "personal_account": Conflict(
        "personal_account", f"This is a personal Microsoft account. {AGAIN} Sign in with a work account there."
    ),
    "sign_in_not_proven": Conflict("sign_in_not_proven", f"Microsoft's answer could not be verified. {AGAIN}"),
}


class Administrators:
    """Sends an administrator to the sign-in of their tenant, and says who came back."""

    def __init__(self, settings: Settings, entra: Entra, id_tokens: IdTokens) -> None:
        self._settings = settings
        self._entra = entra
        self._id_tokens = id_tokens

    async def begin(self, tid: str, state: str) -> tuple[str, dict[str, Any]]:
        """The address to open, and MSAL's flow to keep secret. Raises ``Unavailable``, or ``Conflict``: no tenant."""
        try:
            return await asyncio.to_thread(self._begin, tid, state)
        except EntraError as error:
            raise refused(error) from error

    async def signed_in(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> Account:
        """The administrator of the tenant ``tid``. Raises ``Conflict`` with the reason, or ``Unavailable``.

        The code can be redeemed once only, so the keys are there before; after it nothing is worth another try.
        """
        try:
            await self._id_tokens.ready(tid)
        except Unavailable as error:
            detail = "Microsoft's signing keys cannot be fetched right now. Try again in a moment."
            raise Unavailable(error.code, detail) from error
        try:
            id_token = await asyncio.to_thread(self._redeem, tid, flow, answer)
        except EntraError as error:
            raise refused(error) from error
        try:
            account = await self._id_tokens.verify(id_token, tid)
        except Unavailable as error:
            raise spent() from error
        except Conflict as conflict:
            raise _in_own_words(conflict) from conflict
        self._check_administrator(account)
        return account

    def _begin(self, tid: str, state: str) -> tuple[str, dict[str, Any]]:
        """No prompt: the session of the consent page answers by itself."""
        redirect_uri = self._settings.public_url.rstrip("/") + CALLBACK
        without = ["offline_access"]
        return self._entra.begin_sign_in(tid, [], redirect_uri=redirect_uri, state=state, exclude_scopes=without)

    def _redeem(self, tid: str, flow: dict[str, Any], answer: dict[str, str]) -> str:
        """The id_token alone: the access token goes no further than this."""
        return str(self._entra.end_sign_in(tid, flow, answer).get("id_token") or "")

    def _check_administrator(self, account: Account) -> None:
        if account.directory_roles is None:
            log.error("directory_roles.missing", mend="set groupMembershipClaims of the registration to DirectoryRole")
            raise Conflict(
                "registration_without_roles",
                "Prospo's registration at Microsoft does not ask for directory roles, so no administrator can be told "
                "from other people. Tell the operator to set groupMembershipClaims to DirectoryRole in its manifest.",
            )
        if not account.directory_roles & self._settings.administrator_roles:
            raise Conflict(
                "not_an_administrator",
                "The account that signed in is no administrator of that Microsoft 365, so it may not connect it. A "
                "Global Administrator or a Privileged Role Administrator has to do it; a role that is only eligible "
                f"has to be activated first. {AGAIN}",
            )


def refused(error: EntraError) -> ProspoError:
    """The problem document for a refusal of Entra."""
    if isinstance(error, EntraRetry):
        return Unavailable("microsoft_busy", f"{error.message} Try again in a moment.")
    if not isinstance(error, EntraMisconfigured):
        return sign_in_error(error)
    if isinstance(error, EntraTenantUnknown):  # so it was never Microsoft who named it
        return Conflict(
            "tenant_unknown",
            f"Microsoft does not know the tenant that came back from the consent. {AGAIN}",
            **about(error),
        )
    log.error("registration.refused", aadsts=error.number, trace=error.trace_id)
    return Conflict("prospo_misconfigured", error.message, **about(error))


def _in_own_words(conflict: Conflict) -> Conflict:
    own = _OWN_WORDS.get(conflict.code)
    return Conflict(own.code, own.detail) if own else conflict
