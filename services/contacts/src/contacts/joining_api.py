"""HTTP in: who may be the same person, below /v1/contacts."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, StringConstraints

from contacts import contact_queries, joining, joining_queries
from contacts.contact_models import ContactLine, ContactShown
from contacts.contacts_api import TAGGED, own, shown
from contacts.matching import pair
from contacts.tables import Contact
from shared.database.unit_of_work import UnitOfWork
from shared.problems import Conflict, NotFound
from shared.web.identity import Identity
from shared.web.routes import Caller, Id, StrictModel, Work
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])
Limit = Annotated[int, Query(ge=1, le=100)]
Other = Annotated[str, StringConstraints(max_length=200), STORABLE]


class OtherContact(StrictModel):
    other: Other = ""
    """The id of another contact of the caller's."""


class OneSource(StrictModel):
    source: Other = ""
    """The id of one of the contact's ``sources``."""


class ReasonShown(BaseModel):
    code: str
    sentence: str


class ProposalShown(BaseModel):
    """Two contacts that may be one person. Nothing is joined before somebody says so."""

    one: ContactLine
    other: ContactLine
    reasons: list[ReasonShown]


class Proposals(BaseModel):
    items: list[ProposalShown]


@router.get("/proposals")
async def proposals(caller: Caller, work: Work, limit: Limit = 50) -> Proposals:
    """Pairs of the caller's contacts that may be one person, the likeliest first; looked for after an import."""
    rows = await joining_queries.proposals(work.session, caller.org_id, caller.user_id, limit)
    found = [await _both(work, caller, row.one, row.other) for row in rows]
    items = [
        ProposalShown(
            one=ContactLine.of(one, caller),
            other=ContactLine.of(other, caller),
            reasons=[ReasonShown.model_validate(reason) for reason in row.reasons],
        )
        for row, (one, other) in zip(rows, found, strict=True)
    ]
    return Proposals(items=items)


@router.post("/{contact_id}/join", responses={200: TAGGED})
async def join(contact_id: Id, wanted: OtherContact, caller: Caller, work: Work, response: Response) -> ContactShown:
    """They are the same person: ``other`` becomes part of this contact. Values that differ are shown as conflicts."""
    contact, other = await _both(work, caller, contact_id, wanted.other)
    if contact.id == other.id:
        raise Conflict("same_contact", "That is the same contact already. Choose another one.")
    shared = contact.shared or other.shared
    await joining.join(work, contact, other)
    await joining.turn(work, contact, shared=shared)
    return await shown(work, caller, contact, response)


@router.post("/{contact_id}/apart", status_code=204)
async def apart(contact_id: Id, wanted: OtherContact, caller: Caller, work: Work) -> None:
    """They are not the same person, for good: they are neither joined nor proposed again."""
    contact, other = await _both(work, caller, contact_id, wanted.other)
    both = pair(contact.id, other.id)
    await joining_queries.not_same(work.session, caller.org_id, caller.user_id, both)


@router.post("/{contact_id}/split", responses={200: TAGGED})
async def split(contact_id: Id, wanted: OneSource, caller: Caller, work: Work, response: Response) -> ContactShown:
    """Make a contact of its own of a source that is another person. Returns that contact."""
    contact = await own(work, caller, contact_id)
    made = await joining.split(work, contact, wanted.source)
    await joining.turn(work, contact, shared=contact.shared)
    return await shown(work, caller, made, response)


async def _both(work: UnitOfWork, caller: Identity, one: str, other: str) -> tuple[Contact, Contact]:
    """Two of the caller's own, locked in the order of their ids. Raises ``NotFound`` for any other."""
    await contact_queries.locked(work.session, caller.org_id, [one, other])
    found = [await contact_queries.contact_of(work.session, caller.org_id, id_) for id_ in (one, other)]
    first, second = found
    if first is None or second is None or {first.user_id, second.user_id} != {caller.user_id}:
        raise NotFound("contact_not_found", "There is no such contact of yours. Open it from your list of contacts.")
    return first, second
