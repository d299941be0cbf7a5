"""What Entra's refusals mean: every AADSTS number we know by what the caller does next, and the words for people.

EntraError
├── EntraRetry              Microsoft is busy, not reachable, or something else answered: try again
├── EntraReconnect          the user must sign in again; callers add where
├── EntraTellAdmin          an administrator of the customer's tenant must act
│   └── EntraOtherCloud     the tenant is in another of Microsoft's clouds than this platform
├── EntraTenantGone         the tenant does not know our application (any more)
└── EntraMisconfigured      our own registration, secret or settings are wrong: tell the operator
    └── EntraTenantUnknown  Microsoft does not know the tenant: never there, or deleted

Numbers and their meaning are of Entra's published error reference. Which OAuth ``error`` and ``suberror`` come with a
number is published for some only and seen to differ, so a known number decides, and the words decide for the others.
"""

import re
from typing import Any

from shared.jobs.again import Again


class EntraError(Exception):
    """A refusal; ``message`` is for people, ``number`` is Microsoft's AADSTS number or 0, ``trace_id`` for support.

    ``claims`` (JSON, or empty) is what the next sign-in has to ask for; ``after_s`` is how long Microsoft wants to be
    left alone, if it said. Nothing of what was sent is in it, and of what was answered only these.
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
        after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.number = number
        self.error = error
        self.suberror = suberror
        self.trace_id = trace_id
        self.claims = claims
        self.after_s: float | None = after_s


class EntraRetry(EntraError, Again):
    """Microsoft is busy or not reachable. A job tries again for as long as it is patient."""

    counts = False


class EntraReconnect(EntraError):
    """The user must sign in again."""


class EntraTellAdmin(EntraError):
    """An administrator of the customer's tenant must act."""


class EntraOtherCloud(EntraTellAdmin):
    """The tenant lives in another national cloud; tokens do not cross clouds."""


class EntraTenantGone(EntraError):
    """The tenant does not know the application, or has disabled it."""


class EntraMisconfigured(EntraError):
    """Our registration, secret or settings are wrong."""


class EntraTenantUnknown(EntraMisconfigured):
    """Microsoft does not know the tenant. Of one that was connected it says that it was deleted."""


Meaning = tuple[type[EntraError], str]
_BUSY = "Microsoft's sign-in is busy right now. It is tried again."
_ASK = "Ask your Microsoft 365 administrator."
_NOT_ALLOWED = (
    "Your organisation has not allowed Prospo to do this yet. Ask an Org Admin to connect Microsoft 365 again."
)
_ADMIN_ONLY = "Only an administrator of your Microsoft 365 can allow this. Ask one to connect Microsoft 365 in Prospo."
_DEVICE = f"Your organisation's access rules do not accept this device. {_ASK}"
_BLOCKED = f"Your organisation's access rules block this sign-in. {_ASK}"
_PASSWORD = "Microsoft ended this connection because the password expired or was changed."  # noqa: S105 - a sentence
_SECOND_FACTOR = "Microsoft wants a second factor for this sign-in."
_DECLINED = "The permissions were not accepted. Start again and accept them."
_GONE = "Your Microsoft 365 does not know Prospo (any more). Connect the organisation again."
_INACTIVE = (
    "Microsoft has blocked your organisation's tenant because it was not used for long. Ask an administrator of it to "
    "have it reactivated by Microsoft's support; Microsoft deletes it 20 days after it was blocked."
)
_OTHER_CLOUD = (
    "Your Microsoft 365 is in another of Microsoft's national clouds than this Prospo, and they do not work together. "
    "Ask your Microsoft 365 administrator which cloud it is, and use the Prospo of that cloud."
)
_UNKNOWN = (
    "Microsoft does not know the tenant of this organisation (any more). Ask an Org Admin to connect Microsoft 365 "
    "again, with the tenant your organisation has now."
)
_WHO: dict[type[EntraError], dict[int, str]] = {
    EntraRetry: dict.fromkeys((90033, 90090, 50196), _BUSY),
    EntraReconnect: {
        50173: "Microsoft ended this connection because the password or the sessions were reset.",
        700082: "Microsoft ended this connection because it was not used for 90 days.",
        700081: "Microsoft ended this connection because it reached the longest life your organisation allows.",
        70043: "Your organisation asks for a new sign-in from time to time, and it is time.",
        70008: "This sign-in took too long.",
        50132: _PASSWORD,
        50133: _PASSWORD,
        50076: _SECOND_FACTOR,
        50074: _SECOND_FACTOR,
        50079: "Microsoft wants you to set up a second factor.",
        50078: "The second factor of this sign-in is too old.",
        50034: "This Microsoft account does not exist any more.",
        65004: _DECLINED,
        501481: "This answer of Microsoft belongs to another sign-in.",
        54005: "This sign-in was used already.",
        700005: "This answer of Microsoft is of another organisation's sign-in.",
    },
    EntraTellAdmin: {
        65001: _NOT_ALLOWED,
        90094: _ADMIN_ONLY,
        90095: f"Your organisation wants to approve Prospo first. {_ASK}",
        50105: "Your administrator has not assigned Prospo to you in Microsoft Entra. Ask to be assigned.",
        50057: f"This Microsoft account is disabled. {_ASK}",
        53000: _DEVICE,
        53001: _DEVICE,
        53003: _BLOCKED,
        5000225: _INACTIVE,
        530032: f"Your organisation's security policy blocks this sign-in. {_ASK}",
    },
    EntraOtherCloud: dict.fromkeys((90038, 90043, 900382, 900383, 900384), _OTHER_CLOUD),
    # 7000229 comes as invalid_client, though nothing is wrong with the credential.
    EntraTenantGone: dict.fromkeys((700016, 7000112, 7000229), _GONE),
    EntraTenantUnknown: {90002: _UNKNOWN},
}
_OPERATOR = {
    7000215: "the secret is wrong",
    7000222: "the secret has expired",
    7000218: "no secret or certificate was sent",
    700027: "the certificate it was signed with is not registered",
    50011: "the address people come back to is not registered",
    500011: "Microsoft Graph is not known there as it was named",
    70011: "a permission it asks for is not known",
    700022: "it asks for permissions of more than one API",
    50194: "it is not made for several organisations",
    9001023: "the sign-in's address names no tenant",
}
_SUBERRORS: dict[str, Meaning] = {
    "consent_required": (EntraTellAdmin, _NOT_ALLOWED),
    "message_only": (EntraTellAdmin, _BLOCKED),
    "protection_policy_required": (EntraTellAdmin, f"Your organisation wants apps to be protected first. {_ASK}"),
    "device_authentication_failed": (EntraTellAdmin, _DEVICE),
    "user_password_expired": (EntraReconnect, _PASSWORD),
}
_ERRORS: dict[str, Meaning] = {
    "temporarily_unavailable": (EntraRetry, _BUSY),
    "server_error": (EntraRetry, _BUSY),
    "consent_required": (EntraTellAdmin, _NOT_ALLOWED),
    "access_denied": (EntraReconnect, _DECLINED),
    "invalid_grant": (EntraReconnect, "Microsoft asks you to sign in again."),
    "interaction_required": (EntraReconnect, "Microsoft asks you to sign in again."),
    "login_required": (EntraReconnect, "Microsoft asks you to sign in again."),
}
NUMBERS: dict[int, Meaning] = {
    **{number: (kind, words) for kind, meant in _WHO.items() for number, words in meant.items()},
    **{
        number: (
            EntraMisconfigured,
            f"Prospo's registration at Microsoft is not right: {what} (AADSTS{number}). Tell the operator.",
        )
        for number, what in _OPERATOR.items()
    },
}
"""AADSTS number → who acts next, and the sentence."""

_OAUTH_ERROR = re.compile(r"[a-z_]{1,64}")
_NUMBER = re.compile(r"AADSTS(\d{4,9})")
_TRACE = re.compile(r"Trace ID: ([0-9a-fA-F-]{36})")


def refusal(said: dict[str, Any]) -> EntraError:
    """The error of a token answer or a redirect (``error``, ``error_description``, ``error_codes``, ``suberror``)."""
    error, suberror = str(said.get("error") or ""), str(said.get("suberror") or said.get("classification") or "")
    number = number_in(said)
    kind, message = _meaning(number, error, suberror)
    claims = str(said.get("claims") or "")
    return kind(message, number=number, error=error, suberror=suberror, trace_id=_trace(said), claims=claims)


def number_in(said: dict[str, Any]) -> int:
    """The AADSTS number of a refusal, 0 without one. Of several it is the one we know: Microsoft puts a general one
    before the reason."""
    codes = said.get("error_codes")
    given = codes if isinstance(codes, list) and codes else _NUMBER.findall(str(said.get("error_description") or ""))
    numbers = [int(code) for code in given if str(code).isdigit()]
    return next((number for number in numbers if number in NUMBERS), numbers[0] if numbers else 0)


def _trace(said: dict[str, Any]) -> str:
    """A redirect has it in its description only."""
    found = _TRACE.search(str(said.get("error_description") or ""))
    return str(said.get("trace_id") or (found[1] if found else ""))


def _meaning(number: int, error: str, suberror: str) -> Meaning:
    known = NUMBERS.get(number) or _SUBERRORS.get(suberror) or _ERRORS.get(error)
    if known is not None:
        return known
    # A redirect's words can be anybody's: only what looks like an OAuth error is repeated to people.
    said = error if _OAUTH_ERROR.fullmatch(error) else "Microsoft gave no reason"
    what = f"AADSTS{number}" if number else said
    return EntraMisconfigured, f"Prospo's registration at Microsoft is not right ({what}). Tell the operator."
