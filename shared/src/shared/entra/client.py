"""Microsoft Entra through MSAL: one confidential client per call, asked where the settings say and nowhere else.

MSAL blocks, so call it in a thread (``asyncio.to_thread``). It keeps 400 answers of the token endpoint for a minute per
instance; every call here has an instance of its own, so a retry really asks again. MSAL verifies no id_token.

The credential of the application and people's refresh tokens go to the authority's own hosts only: a redirect is not
followed, and a discovery document that names the hosts of another cloud, or of nobody, is refused.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msal
import requests
import structlog

from shared.clouds import ARTEFACT_PERMISSIONS, cloud_of_host
from shared.entra.aadsts import (
    NUMBERS,
    EntraError,
    EntraMisconfigured,
    EntraOtherCloud,
    EntraReconnect,
    EntraRetry,
    EntraTenantUnknown,
    refusal,
)
from shared.entra.credentials import Credential, credentials
from shared.graph.refusals import said_wait_s
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

log = structlog.get_logger(__name__)

TIMEOUT_S = 15
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
_DISCOVERY = "/.well-known/openid-configuration"
_NOT_MICROSOFT = "Something that is not Microsoft's sign-in answered in its place (HTTP {status}). It is tried again."
_NO_CREDENTIAL = "Prospo has no credential for Microsoft that can be read. Its operator finds the reason in the log."
_TROUBLED = {408, 429}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Http(requests.Session):
    """What MSAL asks with. Only answers that Microsoft's sign-in gives get through to it; the others are said here.

    MSAL would log a body that is no JSON, follow a redirect with the credential, and keep no number of a 5xx.
    """

    def request(self, method: str, url: str | bytes, *args: Any, **more: Any) -> requests.Response:
        more |= {"timeout": TIMEOUT_S, "allow_redirects": False}
        answer = super().request(method, url, *args, **more)
        refused = _unusable(str(url), answer)
        if refused is None:
            return answer
        del answer  # an error that is kept would keep the connection open
        raise refused


def _unusable(url: str, answer: requests.Response) -> EntraError | None:
    status, said = answer.status_code, _read(answer)
    if status >= 500 or status in _TROUBLED:
        return _busy(answer, said)
    if said is None or 300 <= status < 400:
        return EntraRetry(_NOT_MICROSOFT.format(status=status))
    return _no_discovery(said) if status >= 400 and url.endswith(_DISCOVERY) else None


def _read(answer: requests.Response) -> dict[str, Any] | None:
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _busy(answer: requests.Response, said: dict[str, Any] | None) -> EntraRetry:
    """An answer with one of these says nothing about the account or the registration, whatever its body says."""
    known = refusal(said or {})
    message = f"Microsoft's sign-in is busy right now (HTTP {answer.status_code}). It is tried again."
    after_s = said_wait_s(answer.headers)
    return EntraRetry(message, number=known.number, error=known.error, trace_id=known.trace_id, after_s=after_s)


def _no_discovery(said: dict[str, Any]) -> EntraError:
    """Discovery refuses tenants only: it proves no application."""
    known = refusal(said)
    if isinstance(known, EntraOtherCloud):
        return known
    message = NUMBERS[90002][1]
    return EntraTenantUnknown(message, number=known.number, error=known.error, trace_id=known.trace_id)


class Entra:
    """Microsoft's sign-in as this platform's registered application."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._used: str | None = None

    def authority(self, tid: str) -> str:
        """``https://login.microsoftonline.com/<tid>`` or what stands for it; also the prefix of the token issuer."""
        return f"{self._settings.entra_authority.rstrip('/')}/{tid}"

    def page_authority(self, tid: str) -> str:
        """The authority whose pages a browser opens."""
        return f"{(self._settings.entra_page_authority or self._settings.entra_authority).rstrip('/')}/{tid}"

    def issuer(self, tid: str) -> str:
        """``iss`` of the tenant's id_tokens."""
        return self._settings.token_issuers(tid)[1]

    @property
    def graph_default(self) -> list[str]:
        """The scope that asks for all that is registered, of the cloud's Graph."""
        return [f"{self._settings.microsoft.graph}/.default"]

    def scopes(self, permissions: Iterable[str]) -> list[str]:
        """Delegated permissions as this cloud wants them named, without those it does not have.

        Short names are valid everywhere; outside the global cloud the resource is named all the same.
        """
        cloud = self._settings.microsoft
        there = [name for name in permissions if cloud.artefacts or name not in ARTEFACT_PERMISSIONS]
        return there if self._settings.cloud == "global" else [f"{cloud.graph}/{name}" for name in there]

    def ask(
        self,
        tid: str,
        call: Callable[[msal.ConfidentialClientApplication], dict[str, Any] | None],
        cache: msal.TokenCache | None = None,
    ) -> dict[str, Any] | None:
        """Run ``call`` with the first credential that Entra accepts, and return MSAL's result. Blocks.

        Only a refusal of the credential itself is asked again with the next one.
        """
        said: dict[str, Any] | None = None
        for credential in self._in_turn():
            with self.application(tid, cache, credential) as application:
                said = _asked(call, application)
            refused = _of_credential(said or {})
            if refused is None:
                self._used = credential.name
                return said
            log.error("credential.refused", credential=credential.name, aadsts=refused.number)
        return said

    def tenant_id(self, name: str) -> str:
        """The id of the tenant that has this domain, or id; blocks. Raises ``EntraError``.

        Its discovery document, asked for by any of its names, has the id in the address of the token endpoint.
        """
        with self.application(name) as application:
            found = str(application.authority.tenant).lower()
        if not _GUID.fullmatch(found):
            raise EntraMisconfigured("Microsoft's sign-in names a tenant without its id. Tell the operator.")
        return found

    def begin_sign_in(
        self,
        tid: str,
        scopes: Iterable[str],
        *,
        redirect_uri: str,
        state: str,
        prompt: str | None = None,
        login_hint: str | None = None,
        exclude_scopes: list[str] | None = None,
        claims_challenge: str | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """The address for the browser, and MSAL's flow to keep secret until the answer; blocks.

        Code flow with PKCE and a nonce. ``claims_challenge`` (JSON) is asked for beside our own capabilities, here and
        when the code is redeemed. Raises ``EntraError``.
        """
        with self.application(tid, exclude_scopes=exclude_scopes) as application:
            # MSAL warns through the process-wide warnings registry unless asked for form_post. Our callbacks are GETs
            # of the console, whose SameSite=Lax cookie would not come with Microsoft's POST: so query in its place.
            flow = application.initiate_auth_code_flow(
                list(scopes),
                redirect_uri=redirect_uri,
                state=state,
                prompt=prompt,
                login_hint=login_hint,
                claims_challenge=claims_challenge,
                response_mode="form_post",
            )
        address = str(flow.pop("auth_uri")).replace("response_mode=form_post", "response_mode=query")
        return address, flow

    def end_sign_in(
        self, tid: str, flow: dict[str, Any], answer: dict[str, str], cache: msal.TokenCache | None = None
    ) -> dict[str, Any]:
        """Redeem the answer of a sign-in. The id_token in the result is not verified yet. Raises ``EntraError``."""
        try:
            said = self.ask(tid, lambda app: app.acquire_token_by_auth_code_flow(dict(flow), answer), cache) or {}
        except RuntimeError:  # MSAL's word for a wrong nonce; its message holds the nonce, so it is dropped
            message = "Microsoft's answer belongs to another sign-in."
            raise EntraReconnect(message, error="nonce_mismatch") from None
        except TypeError:  # and for a member of another type
            raise EntraRetry("Microsoft's answer cannot be read.") from None
        if "error" in said:
            raise refusal(said)
        return said

    def _in_turn(self) -> list[Credential]:
        """The one that served last before the others."""
        try:
            return sorted(credentials(self._settings), key=lambda one: one.name != self._used)
        except ConfigurationError as error:
            log.error("credential.missing", reason=str(error))  # noqa: TRY400 - the reason says it all
            raise EntraMisconfigured(_NO_CREDENTIAL) from error

    @contextlib.contextmanager
    def application(
        self,
        tid: str,
        cache: msal.TokenCache | None = None,
        credential: Credential | None = None,
        exclude_scopes: list[str] | None = None,
    ) -> Iterator[msal.ConfidentialClientApplication]:
        """A client of one tenant. Blocking, also to make: it reads Entra's discovery document.

        MSAL asks for openid, profile and offline_access with every sign-in, but for ``exclude_scopes``.
        Raises ``EntraRetry`` when Microsoft cannot be reached, ``EntraTenantUnknown`` or ``EntraOtherCloud``.
        """
        proof = (credential or self._in_turn()[0]).proof
        with _Http() as session:
            session.trust_env = False  # a REQUESTS_CA_BUNDLE of the environment would win over our own
            session.verify = str(self._settings.ca_bundle) if self._settings.ca_bundle else True
            try:
                yield self._made(tid, cache, proof, session, exclude_scopes)
            except (requests.RequestException, msal.exceptions.MsalServiceError) as error:
                raise EntraRetry(f"Microsoft's sign-in cannot be reached ({type(error).__name__}).") from error

    def _made(
        self, tid: str, cache: msal.TokenCache | None, proof: Any, session: _Http, exclude_scopes: list[str] | None
    ) -> msal.ConfidentialClientApplication:
        try:
            made = msal.ConfidentialClientApplication(
                self._settings.client_id,
                client_credential=proof,
                authority=self.authority(tid),
                token_cache=cache,
                http_client=session,
                instance_discovery=False,  # the authority is the operator's setting, not a caller's input
                client_capabilities=["cp1"],
                exclude_scopes=exclude_scopes,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # MSAL's words for a discovery document without what it must hold, and for an address that is none.
            raise EntraMisconfigured(f"Microsoft's sign-in refused the tenant {tid}. Tell the operator.") from error
        self._check_host(str(made.authority.token_endpoint))
        return made

    def _check_host(self, endpoint: str) -> None:
        """Our credential goes nowhere but to the authority that is set, or another host of its cloud."""
        host = str(urlsplit(endpoint).hostname)
        if host in {urlsplit(self._settings.entra_authority).hostname, *self._settings.microsoft.sign_in_hosts}:
            return
        if cloud_of_host(host) is not None:
            raise EntraOtherCloud(NUMBERS[90038][1])
        raise EntraMisconfigured("Microsoft's sign-in names a host that is not its own. Tell the operator.")


def _of_credential(said: dict[str, Any]) -> EntraError | None:
    """The refusal of the credential itself: Entra says ``invalid_client`` of a tenant that does not know us, too."""
    if said.get("error") != "invalid_client":
        return None
    refused = refusal(said)
    return refused if type(refused) is EntraMisconfigured else None


def _asked(
    call: Callable[[msal.ConfidentialClientApplication], dict[str, Any] | None],
    application: msal.ConfidentialClientApplication,
) -> dict[str, Any] | None:
    try:
        return call(application)
    except ValueError as error:  # MSAL's word for an answer that does not fit what was asked; it may quote secrets
        raise EntraReconnect("Microsoft's answer belongs to another sign-in.", error=type(error).__name__) from None
