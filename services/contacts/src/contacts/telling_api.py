"""HTTP in, for services: the addresses of contacts, so that mail knows which conversations are with them."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from contacts import telling
from shared.problems import BadInput
from shared.web.dependencies import Db
from shared.web.routes import Asked, called_by

router = APIRouter()
Text = Annotated[str, StringConstraints(max_length=255)]


class AddressesWanted(Asked):
    org_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    after: Text = ""
    """``cursor`` of the answer before; empty for all contacts."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


class ContactAddresses(BaseModel):
    contact_id: str
    user_id: str
    """The owner of the contact."""
    shared: bool
    addresses: list[str]
    """In lower case, the domain in Unicode; none when the contact is gone or has none."""


class Addresses(BaseModel):
    items: list[ContactAddresses]
    cursor: str
    more: bool
    """There are further ones: ask again, a moment later when no item came."""


@router.post("/internal/addresses", tags=["internal"], dependencies=[called_by("mail")])
async def changed_addresses(wanted: AddressesWanted, db: Db) -> Addresses:
    """Contacts of the organisation whose addresses, owner or sharing changed since the cursor, in order."""
    async with db.unit_of_work(wanted.org_id) as work:
        try:
            found = await telling.changes(work.session, wanted.org_id, wanted.after, wanted.limit)
        except ValueError as error:
            raise BadInput("unknown_cursor", "There is no such page. Take cursor of the answer before.") from error
    items = [ContactAddresses.model_validate(row, from_attributes=True) for row in found.rows]
    return Addresses(items=items, cursor=found.cursor, more=found.more)
