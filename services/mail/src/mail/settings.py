"""Every knob of the mail service."""

from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    graph_mailbox_share: Annotated[int, Field(ge=0, le=4)] = 2
    """This service's part of the four requests at a time that Microsoft allows a mailbox; the parts add up to four."""
