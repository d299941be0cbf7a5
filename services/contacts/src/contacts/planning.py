"""Deciding what the run will do with each row: the plan is the preview, and the run does nothing else."""

from datetime import UTC, datetime
from typing import Any

from contacts import queries, row_queries, runs
from contacts.matching import Card, card_of_reading, card_of_record, link
from contacts.merging import Merged, merge, reading_in
from contacts.reading import Reading
from contacts.records import Record
from contacts.settings import Settings
from contacts.tables import ImportRun
from contacts.waiting import plan_of
from shared.jobs.job import Job, JobWork

CHANGING = ("new", "changed", "conflict", "removed")
"""Actions that write."""


async def plan(job: Job, run_id: str, settings: Settings) -> None:
    """Decide every row of what was read, then show the plan. May be done again from anywhere."""
    async with job.unit_of_work() as work:
        run = await runs.going_on(work, run_id, "reading")
        books = await queries.books(work.session, run.org_id, queries.books_of(run.user_id, share=run.share))
        run.base = books[run.user_id].revision
        run.shared_base = books[queries.SHARED].revision if run.share else None
        run.removals = await queries.policy(work.session, run.org_id)
        await row_queries.plan_anew(work.session, run)
        await row_queries.settle(work.session, run)
    await _merge_known(job, run_id, settings)
    async with job.unit_of_work() as work:
        run = await runs.going_on(work, run_id, "reading")
        await _link(work, run)
        await _show(work, run, settings)
        work.wake(plan_of(run_id))


async def _merge_known(job: Job, run_id: str, settings: Settings) -> None:
    """Sources that a contact has already: what their change does to it."""
    after, full = "", True
    while full:
        async with job.unit_of_work() as work:
            run = await runs.going_on(work, run_id, "reading")
            rows = await row_queries.to_merge(work.session, run, after, settings.import_chunk)
            decided = [_decided(row, row.contact_id, row.record, "same_source") for row in rows]
            for row, one in zip(rows, decided, strict=True):
                if row.was_removed and one["action"] == "same":
                    one |= {"action": "changed", "why": "back_in_outlook"}
            await row_queries.decide(work.session, run, decided)
            full = len(rows) == settings.import_chunk
            after = rows[-1].source_id if rows else after


async def _link(work: JobWork, run: ImportRun) -> None:
    """Rows that are the same person as a contact without a source of this account, by one address of both."""
    present = await row_queries.present(work.session, run)
    if not present:
        return
    addresses = sorted({email for row in present for email in card_of_record(row.id, row.record).emails})
    rows = {row.source_id: row for row in await row_queries.sharing_an_address(work.session, run, addresses)}
    incoming = [_card(row) for row in rows.values()]
    apart = await row_queries.apart(work.session, run)
    links = link(incoming, [card_of_record(row.id, row.record) for row in present], apart=apart)
    records = {row.id: row.record for row in present if not row.taken}
    decided = [
        _decided(rows[one.card], one.contact, records[one.contact], f"{one.why}:{one.value}")
        for one in links
        if one.contact in records and rows[one.card].open
    ]
    await row_queries.decide(work.session, run, decided)


def _card(row: Any) -> Card:
    return card_of_reading(row.source_id, reading_of(row))


def reading_of(row: Any) -> Reading:
    """What was read: ``read``, with its ``change_key``; a row of the version before has the ``reading`` itself."""
    return Reading(**row.reading) if row.reading is not None else reading_in(row.read, version=row.change_key)


def _decided(row: Any, contact_id: str, record: Record, why: str) -> dict[str, Any]:
    merged = merge(record, reading_of(row), source=row.source_id, at=now())
    return {
        "source_id": row.source_id,
        "contact_id": contact_id,
        "why": why,
        "action": _action(merged),
        "changed": sorted({change["field"] for change in merged.changes}),
    }


def _action(merged: Merged) -> str:
    if merged.conflicts:
        return "conflict"
    return "changed" if merged.changes else "same"


def now() -> str:
    return iso(datetime.now(UTC))


def iso(moment: datetime) -> str:
    """In UTC, to the second, as records keep it."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


async def _show(work: JobWork, run: ImportRun, settings: Settings) -> None:
    """The preview. A run of a folder that is kept in step goes on at once, unless it has to ask."""
    run.counts = await row_queries.counts(work.session, run)
    run.total, run.done = sum(run.counts.get(action, 0) for action in CHANGING), 0
    run.asks = await _asks(work, run, settings)
    run.status, run.problem = "planned", None
    if run.by_itself and run.asks is None:
        runs.start(work, run)


async def _asks(work: JobWork, run: ImportRun, settings: Settings) -> dict[str, Any] | None:
    """A folder that became empty, or many contacts removed at once, is more often a mishap than a wish."""
    found = await row_queries.alive(work.session, run)
    gone, before = sum(row.gone for row in found), sum(row.n for row in found)
    if gone < settings.removals_ask_from:
        return None
    emptied = [row.folder_id for row in found if row.gone == row.n]
    if not emptied and gone <= before * settings.removals_ask_share:
        return None
    names = [folder["name"] for folder in run.folders if folder["id"] in emptied]
    what = f"Every contact of “{names[0]}” was" if names else f"{gone} of {before} contacts were"
    then = "archived where nobody changed them" if run.removals == "archive" else "kept, with a remark"
    detail = f"{what} removed in Outlook. Confirm that this is right; the contacts are then {then}."
    return {"code": "many_removed", "detail": detail, "removed": gone, "of": before}
