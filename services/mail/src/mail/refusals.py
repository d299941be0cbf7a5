"""Reasons why a mail is not sent: one code and one sentence with the remedy each."""

from dataclasses import replace

from mail.tables import OutgoingMail
from shared.connections import CONNECTOR_PLACE, HEARD_OF, Obstacle, Obstructed, Switch, obstacle_of
from shared.connections.obstacles import PERMISSION_MISSING
from shared.events.mail import FailureCode
from shared.graph.errors import GraphError

SWITCH: Switch = "outlook_email"
Problem = dict[str, str]
_NO_CONSENT = "Your organisation's consent at Microsoft does not hold the permissions for mail"
_CONSENT = (
    f"An Org Admin opens {CONNECTOR_PLACE} and chooses Consent again; a Microsoft 365 administrator accepts the "
    "permissions for everybody"
)

_AGAIN = "Nothing was sent."
_BY_CODE: dict[str, tuple[FailureCode, str]] = {
    "errorinvalidrecipients": (
        "recipients_refused",
        f"Microsoft refuses one of the addresses. {_AGAIN} Correct the addresses and write the mail again.",
    ),
    "errormessagesizeexceeded": (
        "too_large",
        f"The mail with its files is larger than your organisation allows. {_AGAIN} Send fewer or smaller files.",
    ),
    "errorsendasdenied": (
        "send_as_denied",
        f"Microsoft does not let this account send mail. {_AGAIN} Ask your Microsoft 365 administrator to allow it.",
    ),
    "mailboxnotenabledforrestapi": (
        "no_mailbox",
        f"Your Microsoft account has no mailbox in Exchange Online. {_AGAIN} Ask your administrator for one.",
    ),
    "errorquotaexceeded": (
        "mailbox_full",
        f"Your mailbox is full, so Microsoft cannot keep the mail. {_AGAIN} Make room in Outlook, then send it again.",
    ),
}
_BY_CODE["mailboxnotsupportedforrestapi"] = _BY_CODE["mailboxnotenabledforrestapi"]

WAITED_TOO_LONG: tuple[FailureCode, str] = (
    "waited_too_long",
    f"The mail could not be sent within a day. {_AGAIN} Look whether it is still right, then send it again.",
)
AWAY: tuple[FailureCode, str] = (
    "microsoft_unavailable",
    f"Microsoft did not answer in time, after several attempts. {_AGAIN} Send it again later.",
)
NOT_SENT: tuple[FailureCode, str] = (
    "not_sent",
    f"Microsoft was asked several times and left the mail in Drafts. {_AGAIN} Send it again, or from Outlook.",
)
DRAFT_GONE: tuple[FailureCode, str] = (
    "draft_gone",
    f"The draft was deleted in Outlook before it was sent. {_AGAIN} Send it again if it is still wanted.",
)
ORIGINAL_GONE: tuple[FailureCode, str] = (
    "original_gone",
    f"The message that this mail answers is not in your mailbox any more. {_AGAIN} Write a new mail.",
)
FILE_GONE: tuple[FailureCode, str] = (
    "file_gone",
    f"A file of the mail is not there any more. {_AGAIN} Upload it again and write the mail again.",
)
CHECKING: Problem = {
    "code": "answer_lost",
    "detail": "Microsoft's answer was lost, so Prospo looks in Drafts and Sent Items whether the mail went out. This "
    "takes up to {minutes} minutes. It is not sent twice; there is nothing for you to do.",
}
NOT_FOUND: Problem = {
    "code": "outcome_unknown",
    "detail": "Microsoft's answer was lost, and the mail is neither in Drafts nor in Sent Items. It may have been "
    "sent. Ask a recipient, or open Sent Items in Outlook. Prospo sends it again only when you say so.",
}


def refused(error: GraphError) -> tuple[FailureCode, str]:
    """Why Microsoft does not send the mail, where no connection mends it."""
    for code in (error.code.lower(), error.inner_code.lower()):
        if code in _BY_CODE:
            return _BY_CODE[code]
    if error.status == 413:
        return _BY_CODE["errormessagesizeexceeded"]
    return "microsoft_refused", f"Microsoft refused the mail. {_AGAIN} It says: {error.message}"


def waits_for(error: Exception, row: OutgoingMail) -> Problem | None:
    """The problem that a connection or a switch would solve; None where waiting does not help."""
    found = obstacle_of(error)
    if isinstance(error, GraphError) and error.code.lower() in _BY_CODE:
        return None
    if found is None or found.code not in HEARD_OF:
        return None
    then = "the mail is then sent by itself" if row.status == "queued" else "Prospo then looks what became of the mail"
    if found.code == PERMISSION_MISSING.code:
        found = consent_missing(found)
    return {"code": found.code, "detail": found.sentence(then)}


def consent_missing(found: Obstacle) -> Obstacle:
    """A permission for mail is the organisation's to give."""
    return replace(found, state=_NO_CONSENT, remedy=_CONSENT, who="org_admin")


def stopped(error: Obstructed | GraphError) -> tuple[FailureCode, str]:
    """Why the mail is not sent at all."""
    if isinstance(error, GraphError) and error.code.lower() in _BY_CODE:
        return refused(error)
    found = obstacle_of(error)
    if found is not None:
        code: FailureCode = "another_account" if found.code == "another_account" else "admin_required"
        return code, f"{found.sentence()} {_AGAIN}"
    assert isinstance(error, GraphError)  # noqa: S101 - an obstacle is known of the other
    return refused(error)
