"""Our words for what the API of mail answers."""

from typing import Any

from console.backend import Json

MAIL_STATUSES = {
    "queued": ("Waiting to be sent", "busy", "clock"),
    "sending": ("Being sent", "busy", "clock"),
    "accepted": ("Microsoft has it", "good", "check"),
    "seen_in_sent": ("Sent", "good", "check"),
    "looked_for": ("Prospo looks whether it went out", "warn", "clock"),
    "outcome_unknown": ("Not known whether it went out", "warn", "warn"),
    "in_step": ("Up to date", "good", "check"),
    "stopped": ("Stopped", "bad", "cross"),
    "no_mailbox": ("No mailbox", "bad", "cross"),
    "waiting_for_round": ("Waiting for its first look", "neutral", "clock"),
    "read": ("Read", "good", "check"),
    "problem": ("Cannot be read", "bad", "cross"),
    "waiting_folder": ("Waiting", "neutral", "clock"),
    "reading_folder": ("Being read", "busy", "clock"),
}
MAIL_NEWS = {
    "sending": "Microsoft is being asked to send the mail.",
    "accepted": "Microsoft has the mail.",
    "seen_in_sent": "The mail is sent: it is in your Sent Items.",
    "failed": "The mail was not sent; the page says why.",
    "cancelled": "The mail is cancelled.",
    "looked_for": "Microsoft's answer was lost; Prospo looks whether the mail went out.",
    "outcome_unknown": "It is not known whether the mail went out; the page says what to do.",
}
MAIL_STEPS = {
    "drafted": "Prospo made a draft in Outlook",
    "composed": "The draft has its text",
    "file_attached": "A file is attached",
    "sending": "Prospo asked Microsoft to send it",
    "accepted": "Microsoft took it",
    "seen_in_sent": "It is in Sent Items",
    "refused": "Microsoft refused a step",
    "answer_lost": "Microsoft's answer was lost",
    "still_a_draft": "It was still a draft",
    "failed": "It was given up",
    "cancelled": "You cancelled it",
    "send_again": "You had it sent again",
}
"""What a line of a mail's history tells; others are shown as they are."""
SKIPPED = {
    "no_contact": "none of your contacts takes part",
    "draft": "drafts",
    "too_old": "older than your organisation keeps mail in Prospo",
    "text_too_large": "kept without their text, which is too large",
}
"""Why a message of the mailbox is not kept; others are shown as they are."""


def mail_status(mail: Json) -> str:
    """The status of a mail, where being looked for is told from being given up."""
    if mail["status"] != "unknown":
        return str(mail["status"])
    return "outcome_unknown" if mail["may_send_again"] else "looked_for"


def people(given: list[dict[str, Any]]) -> str:
    """``Ben Berg, carl@x.example and 3 more``; an address may be called ``address`` or ``email``."""
    names = [str(one.get("name") or one.get("address") or one.get("email") or "") for one in given]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
