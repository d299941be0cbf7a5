"""Carrying out a plan, a chunk in each transaction, and ending the run."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from contacts import contact_queries, keeping_queries, queries, run_queries, runs
from contacts.merging import merge, record_of
from contacts.planning import CHANGING, iso, now, reading_of
from contacts.reading import Reading
from contacts.records import Record, typed
from contacts.settings import Settings
from contacts.tables import ImportRun
from contacts.work import FindProposals
from shared.ahead import read_ahead
from shared.events import ContactsImported
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders

REMOVED = "removed_in_outlook"
OF_KNOWN = tuple(action for action in CHANGING if action != "new")
"""What is done to a contact that is there."""
OUTDATED = {
    "code": "plan_outdated",
    "detail": "Contacts were changed after the preview was made, so nothing was imported. This is a fresh preview.",
}


async def run(job: Job, run_id: str, settings: Settings) -> None:
    """Carry out the plan from wherever it stands."""
    async with job.unit_of_work() as work:
        found = await runs.going_on(work, run_id, "running")
        if not await runs.require_current(work, found):
            await runs.plan_anew(work, found)
            found.remarks = [*found.remarks, OUTDATED]
            return
        await runs.hold(work, found)
    await _finish_reading(job, run_id, settings.import_chunk)
    await _create(job, run_id, 2 * settings.import_chunk)
    chunks = _chunks(job, found, settings.import_chunk)
    async with aclosing(read_ahead(chunks, 1, lambda _: 1)) as coming:
        async for rows in coming:
            async with job.unit_of_work() as work:
                found = await runs.going_on(work, run_id, "running")
                await _carry_out(work, found, rows)
                await work.save_checkpoint({"done": found.done})  # so that a worker that stops leaves after this chunk
    async with job.unit_of_work() as work:
        await _finish(work, await runs.going_on(work, run_id, "running"))


async def _create(job: Job, run_id: str, size: int) -> None:
    """New contacts are in the plan as they will be stored, so the database copies them.

    This worker holds none of them, so a transaction makes twice as many as it changes.
    """
    after, full = "", True
    while full:
        async with job.unit_of_work() as work:
            found = await runs.going_on(work, run_id, "running")
            made = await run_queries.create(work.session, found, after, size)
            if made.n:
                await queries.turn_page(work.session, found.org_id, queries.books_of(found.user_id, share=found.share))
                _count(found, made.n, {"created": made.n})
                await work.save_checkpoint({"done": found.done})
            after, full = made.last, made.n == size


async def _finish_reading(job: Job, run_id: str, size: int) -> None:
    """Rows that the version before read have no contact yet."""
    rows: Any = True
    while rows:
        async with job.unit_of_work() as work:
            found = await runs.going_on(work, run_id, "running")
            at, rows = iso(found.made_at), await run_queries.unfinished(work.session, found, size)
            records = {row.source_id: record_of(Reading(**row.reading), source=row.source_id, at=at) for row in rows}
            made = [contact_queries.columns_of(record) | {"source_id": key} for key, record in records.items()]
            await run_queries.finish(work.session, found, made)


async def _chunks(job: Job, run: ImportRun, size: int) -> AsyncIterator[list[Any]]:
    """The other rows to carry out, a chunk while the one before is written."""
    after = ""
    while True:
        async with job.unit_of_work() as work:
            await runs.plan_each_time(work.session)
            rows = await run_queries.due(work.session, run, OF_KNOWN, after, size)
        if not rows:
            return
        yield rows
        after = rows[-1].source_id


async def _carry_out(work: JobWork, found: ImportRun, rows: list[Any]) -> None:
    held = await contact_queries.locked(work.session, found.org_id, [row.contact_id for row in rows if row.contact_id])
    leaving = [row.source_id for row in rows if row.action == "removed"]
    elsewhere = await run_queries.with_other_sources(work.session, found.org_id, list(held), leaving)
    chunk = _Chunk(found, held, elsewhere)
    for row in rows:
        chunk.take(row)
    await contact_queries.change_all(work.session, found.org_id, list(chunk.changed.values()))
    await run_queries.carried(work.session, found, chunk.rows)
    if chunk.changed:
        await queries.turn_page(work.session, found.org_id, sorted(chunk.books))
    _count(found, len(rows), chunk.count)


def _count(found: ImportRun, done: int, count: dict[str, int]) -> None:
    found.done += done
    found.outcome = {name: found.outcome.get(name, 0) + count.get(name, 0) for name in found.outcome | count}


class _Chunk:
    """What one transaction of a run writes. Two rows of one contact see each other's change."""

    def __init__(self, run: ImportRun, held: dict[str, Any], elsewhere: set[str]) -> None:
        self._run = run
        self._held = held
        self._elsewhere = elsewhere
        self._at = now()
        self.changed: dict[str, dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.count: dict[str, int] = {}
        self.books = {run.user_id}

    def take(self, row: Any) -> None:
        if row.contact_id not in self._held or row.dropped:
            self._note(row, None, "kept", "kept_back")  # the person deleted the contact while the import ran
        elif row.action == "removed":
            self._remove(row)
        else:
            self._change(row)

    def _change(self, row: Any) -> None:
        contact = self._held[row.contact_id]
        merged = merge(self._record(contact), reading_of(row), source=row.source_id, at=self._at)
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
        kept = {"store": False, "removed": False, "journal": None}
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
