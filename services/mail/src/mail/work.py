"""The jobs of the mail service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class OfMail(Work):
    """What is done for one outgoing mail; of each kind one job at a time."""

    keyed_by: ClassVar[tuple[str, ...] | None] = ("mail_id",)
    mail_id: str


class SendMail(OfMail):
    """Make the draft with its files at Microsoft, have it sent, and look in Sent Items what became of it.

    One job does all of it, so nobody looks for a mail while it is being sent.
    """

    kind = "send_mail"
    priority: ClassVar[Priority] = "interactive"


class TidyMail(OfMail):
    """Delete the drafts that a mail left behind at Microsoft."""

    kind = "tidy_mail"
    priority: ClassVar[Priority] = "backfill"


class ForgetFile(Work):
    """Delete a file that no mail took, or that its mail does not need any more."""

    kind = "forget_file"
    priority: ClassVar[Priority] = "backfill"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("file_id",)
    file_id: str
