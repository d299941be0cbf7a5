"""Reading the chosen folders into the rows of a plan. Nothing of the person's contacts is touched here."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from contacts import graph as outlook
from contacts import keeping_queries, row_queries, runs
from contacts.contact_queries import sort_name, words_of
from contacts.merging import record_of
from contacts.normalising import normalise, said, storable, stored
from contacts.planning import now
from contacts.reading import Reading
from contacts.records import name_of
from contacts.settings import Settings
from contacts.tables import ImportRun
from shared.ahead import read_ahead
from shared.database.values import as_json
from shared.graph import GraphCaller
from shared.graph.errors import GraphNotFound
from shared.jobs.job import Job, JobWork
from shared.mailboxes import following
from shared.mailboxes.folders import folders_of
from shared.mailboxes.following import FolderPage

_NO_ISSUE = dict.fromkeys(("code", "field", "sentence"))
SAME = {"action": "same"} | dict.fromkeys(("record", "payload", "phones", "words"))
VERIFIED_AT_ONCE = 200
IDS_AT_ONCE = 1000
_MAILBOX_GONE = "mailboxnotenabledforrestapi"
LISTED = {
    "code": "mailbox_full",
    "detail": "Your mailbox is full, so Microsoft does not tell what changed. Prospo read the whole folder instead.",
}


def source_key(run: ImportRun, graph_id: str) -> str:
    """Names a contact in the address book of one account for ever, before anything of it is stored."""
    words = "\0".join((run.org_id, run.user_id, run.account, graph_id))
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:24]


async def read(job: Job, run: ImportRun, caller: GraphCaller, settings: Settings) -> None:
    """Every folder that was not read yet, then the items that left theirs. May be done again from anywhere."""
    for folder in run.folders:
        if not folder.get("read"):
            await _read_folder(job, run, folder["id"], caller, settings)
    await _verify(job, run, caller)


async def _read_folder(job: Job, run: ImportRun, folder_id: str, caller: GraphCaller, settings: Settings) -> None:
    async with job.unit_of_work() as work:
        await runs.going_on(work, run.id, "reading")
        known = (await folders_of(work.session, run.org_id, run.user_id, run.account)).get(folder_id)
    cursor = known.delta_link if known is not None else None
    path, size = outlook.contacts_in(folder_id), settings.contacts_page_size
    page: FolderPage | None = None
    try:
        name = known.name if known is not None and known.name else await outlook.name_of(caller, folder_id)
        pages = following.changes(caller, path, cursor=cursor, page_size=size)
        async with aclosing(read_ahead(_read_pages(run, folder_id, pages), 1, lambda _: 1)) as coming:
            async for page, rows in coming:
                async with job.unit_of_work() as work:
                    await _keep(work, run.id, folder_id, page, rows)
        if page is not None and not page.full and known is not None and _is_due(known, settings):
            await _sweep(job, run, folder_id, caller)
            page = replace(page, swept=True)
    except GraphNotFound as error:
        if error.code.lower() == _MAILBOX_GONE:
            raise
        page, name = None, known.name if known is not None else ""
    await _folder_read(job, run.id, folder_id, name, page)


async def _read_pages(
    run: ImportRun, folder_id: str, pages: AsyncIterator[FolderPage]
) -> AsyncIterator[tuple[FolderPage, list[dict[str, Any]]]]:
    """Two pages and their rows: while they are written, the next are read into rows and those after are fetched."""
    async with aclosing(read_ahead(_in_twos(pages), 1, lambda _: 1)) as coming:
        async for page in coming:
            yield page, await asyncio.to_thread(_rows, run, folder_id, page.items)


async def _in_twos(pages: AsyncIterator[FolderPage]) -> AsyncIterator[FolderPage]:
    """Two pages as one: Microsoft's are small, and a transaction costs as much as writing a hundred rows."""
    held: FolderPage | None = None
    async for page in pages:
        if held is None or page.first:  # the round begins anew, so what came before is forgotten
            held = page
            continue
        yield replace(page, items=[*held.items, *page.items], left=[*held.left, *page.left], first=held.first)
        held = None
    if held is not None:
        yield held


async def _keep(work: JobWork, run_id: str, folder_id: str, page: FolderPage, rows: list[dict[str, Any]]) -> None:
    """One page, if the run may go on. A source that is as it was at its last import needs no more than a mark."""
    run = await runs.going_on(work, run_id, "reading")
    if page.first:
        await row_queries.forget_folder(work.session, run, folder_id)
    known = await row_queries.known(work.session, run.org_id, [row["source_id"] for row in rows])
    for row in rows:
        source = known.get(row["source_id"])
        if source is not None and source.alive and source.digest == row["digest"]:
            row |= SAME
    await row_queries.put(work.session, run, rows)
    await row_queries.put_left(work.session, run, folder_id, [source_key(run, one) for one in page.left])
    run.read_count += len(rows)


async def _folder_read(job: Job, run_id: str, folder_id: str, name: str, page: FolderPage | None) -> None:
    """The round is over: what it did not name has left the folder, if it named everything. None: the folder is gone."""
    async with job.unit_of_work() as work:
        run = await runs.going_on(work, run_id, "reading")
        if page is None or page.full:
            await row_queries.put_left(work.session, run, folder_id, None)
        listed = page is not None and page.listed
        told = {
            "name": name,
            "read": True,
            "gone": page is None,
            "whole": page is not None and (page.full or page.swept),
        }
        run.folders = [one | told if one["id"] == folder_id else one for one in run.folders]
        run.delta_links = run.delta_links | {folder_id: page.cursor if page else None}
        if listed and LISTED not in run.remarks:
            run.remarks = [*run.remarks, LISTED]
        if page is None:
            said = f"The folder “{name or 'without a name'}” is not in Outlook any more, so it was left out."
            run.remarks = [*run.remarks, {"code": "folder_gone", "detail": said}]


def _is_due(known: Any, settings: Settings) -> bool:
    return known.swept_at is None or known.swept_at < datetime.now(UTC) - timedelta(seconds=settings.sweep_s)


async def _sweep(job: Job, run: ImportRun, folder_id: str, caller: GraphCaller) -> None:
    """Compare the ids in the folder with what was imported: what a delta query never told is found so."""
    there: dict[str, str] = {}
    async for ids in following.named_by(caller, outlook.contacts_in(folder_id), page_size=IDS_AT_ONCE):
        there |= {source_key(run, one): one for one in ids}
    async with job.unit_of_work() as work:
        now = await runs.going_on(work, run.id, "reading")
        left = await keeping_queries.in_folder(work.session, now, folder_id) - there.keys()
        await row_queries.put_left(work.session, now, folder_id, sorted(left))
        strange = await keeping_queries.strange(work.session, now, list(there))
    for at in range(0, len(strange), VERIFIED_AT_ONCE):
        some = [there[key] for key in strange[at : at + VERIFIED_AT_ONCE]]
        found = [item async for _, item in following.still_there(caller, some, outlook.contact) if item is not None]
        rows = await asyncio.to_thread(_rows, run, folder_id, found)
        async with job.unit_of_work() as work:
            await row_queries.put(work.session, await runs.going_on(work, run.id, "reading"), rows)


async def _verify(job: Job, run: ImportRun, caller: GraphCaller) -> None:
    """Where are the contacts that left their folder? Only what Graph answers 404 to, asked by its id, was deleted."""
    while True:
        async with job.unit_of_work() as work:
            now = await runs.going_on(work, run.id, "reading")
            left = await row_queries.to_verify(work.session, now, VERIFIED_AT_ONCE)
        if not left:
            return
        ids = [row.graph_id for row in left]
        found = [pair async for pair in following.still_there(caller, ids, outlook.contact)]
        rows = await asyncio.to_thread(_rows, run, "", [item for _, item in found if item is not None])
        async with job.unit_of_work() as work:
            now = await runs.going_on(work, run.id, "reading")
            await row_queries.gone(work.session, now, [source_key(run, one) for one, item in found if item is None])
            await row_queries.put(work.session, now, rows)


def _rows(run: ImportRun, folder_id: str, items: Sequence[Any]) -> list[dict[str, Any]]:
    at = now()
    return [_row(run, folder_id, item, at) for item in items]


def _row(run: ImportRun, folder_id: str, item: Any, at: str) -> dict[str, Any]:
    text = said(item) if isinstance(item, dict) else ""
    reading = normalise(item, text=text)
    issue = reading.issues[0] if reading.issues else _NO_ISSUE
    graph_id = reading.source_id or f"none:{hashlib.sha256(repr(item).encode('utf-8', 'replace')).hexdigest()}"
    key = source_key(run, graph_id)
    return {
        "source_id": key,
        "graph_id": storable(graph_id),
        "folder_id": folder_id or storable(reading.folder_id),
        "status": reading.status,
        "change_key": storable(reading.change_key),
        "digest": reading.digest,
        "code": issue["code"],
        "field": issue["field"],
        "sentence": issue["sentence"],
    } | (_taken(reading, key, stored(item, text), at) if reading.status == "valid" else _not_taken(item))


def _taken(reading: Reading, key: str, payload: str, at: str) -> dict[str, Any]:
    """The contact as it is stored if it is new, in the columns that ``contact_queries.columns_of`` has for it."""
    emails, phones = reading.sets.get("emails", ()), reading.sets.get("phones", ())
    reached = [one["value"].get("address", "") for one in emails]
    reached += [one["value"].get("number", "") for one in phones]
    name = name_of(reading.fields, reached)[:255]
    return {
        "name": name,
        "sort_name": sort_name(name),
        "words": words_of(name, reading.fields, reached),
        "emails": "\n".join([one["key"] for one in emails if one["valid"]]),
        "phones": "\n".join([one["key"] for one in phones if one["valid"]]),
        "record": as_json(record_of(reading, source=key, at=at)),
        "payload": payload,
        "action": "new",
    }


def _not_taken(item: Any) -> dict[str, Any]:
    name = _said_name(item)
    nothing = dict.fromkeys(("words", "phones", "record", "payload", "action"))
    return nothing | {"name": name, "sort_name": sort_name(name), "emails": ""}


def _said_name(item: Any) -> str:
    """The name of a contact that is not imported, so that the person finds it in Outlook."""
    name = item.get("displayName") or item.get("fileAs") if isinstance(item, dict) else None
    return str(storable(name))[:80] if isinstance(name, str) else ""
