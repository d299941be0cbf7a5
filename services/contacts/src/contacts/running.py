"""Carrying out a plan, a chunk in each transaction, and ending the run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from contacts import contact_queries, keeping_queries, queries, run_queries, runs
from contacts.merging import Merged, merge, record_of
from contacts.planning import CHANGING, iso, now, reading_of
from contacts.records import Record, empty, typed
from contacts.settings import Settings
from contacts.tables import ImportRun
from contacts.work import FindProposals
from shared.ahead import read_ahead
from shared.database.outbox import uuid7
from shared.events import ContactsImported
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders

REMOVED = "removed_in_outlook"
OUTDATED = {
    "code": "plan_outdated",
    "detail": "Contacts were changed after the preview was made, so nothing was imported. This is a fresh preview.",
}


New = dict[str, dict[str, Any]]
"""The contacts to be made, by the source of each."""


async def run(job: Job, run_id: str, settings: Settings) -> None:
    """Carry out the plan from wherever it stands."""
    async with job.unit_of_work() as work:
        found = await runs.going_on(work, run_id, "running")
        if not await runs.require_current(work, found):
            await runs.plan_anew(work, found)
            found.remarks = [*found.remarks, OUTDATED]
            return
        await runs.hold(work, found)
    chunks = _chunks(job, found, settings.import_chunk)
    async with aclosing(read_ahead(chunks, 1, lambda _: 1)) as coming:
        async for rows, new in coming:
            async with job.unit_of_work() as work:
                found = await runs.going_on(work, run_id, "running")
                await _carry_out(work, found, rows, new)
                await work.save_checkpoint({"done": found.done})  # so that a worker that stops leaves after this chunk
    async with job.unit_of_work() as work:
        await _finish(work, await runs.going_on(work, run_id, "running"))


async def _chunks(job: Job, run: ImportRun, size: int) -> AsyncIterator[tuple[list[Any], New]]:
    """The rows to carry out and the contacts to be made of them, a chunk while the one before is written."""
    after = ""
    while True:
        async with job.unit_of_work() as work:
            await runs.plan_each_time(work.session)
            rows = await run_queries.due(work.session, run, CHANGING, after, size)
        if not rows:
            return
        yield rows, await asyncio.to_thread(_made_of, run, rows)
        after = rows[-1].source_id


def _made_of(run: ImportRun, rows: list[Any]) -> New:
    whose = {"user_id": run.user_id, "shared": run.share}
    at = _begun(run)
    new = [
        (row.source_id, record_of(reading_of(row.reading), source=row.source_id, at=at))
        for row in rows
        if row.action == "new"
    ]
    return {source: {"id": uuid7()} | whose | contact_queries.columns_of(record) for source, record in new}


def created(run: ImportRun, source: str, reading: dict[str, Any]) -> Merged:
    """The contact that the run made of a reading, and the journal of that, which is not stored: an undo asks again."""
    return merge(empty(), reading_of(reading), source=source, at=_begun(run))


def _begun(run: ImportRun) -> str:
    return iso(run.started_at or run.made_at)


async def _carry_out(work: JobWork, found: ImportRun, rows: list[Any], new: New) -> None:
    held = await contact_queries.locked(work.session, found.org_id, [row.contact_id for row in rows if row.contact_id])
    leaving = [row.source_id for row in rows if row.action == "removed"]
    elsewhere = await run_queries.with_other_sources(work.session, found.org_id, list(held), leaving)
    chunk = _Chunk(found, held, elsewhere, new)
    for row in rows:
        chunk.take(row)
    await contact_queries.add_all(work.session, found.org_id, list(new.values()))
    await contact_queries.change_all(work.session, found.org_id, list(chunk.changed.values()))
    await run_queries.carried(work.session, found, chunk.rows)
    if new or chunk.changed:
        await queries.turn_page(work.session, found.org_id, sorted(chunk.books))
    found.done += len(rows)
    found.outcome = {
        name: found.outcome.get(name, 0) + chunk.count.get(name, 0) for name in found.outcome | chunk.count
    }


class _Chunk:
    """What one transaction of a run writes. Two rows of one contact see each other's change."""

    def __init__(self, run: ImportRun, held: dict[str, Any], elsewhere: set[str], new: New) -> None:
        self._run = run
        self._held = held
        self._elsewhere = elsewhere
        self._new = new
        self._at = now()
        self.changed: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.count: dict[str, int] = {}
        self.books = {run.user_id}

    def take(self, row: Any) -> None:
        if row.action == "new":
            self._create(row)
        elif row.contact_id not in self._held or row.dropped:
            self._note(row, None, "kept", "kept_back")  # the person deleted the contact while the import ran
        elif row.action == "removed":
            self._remove(row)
        else:
            self._change(row)

    def _create(self, row: Any) -> None:
        self._touch(self._run.user_id, shared=self._run.share)
        self._note(row, self._new[row.source_id]["id"], "done", "created", store=True, created=True)

    def _change(self, row: Any) -> None:
        contact = self._held[row.contact_id]
        merged = merge(self._record(contact), reading_of(row.reading), source=row.source_id, at=self._at)
        if merged.changes or contact.archived_because == REMOVED:
            self._write(contact, merged.record, archive=contact.archived_because not in {None, REMOVED})
        what = "conflicts" if merged.conflicts else "updated" if merged.changes else "unchanged"
        self._note(row, contact.id, "done", what, store=True, journal=merged.changes)

    def _remove(self, row: Any) -> None:
        contact = self._held[row.contact_id]
        record = self._record(contact)
        alone = contact.user_id == self._run.user_id and contact.id not in self._elsewhere
        archive = self._run.removals == "archive" and alone and not typed(record) and contact.archived_at is None
        if archive:
            self._write(contact, record, archive=True)
            self.count["archived"] = self.count.get("archived", 0) + 1
        self._note(row, contact.id, "done", "removed", removed=True, journal=[])

    def _record(self, contact: Any) -> Record:
        record: Record = self.changed.get(contact.id, {}).get("record") or contact.record
        return record

    def _write(self, contact: Any, record: Record, *, archive: bool) -> None:
        about = {"id": contact.id, "archive": archive, "because": REMOVED}
        self.changed[contact.id] = about | contact_queries.columns_of(record)
        self._touch(contact.user_id, shared=contact.shared)

    def _touch(self, user_id: str, *, shared: bool) -> None:
        self.books |= {user_id, queries.SHARED} if shared else {user_id}

    def _note(self, row: Any, contact_id: str | None, outcome: str, what: str, **more: Any) -> None:
        kept = {"store": False, "removed": False, "created": False, "journal": None}
        about = {"source_id": row.source_id, "contact_id": contact_id, "outcome": outcome}
        self.rows.append(kept | about | more)
        self.count[what] = self.count.get(what, 0) + 1


async def _finish(work: JobWork, found: ImportRun) -> None:
    """All rows are carried out: the next import begins where this one's folders were read to."""
    await run_queries.refresh_same(work.session, found)
    whose = {"org_id": found.org_id, "user_id": found.user_id, "account": found.account}
    read = [
        {
            "folder_id": folder["id"],
            "name": folder.get("name") or "",
            "delta_link": found.delta_links.get(folder["id"]),
            "whole": bool(folder.get("whole")),
        }
        for folder in found.folders
    ]
    await folders.have_read(work.session, whose, read)
    await runs.finish(work, found, "finished")
    found.outcome = found.outcome | {"unchanged": found.outcome.get("unchanged", 0) + found.counts.get("same", 0)}
    if found.by_itself and not found.total and set(found.counts) <= {"same"}:
        await work.session.flush()
        await keeping_queries.forget_run(work.session, found)
        return
    written = {name: found.outcome.get(name, 0) for name in ("created", "updated", "conflicts", "removed")}
    if written["created"] or written["updated"]:
        work.queue(FindProposals(user_id=found.user_id))
    if any(written.values()):
        work.outbox.add(
            ContactsImported(
                org_id=found.org_id,
                aggregate_version=await queries.next_version(work.session, found.org_id, found.user_id),
                user_id=found.user_id,
                run_id=found.id,
                created=written["created"],
                updated=written["updated"] + written["conflicts"],
                unchanged=found.outcome["unchanged"],
                conflicts=written["conflicts"],
                removed=written["removed"],
            )
        )
