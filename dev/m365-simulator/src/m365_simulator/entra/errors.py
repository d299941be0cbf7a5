"""Entra's refusals: the numbers, the OAuth error each comes with, and the body.

Numbers and meanings are Microsoft's published ones. Which ``error`` and ``suberror`` come with a number is published
for some only and has been seen to differ; the fault ``token_error`` can set both.
"""

from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse

from m365_simulator.clock import real_now
from m365_simulator.core import Simulator


@dataclass(frozen=True, slots=True)
class Known:
    error: str
    text: str
    suberror: str | None = None
    status: int = 400


_GONE = "The provided grant has expired due to it being revoked, a fresh auth token is needed."
_BLOCKED = "Access has been blocked by Conditional Access policies."
_MFA = "Due to a configuration change or a new location, you must use multi-factor authentication."
KNOWN: dict[int, Known] = {
    16000: Known("interaction_required", "Several accounts are signed in; one must be selected."),
    28000: Known("invalid_scope", "The scope contains more than one resource."),
    50011: Known("invalid_request", "The redirect URI of the request does not match those of the application."),
    50020: Known("invalid_grant", "The user account does not exist in the tenant and cannot access the application."),
    50027: Known("invalid_client", "Invalid JWT token.", status=401),
    50034: Known("invalid_grant", "The user account does not exist in the directory."),
    50049: Known("invalid_instance", "Unknown or invalid instance."),
    50057: Known("invalid_grant", "The user account is disabled."),
    50058: Known("login_required", "A silent sign-in request was sent but no user is signed in."),
    50074: Known("interaction_required", "Strong Authentication is required.", "basic_action"),
    50076: Known("invalid_grant", _MFA, "basic_action"),
    50078: Known("interaction_required", "Presented multi-factor authentication has expired.", "basic_action"),
    50079: Known("interaction_required", "You must enroll in multi-factor authentication.", "basic_action"),
    50105: Known("access_denied", "The signed-in user is not assigned to a role for the application."),
    50132: Known("invalid_grant", "The credentials have been revoked: password expired or changed."),
    50133: Known("invalid_grant", "Session is invalid due to expiration or recent password change."),
    50173: Known("invalid_grant", _GONE, "bad_token"),
    50194: Known("invalid_request", "The application is not configured as a multi-tenant application."),
    50196: Known("invalid_grant", "The server terminated an operation because it met a client request loop."),
    53000: Known("interaction_required", "The device is not in required device state: compliant.", "message_only"),
    53001: Known("interaction_required", "The device is not in required device state: domain_joined.", "message_only"),
    53003: Known("invalid_grant", _BLOCKED, "message_only"),
    530032: Known("invalid_grant", "Blocked by the security policy of the tenant.", "message_only"),
    54005: Known("invalid_grant", "OAuth2 Authorization code was already redeemed."),
    500011: Known("invalid_resource", "The resource principal was not found in the tenant."),
    500112: Known("invalid_client", "The reply address does not match the reply address of the code request."),
    501481: Known("invalid_grant", "The Code_Verifier does not match the code_challenge of the authorization request."),
    501491: Known("invalid_request", "The size of the code_challenge parameter is not 43 to 128 characters."),
    65001: Known(
        "invalid_grant", "The user or administrator has not consented to the application.", "consent_required"
    ),
    65004: Known("access_denied", "User declined to consent to access the app."),
    70000: Known("invalid_grant", "The provided grant is invalid or malformed."),
    70003: Known("unsupported_grant_type", "The app returned an unsupported grant type."),
    70007: Known("invalid_request", "The response_mode is not a supported value."),
    70008: Known("invalid_grant", "The provided authorization code or refresh token has expired."),
    70011: Known("invalid_scope", "The provided value for the input parameter 'scope' isn't valid."),
    70043: Known("invalid_grant", "The refresh token is invalid due to sign-in frequency checks.", "bad_token"),
    90002: Known("invalid_request", "Tenant not found."),
    90014: Known("invalid_request", "A required field is missing."),
    90023: Known("invalid_request", "The request is not valid."),
    90033: Known("temporarily_unavailable", "A transient error has occurred. Please try again.", status=503),
    90038: Known("invalid_request", "The tenant lives in another national cloud."),
    90090: Known("temporarily_unavailable", "A transient error has occurred. Please try again.", status=503),
    90094: Known("access_denied", "The grant requires admin permission."),
    90095: Known("access_denied", "Admin consent is required, through a request to the administrators."),
    700005: Known("invalid_grant", "The provided authorization code is intended to use against other tenant."),
    700016: Known("unauthorized_client", "Application was not found in the directory."),
    700022: Known("invalid_scope", "The scope contains more than one resource."),
    700023: Known("invalid_client", "Client assertion audience claim does not match Realm issuer.", status=401),
    700024: Known("invalid_client", "Client assertion is not within its valid time range.", status=401),
    700021: Known("invalid_client", "The assertion's application does not match 'client_id'.", status=401),
    700027: Known("invalid_client", "Client assertion failed signature validation.", status=401),
    700054: Known("unsupported_response_type", "The response_type is not enabled for the application."),
    700082: Known("invalid_grant", "The refresh token has expired due to inactivity.", "token_expired"),
    900144: Known("invalid_request", "The request must contain a parameter that is missing."),
    900382: Known("invalid_request", "Confidential Client is not supported in Cross Cloud request."),
    1002012: Known("invalid_scope", "The scope must be the resource followed by /.default."),
    7000112: Known("unauthorized_client", "The application is disabled."),
    7000215: Known("invalid_client", "Invalid client secret provided.", status=401),
    7000218: Known("invalid_client", "The request must contain 'client_assertion' or 'client_secret'.", status=401),
    7000222: Known("invalid_client", "The provided client secret keys are expired.", status=401),
    7000229: Known("invalid_client", "The client application is missing service principal in the tenant.", status=401),
    9001023: Known("invalid_request", "The grant type is not supported over the /common or /consumers endpoints."),
    9002313: Known("invalid_grant", "Invalid request. Request is malformed or invalid."),
}
UNPROVEN = {50027, 70000, 700021, 700023, 700024, 28000, 9001023, 1002012, 501491, 700054}
"""Numbers that stand here from memory, not from a page."""
FIELDS_OF_FAULT = ("number", "error", "suberror", "status", "text", "claims")


class TokenError(Exception):
    """An AADSTS error by number; what is not given is as the table says."""

    def __init__(
        self,
        number: int,
        text: str | None = None,
        *,
        error: str | None = None,
        suberror: str | None = None,
        status: int | None = None,
        claims: str | None = None,
    ) -> None:
        known = KNOWN.get(number, Known("invalid_grant", "The request was refused."))
        self.text = text or known.text
        super().__init__(self.text)
        self.number, self.error, self.status = number, error or known.error, status or known.status
        self.suberror = known.suberror if suberror is None else suberror or None
        self.claims = claims

    @property
    def described(self) -> str:
        return f"AADSTS{self.number}: {self.text}"


def scripted(row: dict[str, Any]) -> TokenError:
    """The error a fault asks for; an empty ``suberror`` takes the usual one away."""
    given = {name: row[name] for name in FIELDS_OF_FAULT if name in row and name != "number"}
    return TokenError(int(row.get("number", 50173)), **given)


def error_answer(simulator: Simulator, error: TokenError, correlation: str | None = None) -> JSONResponse:
    """The body of the token endpoint, and of discovery."""
    trace, correlation = simulator.ids.passing(), correlation or simulator.ids.passing()
    now = f"{real_now():%Y-%m-%d %H:%M:%SZ}"
    ending = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    body: dict[str, Any] = {
        "error": error.error,
        "error_description": f"{error.described} {ending}",
        "error_codes": [error.number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{simulator.settings.https_base_url}/error?code={error.number}",
    }
    body |= {name: value for name in ("suberror", "claims") if (value := getattr(error, name))}
    return JSONResponse(body, error.status, {"Cache-Control": "no-store"})
