"""The jobs of the mail service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class OfMail(Work):
    """A job for one outgoing mail. One job of each kind lives at a time."""

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


class OfMailbox(Work):
    """A job for one person's mailbox. One job of each kind lives at a time."""

    keyed_by: ClassVar[tuple[str, ...] | None] = ("user_id",)
    user_id: str


class SyncMailbox(OfMailbox):
    """Look for what changed in the folders that are followed, and keep what is with contacts."""

    kind = "sync_mailbox"


class ReadPast(OfMailbox):
    """Look for past mail with those who became contacts."""

    kind = "read_past"
    priority: ClassVar[Priority] = "backfill"


class ForgetStrangers(OfMailbox):
    """Delete conversations in which nobody is a contact any more."""

    kind = "forget_strangers"
    priority: ClassVar[Priority] = "backfill"


class FollowEverybody(Work):
    """Follow the organisation's people whose connections were told before mail could be switched on."""

    kind = "follow_everybody"
    priority: ClassVar[Priority] = "backfill"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("kind",)


class FollowAddresses(Work):
    """Bring the copy of the contacts' addresses up to date."""

    kind = "follow_addresses"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("kind",)


class ForgetOldMail(Work):
    """Each day: delete what is older than the organisation keeps mail."""

    kind = "forget_old_mail"
    priority: ClassVar[Priority] = "backfill"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("kind",)


class ForgetFile(Work):
    """Delete a file that no mail took, or that its mail does not need any more."""

    kind = "forget_file"
    priority: ClassVar[Priority] = "backfill"
    keyed_by: ClassVar[tuple[str, ...] | None] = ("file_id",)
    file_id: str
