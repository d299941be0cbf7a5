"""Who is the same person: proposals, and what the person says to them."""

import asyncio
from datetime import UTC, datetime

from contacts import contact_queries, joining_queries, queries, telling
from contacts.matching import Card, card_of_record, pair
from contacts.merging import absorb, merge, withdraw
from contacts.normalising import normalise
from contacts.planning import now
from contacts.proposing import propose
from contacts.records import Record, empty, is_empty
from contacts.tables import Contact
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork
from shared.jobs.job import Job
from shared.problems import Conflict, NotFound

MOST_CONTACTS, MOST_PROPOSALS, AT_ONCE = 50_000, 500, 1000


async def find(job: Job, user_id: str) -> None:
    """Compare a person's own contacts with each other and keep the best proposals."""
    cards = await _cards(job, user_id)
    async with job.reading() as work:
        apart = await joining_queries.apart(work.session, job.org_id, user_id)
    found = (await asyncio.to_thread(propose, cards, apart=apart))[:MOST_PROPOSALS]
    kept = [{"one": one.one, "other": one.other, "score": one.score, "reasons": one.reasons} for one in found]
    async with job.unit_of_work() as work:
        await joining_queries.propose(work.session, job.org_id, user_id, kept)


async def _cards(job: Job, user_id: str) -> list[Card]:
    """A card is a twentieth of its contact, so the book is read a page at a time."""
    cards: list[Card] = []
    full = True
    while full and len(cards) < MOST_CONTACTS:
        async with job.reading() as work:
            after = cards[-1].id if cards else ""
            rows = await joining_queries.book(work.session, job.org_id, user_id, after, AT_ONCE)
        cards += [card_of_record(row.id, row.record) for row in rows]
        full = len(rows) == AT_ONCE
    return cards


async def join(work: UnitOfWork, contact: Contact, other: Contact) -> None:
    """``other`` becomes part of ``contact``: its values, where they do not differ, and its sources."""
    merged = absorb(_record(contact), _record(other), at=now())
    await joining_queries.move_sources(work.session, contact.org_id, other.id, contact.id)
    contact.shared = contact.shared or other.shared
    contact_queries.write(contact, merged.record)
    await work.session.flush()
    await contact_queries.delete_all(work.session, contact.org_id, [other.id])


async def split(work: UnitOfWork, contact: Contact, source_id: str) -> Contact:
    """A source that was joined wrongly leaves the contact, for one of its own that is never joined with it again.

    Raises ``NotFound`` when it is no source of the caller's in this contact, ``Conflict`` when it is the only one.
    """
    made = uuid7()
    about = (work.session, contact.org_id, contact.user_id, source_id)
    payload = await joining_queries.take_source(*about, of=contact.id, to=made)
    if payload is None:
        raise NotFound("source_not_found", "That contact of Outlook is not part of this one. Read the contact again.")
    rest = withdraw(_record(contact), source=source_id, at=now()).record
    if is_empty(rest):
        raise Conflict("only_source", "The contact is made of this one alone, so there is nothing to take apart.")
    record = merge(empty(), normalise(payload), source=source_id, at=now()).record
    moment = datetime.now(UTC)
    row = Contact(org_id=contact.org_id, id=made, user_id=contact.user_id, record={}, made_at=moment, changed_at=moment)
    contact_queries.write(row, record)
    row.version, row.shared = 1, contact.shared
    contact_queries.write(contact, rest)
    work.session.add(row)
    for one in (source_id, made):
        await joining_queries.not_same(work.session, contact.org_id, contact.user_id, pair(one, contact.id))
    return row


def _record(contact: Contact) -> Record:
    record: Record = contact.record  # type: ignore[assignment]
    return record


async def turn(work: UnitOfWork, contact: Contact, *, shared: bool) -> None:
    """Plans that were made of these contacts are out of date."""
    books = [contact.user_id, queries.SHARED] if shared else [contact.user_id]
    await queries.turn_page(work.session, contact.org_id, books)
    await telling.tell(work, contact.user_id)
