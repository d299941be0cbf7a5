"""Every knob of the contacts service."""

from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    graph_mailbox_share: Annotated[int, Field(ge=0, le=4)] = 1
    """This service's part of the four requests at a time that Microsoft allows a mailbox; the parts add up to four."""
    contacts_page_size: Annotated[int, Field(ge=1, le=1000)] = 200
    """How many contacts one request to Graph asks for, and how many are in memory at a time; Microsoft gives 200 at
    most. An eighth of them where they are so long that the answer would be more than 16 MiB."""
    import_chunk: Annotated[int, Field(ge=1, le=2000)] = 500
    """How many rows of a plan one transaction carries out; of new contacts twice as many."""
    import_wait_s: float = 2
    """How long POST waits for the preview before it answers 202."""
    contact_folders_max: Annotated[int, Field(ge=1)] = 500
    """How many contact folders of a mailbox are listed; further ones are left out, and the answer says so."""
    imports_per_hour: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """How often a person may ask for a preview."""
    request_keys_keep_days: int = 30
    """How long an ``Idempotency-Key`` is known; it goes with the person's next import after that."""
    removals_ask_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """When more than this share of a person's contacts in the chosen folders was removed in Outlook, the import stops
    and asks."""
    removals_ask_from: Annotated[int, Field(ge=1)] = 5
    """Fewer removed contacts than this never stop an import."""
    keep_in_step_s: Annotated[float, Field(ge=60)] = 3600
    """How often a folder that is kept in step is looked at without a notification."""
    sweep_s: Annotated[float, Field(ge=3600)] = 86_400
    """How often the ids in a folder that is kept in step are compared with what was imported."""
    photo_keep_s: Annotated[float, Field(ge=0)] = 86_400
    """For so long a contact's photo is shown without asking Microsoft for a newer one, unless the contact changed."""
