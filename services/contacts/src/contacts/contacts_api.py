"""HTTP in: /v1/contacts, what was imported."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from contacts import contact_queries, editing, queries, telling
from contacts import graph as outlook
from contacts.contact_models import ContactChange, ContactLine, ContactShown, Counts, Policy, PolicyShown
from contacts.runs import SWITCH
from contacts.settings import Settings
from contacts.tables import Contact
from shared.connections import connection_of
from shared.connections.refusing import refused_by_microsoft
from shared.database.unit_of_work import UnitOfWork
from shared.problems import Conflict, NotFound, PreconditionFailed, PreconditionMissing
from shared.web.cursors import SignedCursor, make_cursor, read_cursor
from shared.web.dependencies import Db, Envelope_, Graph_
from shared.web.identity import Identity
from shared.web.routes import HEADER_MAX, AdminCaller, Caller, Id, Page, Work, needs_header, provided, with_header
from shared.web.words import STORABLE

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])
Limit = Annotated[int, Query(ge=1, le=200)]
Words = Annotated[str, Query(max_length=200), STORABLE]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=HEADER_MAX, include_in_schema=False), STORABLE]
NEEDS_TAG = needs_header("If-Match", "The ETag of the contact as it was read.")
TAGGED = with_header("ETag", "Of this version of the contact; send it as If-Match with a change.")
IMAGES = {"image/png", "image/jpeg", "image/gif"}
PHOTO_MAX = 4 * 1024 * 1024


@router.get("")
async def contacts(
    caller: Caller,
    work: Work,
    envelope: Envelope_,
    query: Words = "",
    archived: bool = False,
    conflicts: bool = False,
    cursor: SignedCursor = None,
    limit: Limit = 50,
) -> Page[ContactLine]:
    """The caller's contacts and those that others of the organisation share, by name.

    ``query`` finds parts of names, companies, addresses and numbers, all words of it. ``conflicts`` shows only those in
    which the caller's values and Outlook's differ.
    """
    place = f"contacts {archived} {conflicts} {query}"
    rows = await contact_queries.contacts_of(
        work.session,
        caller.org_id,
        caller.user_id,
        words=query,
        archived=archived,
        only_conflicts=conflicts,
        after=read_cursor(envelope.ring, caller, place, cursor),
        limit=limit + 1,
    )
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = make_cursor(envelope.ring, caller, place, [last.sort_name, last.id]) if last else None
    return Page[ContactLine](items=[ContactLine.of(row, caller) for row in rows[:limit]], next_cursor=next_cursor)


@router.get("/counts")
async def counts(caller: AdminCaller, work: Work) -> Counts:
    """How many contacts and imports the organisation has. Nobody's address book is shown."""
    return Counts.model_validate(dict((await queries.counts(work.session, caller.org_id))._mapping))  # noqa: SLF001


@router.get("/policy")
async def policy(caller: Caller, work: Work) -> PolicyShown:
    return PolicyShown(removed_in_outlook=await queries.policy(work.session, caller.org_id))


@router.put("/policy")
async def set_policy(wanted: Policy, caller: AdminCaller, work: Work) -> PolicyShown:
    """For imports that are planned from now on."""
    await queries.set_policy(work.session, caller.org_id, wanted.removed_in_outlook)
    return PolicyShown(removed_in_outlook=wanted.removed_in_outlook)


@router.get("/{contact_id}", responses={200: TAGGED})
async def contact(contact_id: Id, caller: Caller, work: Work, response: Response) -> ContactShown:
    row = await _seen(work, caller, contact_id)
    return await shown(work, caller, row, response)


@router.patch("/{contact_id}", responses={200: TAGGED}, openapi_extra=NEEDS_TAG)
async def change(
    contact_id: Id, wanted: ContactChange, caller: Caller, work: Work, response: Response, if_match: IfMatch = None
) -> ContactShown:
    """What a person types stays, whatever Outlook delivers later. Only the contact's owner changes it."""
    row = await own(work, caller, contact_id)
    _require_tag(row, if_match)
    if wanted.shared is False and row.shared:
        await _require_alone(work, caller, row)
    was_shared = row.shared
    if editing.change(row, wanted, caller.user_id):
        await _turn(work, row, shared=was_shared or row.shared)
    return await shown(work, caller, row, response)


@router.delete("/{contact_id}", status_code=204, openapi_extra=NEEDS_TAG)
async def delete(contact_id: Id, caller: Caller, work: Work, if_match: IfMatch = None) -> None:
    """Delete it in Prospo; Outlook keeps it, and it is not imported again."""
    row = await own(work, caller, contact_id)
    _require_tag(row, if_match)
    await contact_queries.delete(work.session, row)
    await _turn(work, row, shared=row.shared)


@router.get(
    "/{contact_id}/photo",
    response_class=Response,
    responses={200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}, 204: {}},
)
async def photo(
    contact_id: Id,
    caller: Caller,
    db: Db,
    graph: Graph_,
    settings: Annotated[Settings, Depends(provided("settings"))],
) -> Response:
    """The photo that the contact has in its owner's Outlook; 204 when it has none. It is read when its owner looks."""
    async with db.unit_of_work(caller.org_id) as work:
        row = await _seen(work, caller, contact_id)
        sources = await contact_queries.sources_of(work.session, caller.org_id, contact_id)
        kept = await contact_queries.photo_of(work.session, caller.org_id, contact_id)
        person = await connection_of(work.session, caller.org_id, caller.user_id)
    live = [one for one in sources if one.user_id == caller.user_id == row.user_id and one.removed_at is None]
    source = live[0] if live else None
    may = source is not None and person.obstacle(switch=SWITCH, made_by=source.account) is None
    known = kept is not None and source is not None and _is_fresh(kept, source, settings.photo_keep_s)
    if source is not None and may and not known:
        with refused_by_microsoft("to show this"):
            found = await outlook.photo(graph.as_user(caller.org_id, caller.user_id, "interactive"), source.graph_id)
        usable = found is not None and found[0] in IMAGES and len(found[1]) <= PHOTO_MAX
        media_type, content = found if found is not None and usable else (None, None)
        async with db.unit_of_work(caller.org_id) as work:
            await contact_queries.keep_photo(work.session, row, source, media_type, content)
    else:
        media_type, content = (kept.media_type, kept.photo) if kept is not None else (None, None)
    if media_type is None or content is None:
        return Response(status_code=204)
    headers = {"X-Content-Type-Options": "nosniff", "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    return Response(content, media_type=media_type, headers=headers)


def _is_fresh(kept: Any, source: Any, keep_s: float) -> bool:
    """Whether Microsoft need not be asked: nobody has proven that a new photo changes the contact's change key."""
    same = (kept.source_id, kept.change_key) == (source.id, source.change_key)
    return same and kept.read_at > datetime.now(UTC) - timedelta(seconds=keep_s)


async def _seen(work: UnitOfWork, caller: Identity, contact_id: str) -> Contact:
    row = await contact_queries.contact_of(work.session, caller.org_id, contact_id)
    if row is None or (row.user_id != caller.user_id and not row.shared):
        raise _not_found()
    return row


async def own(work: UnitOfWork, caller: Identity, contact_id: str) -> Contact:
    row = await contact_queries.contact_of(work.session, caller.org_id, contact_id, lock=True)
    if row is None or (row.user_id != caller.user_id and not row.shared):
        raise _not_found()
    if row.user_id != caller.user_id:
        raise Conflict("not_yours", "Another person shares this contact. Only its owner can change it.")
    return row


async def _require_alone(work: UnitOfWork, caller: Identity, row: Contact) -> None:
    sources = await contact_queries.sources_of(work.session, caller.org_id, row.id)
    if any(source.user_id != caller.user_id for source in sources):
        detail = "Other people's imports are part of this contact, so it stays shared. Delete it to take it away."
        raise Conflict("others_share_it", detail)


def _require_tag(row: Contact, if_match: str | None) -> None:
    if not if_match:
        raise PreconditionMissing("if_match_required", "Read the contact, then send its ETag as If-Match.")
    if if_match != _tag(row):
        raise PreconditionFailed("contact_changed", "The contact was changed since you read it. Read it again.")


async def _turn(work: UnitOfWork, row: Contact, *, shared: bool) -> None:
    books = [row.user_id, queries.SHARED] if shared else [row.user_id]
    await queries.turn_page(work.session, row.org_id, books)
    await telling.tell(work, row.user_id)


async def shown(work: UnitOfWork, caller: Identity, row: Contact, response: Response) -> ContactShown:
    await work.session.flush()
    response.headers["ETag"] = _tag(row)
    sources = await contact_queries.sources_of(work.session, caller.org_id, row.id)
    return ContactShown.whole(row, caller, sources)


def _tag(row: Contact) -> str:
    return f'"{row.version}"'


def _not_found() -> NotFound:
    return NotFound("contact_not_found", "There is no such contact of yours. Open it from your list of contacts.")
