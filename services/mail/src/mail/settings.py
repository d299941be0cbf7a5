"""Every knob of the mail service."""

from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    graph_mailbox_share: Annotated[int, Field(ge=0, le=4)] = 2
    """This service's part of the four requests at a time that Microsoft allows a mailbox; the parts add up to four."""
    request_body_limit_bytes: int = 4 * 1024 * 1024
    """The largest request, files apart: a mail's text, its recipients and what JSON makes of both."""
    mail_text_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000_000
    """How many characters a mail's text may have."""
    mail_recipients_max: Annotated[int, Field(ge=1, le=1000)] = 500
    """How many people one mail may go to. Exchange Online takes 500 unless the organisation set another figure."""
    mail_file_max_bytes: Annotated[int, Field(ge=1, le=150 * 1024 * 1024)] = 150 * 1024 * 1024
    """The largest file of a mail. Microsoft takes 150 MB; the organisation's own limit for a whole mail may be lower,
    and Microsoft tells that one only when it refuses."""
    mail_files_max: Annotated[int, Field(ge=1, le=100)] = 50
    """How many files one mail may have."""
    mails_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """How often a person may send a mail."""
    mail_files_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """How often a person may upload a file."""
    mail_files_kept_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024 * 1024
    """How many bytes a person's files that no mail took yet may have together."""
    mail_file_keep_s: Annotated[float, Field(ge=60)] = 86_400
    """How long a file is kept that no mail took, or whose mail failed."""
    mail_waits_s: Annotated[float, Field(ge=60, le=86_400)] = 86_400
    """A mail that could not be sent for so long is not sent by itself any more; its sender is asked."""
    send_settles_s: Annotated[float, Field(ge=60)] = 900
    """How long after a lost answer Microsoft may still send a mail. A draft that is still there after it is sent again.
    Microsoft publishes no such figure."""
    addresses_page_size: Annotated[int, Field(ge=1, le=1000)] = 500
    """How many contacts one request to the service contacts asks for."""
    mail_page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """How many messages one request to Graph asks for, and how many are in memory at a time."""
    mail_look_s: Annotated[float, Field(ge=60)] = 300
    """How often a mailbox is looked at where Microsoft does not tell of changes."""
    mail_told_look_s: Annotated[float, Field(ge=60)] = 3600
    """How often it is looked at where Microsoft tells of them, for a notification may be lost."""
    mail_sweep_s: Annotated[float, Field(ge=3600)] = 86_400
    """How often a folder that is followed is read whole, for what no delta query told."""
    mail_past_max: Annotated[int, Field(ge=1, le=1000)] = 1000
    """How many past messages with a new address are looked for. Microsoft's search finds a thousand at most."""
    mail_past_searches: Annotated[int, Field(ge=0)] = 50
    """When more new addresses than this wait for their past mail, the folders are read whole instead."""
    mail_body_max_bytes: Annotated[int, Field(ge=1000)] = 10_000_000
    """The text of a larger message is not kept; the message is, and says so."""
    mail_folders_max: Annotated[int, Field(ge=1)] = 500
    """How many folders of a mailbox are listed."""
    mail_refreshes_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """How often a person may have their mailbox looked at at once."""
    request_keys_keep_days: int = 30
    """How long an ``Idempotency-Key`` is known; it goes with the person's next mail after that."""
