"""SQL of contacts: written one at a time by people, and a chunk at a time by runs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from contacts.records import Record, shown
from contacts.tables import Contact
from shared.database.values import as_json

_COLUMNS = """id text, user_id text, shared boolean, record jsonb, name text, sort_name text, company text,
    job_title text, emails jsonb, phones jsonb, words text, conflicts integer, archive boolean, because text"""
_GIVEN = f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS g({_COLUMNS})"
_TEXTS = "ARRAY(SELECT jsonb_array_elements_text(g.{}))"
_CHANGE = text(
    f"""UPDATE contact AS c SET record = g.record, name = g.name, sort_name = g.sort_name, company = g.company,
            job_title = g.job_title, emails = {_TEXTS.format("emails")}, phones = {_TEXTS.format("phones")},
            words = g.words, conflicts = g.conflicts, version = c.version + 1, changed_at = clock_timestamp(),
            archived_at = CASE WHEN g.archive THEN coalesce(c.archived_at, clock_timestamp()) END,
            archived_because = CASE WHEN g.archive THEN coalesce(c.archived_because, g.because) END
        FROM {_GIVEN} WHERE c.org_id = :org_id AND c.id = g.id"""
)
_LOCK = text("SELECT * FROM contact WHERE org_id = :org_id AND id = ANY(:ids) ORDER BY id FOR UPDATE")
_DELETE = text("DELETE FROM contact WHERE org_id = :org_id AND id = ANY(:ids)")
_DROP_SOURCES = text(
    """UPDATE source_record SET dropped_at = clock_timestamp(), contact_id = NULL
       WHERE org_id = :org_id AND contact_id = :id"""
)
_DELETE_PHOTO = text("DELETE FROM contact_photo WHERE org_id = :org_id AND contact_id = ANY(:ids)")
_SOURCES = text(
    """SELECT id, user_id, graph_id, change_key, why, read_at, removed_at, account FROM source_record
       WHERE org_id = :org_id AND contact_id = :id ORDER BY id"""
)
_PHOTO = text("SELECT * FROM contact_photo WHERE org_id = :org_id AND contact_id = :id")
_KEEP_PHOTO = text(
    """INSERT INTO contact_photo (org_id, contact_id, user_id, source_id, change_key, media_type, photo)
       SELECT org_id, id, user_id, :source_id, :change_key, :media_type, :photo FROM contact
       WHERE org_id = :org_id AND id = :id
       ON CONFLICT (org_id, contact_id) DO UPDATE SET source_id = excluded.source_id,
           change_key = excluded.change_key, media_type = excluded.media_type, photo = excluded.photo,
           read_at = clock_timestamp()"""
)
MOST_WORDS = 2000


def columns_of(record: Record) -> dict[str, Any]:
    """What lists, searches and matching read of a record."""
    seen = shown(record)
    name, company = seen["name"][:255], seen["fields"].get("company", "")[:255]
    return {
        "record": record,
        "name": name,
        "sort_name": sort_name(name),
        "company": company,
        "job_title": seen["fields"].get("job_title", "")[:255],
        "emails": seen["email_keys"],
        "phones": seen["phone_keys"],
        "words": words_of(name, seen["fields"], [*seen["emails"], *seen["phones"]]),
        "conflicts": sum(len(field["conflicts"]) for field in record["fields"].values()),
    }


def sort_name(name: str) -> str:
    return name.casefold()[:100]


def words_of(name: str, fields: Mapping[str, str], reached: Iterable[str]) -> str:
    """What the search looks at. ``reached`` are addresses and numbers as people see them."""
    words = (name, fields.get("company", "")[:255], fields.get("nickname", ""), *reached)
    return " ".join(words).casefold()[:MOST_WORDS]


def write(contact: Contact, record: Record) -> None:
    """Bring one contact to ``record``: a new version of it."""
    for name, value in columns_of(record).items():
        setattr(contact, name, value)
    contact.version += 1
    contact.changed_at = datetime.now(UTC)


async def change_all(session: AsyncSession, org_id: str, rows: list[dict[str, Any]]) -> None:
    """Contacts that are held: ``id``, ``archive``, ``because`` and ``columns_of`` their records."""
    if rows:
        await session.execute(_CHANGE, {"org_id": org_id, "rows": as_json(rows)})


async def locked(session: AsyncSession, org_id: str, ids: Sequence[str]) -> dict[str, Any]:
    """These contacts, locked in the order of their ids, so that two who lock several never wait for each other."""
    rows = await session.execute(_LOCK, {"org_id": org_id, "ids": sorted(set(ids))})
    return {row.id: row for row in rows}


async def delete_all(session: AsyncSession, org_id: str, ids: Sequence[str]) -> None:
    values = {"org_id": org_id, "ids": list(ids)}
    await session.execute(_DELETE_PHOTO, values)
    await session.execute(_DELETE, values)


async def delete(session: AsyncSession, contact: Contact) -> None:
    """A person deletes it: what Outlook still has of it is not imported again."""
    await session.execute(_DROP_SOURCES, {"org_id": contact.org_id, "id": contact.id})
    await delete_all(session, contact.org_id, [contact.id])


async def contact_of(session: AsyncSession, org_id: str, contact_id: str, *, lock: bool = False) -> Contact | None:
    query = select(Contact).where(Contact.org_id == org_id, Contact.id == contact_id)
    return (await session.exec(query.with_for_update() if lock else query)).first()


async def contacts_of(
    session: AsyncSession,
    org_id: str,
    user_id: str,
    *,
    words: str,
    archived: bool,
    only_conflicts: bool,
    after: list[str] | None,
    limit: int,
) -> list[Contact]:
    """What a person sees: their own contacts and those that others share, by name."""
    query = select(Contact).where(Contact.org_id == org_id, (col(Contact.user_id) == user_id) | col(Contact.shared))
    for word in words.casefold().split()[:10]:
        query = query.where(col(Contact.words).contains(word, autoescape=True))
    query = query.where(col(Contact.archived_at).is_not(None) if archived else col(Contact.archived_at).is_(None))
    if only_conflicts:
        query = query.where(Contact.conflicts > 0, Contact.user_id == user_id)
    if after:
        name, last = after
        query = query.where(
            (col(Contact.sort_name) > name) | ((col(Contact.sort_name) == name) & (col(Contact.id) > last))
        )
    ordered = query.order_by(col(Contact.sort_name), col(Contact.id)).limit(limit)
    return list((await session.exec(ordered)).all())


async def sources_of(session: AsyncSession, org_id: str, contact_id: str) -> list[Any]:
    """The source records of a contact: whose, why they are linked, and whether they are gone from Outlook."""
    return list(await session.execute(_SOURCES, {"org_id": org_id, "id": contact_id}))


async def photo_of(session: AsyncSession, org_id: str, contact_id: str) -> Any:
    """The photo that was kept, if any: ``media_type`` is None when Outlook had none."""
    return (await session.execute(_PHOTO, {"org_id": org_id, "id": contact_id})).first()


async def keep_photo(
    session: AsyncSession, contact: Contact, source: Any, media_type: str | None, photo: bytes | None
) -> None:
    values = {"org_id": contact.org_id, "id": contact.id, "source_id": source.id, "change_key": source.change_key}
    await session.execute(_KEEP_PHOTO, values | {"media_type": media_type, "photo": photo})
