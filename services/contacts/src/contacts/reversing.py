"""Undoing a run: its journal backwards, so that what nobody changed since is as it was before."""

from typing import Any

from contacts import contact_queries, queries, run_queries, runs, telling
from contacts.merging import changes_of_new, record_of
from contacts.planning import iso
from contacts.reading import Reading
from contacts.records import Change, Record, is_empty
from contacts.running import REMOVED
from contacts.settings import Settings
from contacts.tables import ImportRun
from contacts.undoing import undo
from shared.jobs.job import Job, JobWork
from shared.mailboxes import folders

_DELETED = "The contact was deleted in Prospo after the import."


async def reverse(job: Job, run_id: str, settings: Settings) -> None:
    """Undo the run from wherever it stands. What was changed since the run is kept, and its row says so."""
    async with job.unit_of_work() as work:
        run = await runs.going_on(work, run_id, "undoing")
        await runs.hold(work, run)
    while True:
        async with job.unit_of_work() as work:
            run = await runs.going_on(work, run_id, "undoing")
            rows = await run_queries.to_undo(work.session, run, settings.import_chunk)
            if not rows:
                await _finish(work, run)
                return
            await _undo(work, run, rows)
            await work.save_checkpoint({"undone": run.undone})


async def _undo(work: JobWork, run: ImportRun, rows: list[Any]) -> None:
    held = await contact_queries.locked(work.session, run.org_id, [row.contact_id for row in rows if row.contact_id])
    records: dict[str, Record] = {}
    gone: set[str] = set()
    said = [_reverse(run, row, held, records, gone) for row in rows]
    changed = [
        {"id": id_, "archive": held[id_].archived_because not in {None, REMOVED}, "because": held[id_].archived_because}
        | contact_queries.columns_of(record)
        for id_, record in records.items()
        if id_ not in gone
    ]
    await contact_queries.change_all(work.session, run.org_id, changed)
    await contact_queries.delete_all(work.session, run.org_id, sorted(gone))
    reversed_ = {one["source_id"] for one in said if one["undone"] == "reversed"}
    fresh = [row.source_id for row in rows if row.source_id in reversed_ and row.prior is None]
    await run_queries.forget_sources(work.session, run.org_id, fresh)
    await run_queries.put_back(work.session, [row.prior for row in rows if row.source_id in reversed_ and row.prior])
    await run_queries.undone(work.session, run, said)
    shared = any(contact.shared for contact in held.values())
    users = {run.user_id, *(contact.user_id for contact in held.values()), *([queries.SHARED] if shared else [])}
    await queries.turn_page(work.session, run.org_id, sorted(users))
    run.undone = {
        name: run.undone.get(name, 0) + sum(one["undone"] == name for one in said)
        for name in ("reversed", "kept", "failed")
    }


def _reverse(
    run: ImportRun, row: Any, held: dict[str, Any], records: dict[str, Record], gone: set[str]
) -> dict[str, str]:
    contact = held.get(row.contact_id)
    if contact is None:
        return {"source_id": row.source_id, "undone": "kept", "why": _DELETED}
    record: Record = records.get(contact.id) or contact.record
    back = undo(record, _journal(run, row))
    records[contact.id] = back.record
    kept = [one for one in back.outcomes if one["outcome"] != "reversed"]
    if row.created and not kept and is_empty(back.record):
        gone.add(contact.id)
    if not kept:
        return {"source_id": row.source_id, "undone": "reversed", "why": ""}
    return {"source_id": row.source_id, "undone": kept[0]["outcome"], "why": kept[0]["sentence"]}


def _journal(run: ImportRun, row: Any) -> list[Change]:
    """What the run changed. The row of a contact that it made has the contact, or the reading, or, of older runs,
    what others have.
    """
    if row.created and row.record is not None:
        return changes_of_new(row.record)
    if isinstance(row.journal, dict):
        at = iso(run.started_at or run.made_at)
        return changes_of_new(record_of(Reading(**row.journal), source=row.source_id, at=at))
    return row.journal or []


async def _finish(work: JobWork, run: ImportRun) -> None:
    """The next import reads the folders whole: what was undone is offered again."""
    whose = {"org_id": run.org_id, "user_id": run.user_id, "account": run.account}
    await folders.read_anew(work.session, whose, [folder["id"] for folder in run.folders])
    await runs.finish(work, run, "undone")
    await telling.tell(work, run.user_id)
