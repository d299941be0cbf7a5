"""Microsoft Entra through MSAL: one confidential client per call, and its refusals by what the caller does next.

MSAL blocks, so call it in a thread (``asyncio.to_thread``). It keeps 400 answers of the token endpoint for a minute per
instance; every call here has an instance of its own, so a retry really asks again. MSAL verifies no id_token.

EntraError
├── EntraRetry          Microsoft is busy or not reachable: try again
├── EntraReconnect      the user must sign in again
├── EntraTellAdmin      an administrator of the customer's tenant must act
├── EntraTenantGone     the tenant does not know our application (any more)
└── EntraMisconfigured  our own registration, secret or settings are wrong: tell the operator
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_plus

import msal
import requests
import structlog

from shared.credentials import Credential, credentials
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

TIMEOUT_S = 15
GRAPH_DEFAULT = ["https://graph.microsoft.com/.default"]
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"

# Meaning of the numbers: Entra's published error reference; the OAuth ``error`` decides where a number is not listed.
_TENANT_GONE = {700016, 7000112}
_ADMIN = {
    65001: "Your organisation has not allowed Prospo to do this yet. Ask an Org Admin to connect Microsoft 365 again.",
    90094: "Only an administrator of your Microsoft 365 can allow this. Ask one to connect Microsoft 365 in Prospo.",
    90095: "Your organisation wants to approve Prospo first. Ask your Microsoft 365 administrator.",
    50105: "Your administrator has not assigned Prospo to you in Microsoft Entra. Ask to be assigned.",
    53000: "Your organisation's access rules do not accept this device. Ask your Microsoft 365 administrator.",
    53001: "Your organisation's access rules do not accept this device. Ask your Microsoft 365 administrator.",
    53003: "Your organisation's access rules block this sign-in. Ask your Microsoft 365 administrator.",
    530032: "Your organisation's security policy blocks this sign-in. Ask your Microsoft 365 administrator.",
}
_RECONNECT = {
    50173: "Microsoft ended this connection because the password or the sessions were reset.",
    700082: "Microsoft ended this connection because it was not used for 90 days.",
    70043: "Your organisation asks for a new sign-in from time to time, and it is time.",
    50132: "Microsoft ended this connection because the password expired or was changed.",
    50133: "Microsoft ended this connection because the password expired or was changed.",
    50076: "Microsoft wants a second factor for this sign-in.",
    50079: "Microsoft wants you to set up a second factor.",
    50074: "Microsoft wants a second factor for this sign-in.",
    50078: "The second factor of this sign-in is too old.",
    50057: "This Microsoft account is disabled.",
    50034: "This Microsoft account does not exist any more.",
    54005: "This sign-in was used already.",
    70008: "This sign-in took too long.",
    700081: "Microsoft ended this connection because it reached the longest life your organisation allows.",
}
_TRANSIENT = {90033, 90090, 50196}
_NUMBER = re.compile(r"AADSTS(\d+)")


class EntraError(Exception):
    """A refusal; ``message`` is for people, ``number`` is Microsoft's AADSTS number or 0, ``trace_id`` for support.

    ``claims`` (JSON, or empty) is what the next sign-in has to ask for.
    """

    def __init__(
        self,
        message: str,
        *,
        number: int = 0,
        error: str = "",
        suberror: str = "",
        trace_id: str = "",
        claims: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.number = number
        self.error = error
        self.suberror = suberror
        self.trace_id = trace_id
        self.claims = claims


class EntraRetry(EntraError):
    """Microsoft is busy or not reachable."""


class EntraReconnect(EntraError):
    """The user must sign in again."""


class EntraTellAdmin(EntraError):
    """An administrator of the customer's tenant must act."""


class EntraTenantGone(EntraError):
    """The tenant does not know the application, or has disabled it."""


class EntraMisconfigured(EntraError):
    """Our registration, secret or settings are wrong."""


def refusal(said: dict[str, Any]) -> EntraError:
    """The error of a token answer or a redirect (``error``, ``error_description``, ``error_codes``, ``suberror``)."""
    error, suberror = str(said.get("error") or ""), str(said.get("suberror") or said.get("classification") or "")
    number = _number(said)
    kind, message = _meaning(number, error, suberror)
    about = {name: str(said.get(name) or "") for name in ("trace_id", "claims")}
    return kind(message, number=number, error=error, suberror=suberror, **about)


def _number(said: dict[str, Any]) -> int:
    """Of several numbers the one we know: Microsoft puts a general one before the reason."""
    codes = said.get("error_codes") or _NUMBER.findall(str(said.get("error_description") or ""))
    numbers = [int(code) for code in codes if str(code).isdigit()] if isinstance(codes, list) else []
    known = {*_TENANT_GONE, *_ADMIN, *_RECONNECT, *_TRANSIENT}
    return next((number for number in numbers if number in known), numbers[0] if numbers else 0)


def is_listed(refused: EntraError) -> bool:
    """Whether it is published what this refusal means; ``invalid_grant`` alone is also said of passing troubles."""
    said = {refused.error, refused.suberror} & {"interaction_required", "login_required", "consent_required"}
    return bool(said) or refused.number in {*_TENANT_GONE, *_ADMIN, *_RECONNECT, *_TRANSIENT}


def granted_scopes(said: dict[str, Any]) -> frozenset[str]:
    """The permissions a token answer names, in lower case and without their resource; some answers percent-encode."""
    words = unquote_plus(str(said.get("scope") or "")).split()
    return frozenset(word.rsplit("/", 1)[-1].casefold() for word in words)


def _meaning(number: int, error: str, suberror: str) -> tuple[type[EntraError], str]:
    if number in _TENANT_GONE:
        return EntraTenantGone, "Your Microsoft 365 does not know Prospo (any more). Connect the organisation again."
    if number in _TRANSIENT or error in {"temporarily_unavailable", "server_error"}:
        return EntraRetry, "Microsoft's sign-in is busy right now. It is tried again."
    if number in _ADMIN or suberror == "consent_required" or error == "consent_required":
        return EntraTellAdmin, _ADMIN.get(number, _ADMIN[65001])
    if error == "access_denied":
        return EntraReconnect, "The permissions were not accepted. Start again and accept them."
    if number in _RECONNECT or error in {"invalid_grant", "interaction_required", "login_required"}:
        return EntraReconnect, _RECONNECT.get(number, "Microsoft asks you to sign in again.")
    return EntraMisconfigured, f"Prospo's registration at Microsoft is not right (AADSTS{number}). Tell the operator."


class Entra:
    """Microsoft's sign-in as this platform's registered application."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._used: str | None = None

    def authority(self, tid: str) -> str:
        """``https://login.microsoftonline.com/<tid>`` or what stands for it; also the prefix of the token issuer."""
        return f"{self._settings.entra_authority.rstrip('/')}/{tid}"

    def page_authority(self, tid: str) -> str:
        """Where a browser opens Microsoft's pages."""
        return f"{(self._settings.entra_page_authority or self._settings.entra_authority).rstrip('/')}/{tid}"

    def ask(
        self,
        tid: str,
        call: Callable[[msal.ConfidentialClientApplication], dict[str, Any] | None],
        cache: msal.TokenCache | None = None,
    ) -> dict[str, Any] | None:
        """What ``call`` got from MSAL, by the first credential that Entra accepts; blocks.

        Only a refusal of the credential itself (``invalid_client``) is asked again with the next one.
        """
        said: dict[str, Any] | None = None
        for credential in self._in_turn():
            with self.application(tid, cache, credential) as application:
                said = call(application)
            if said is None or said.get("error") != "invalid_client":
                self._used = credential.name
                return said
            number = refusal(said).number
            log.error("Entra refuses a credential of the application", credential=credential.name, aadsts=number)
        return said

    def _in_turn(self) -> list[Credential]:
        """The one that served last before the others."""
        try:
            return sorted(credentials(self._settings), key=lambda one: one.name != self._used)
        except ConfigurationError as error:
            raise EntraMisconfigured(f"{error} Tell the operator.") from error

    @contextlib.contextmanager
    def application(
        self, tid: str, cache: msal.TokenCache | None = None, credential: Credential | None = None
    ) -> Iterator[msal.ConfidentialClientApplication]:
        """A client of one tenant. Blocking, also to make: it reads Entra's discovery document.

        Raises ``EntraRetry`` when Microsoft cannot be reached.
        """
        proof = (credential or self._in_turn()[0]).proof
        with requests.Session() as session:
            session.trust_env = False  # a REQUESTS_CA_BUNDLE of the environment would win over our own
            session.verify = str(self._settings.ca_bundle) if self._settings.ca_bundle else True
            session.request = functools.partial(session.request, timeout=TIMEOUT_S)  # type: ignore[method-assign]
            try:
                yield msal.ConfidentialClientApplication(
                    self._settings.client_id,
                    client_credential=proof,
                    authority=self.authority(tid),
                    token_cache=cache,
                    http_client=session,
                    instance_discovery=False,  # the authority is the operator's setting, not a caller's input
                    client_capabilities=["cp1"],
                )
            except (requests.RequestException, msal.exceptions.MsalServiceError) as error:
                # The second is MSAL's word for an answer of 500 and above.
                raise EntraRetry(f"Microsoft's sign-in cannot be reached ({type(error).__name__}).") from error
            except ValueError as error:
                # MSAL's word for a discovery document that is missing or refused, as for a tenant that does not exist.
                raise EntraMisconfigured(f"Microsoft's sign-in refused the tenant {tid}.") from error
