"""The problem rows of an import as a CSV file, a page of rows at a time."""

import csv
import io
from collections.abc import AsyncIterator

from contacts import run_queries
from contacts.models import Row
from contacts.tables import ImportRun
from shared.database.unit_of_work import Database

AT_ONCE = 500
_HEAD = ["name", "what", "code", "field", "why", "undone", "why kept"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def lines(db: Database, run: ImportRun) -> AsyncIterator[str]:
    """The file, in UTF-8 with a mark so that Excel reads it so."""
    yield "\ufeff" + _lines([_HEAD])
    after = ["", ""]
    while True:
        async with db.unit_of_work(run.org_id) as work:
            rows = await run_queries.problems(work.session, run, after, AT_ONCE)
        if not rows:
            return
        yield _lines([_cells(Row.of(row)) for row in rows])
        after = [rows[-1].sort_name, rows[-1].source_id]


def _cells(row: Row) -> list[str]:
    said = [row.name, row.action, row.code, row.field, row.sentence, row.undone, row.undone_why]
    return [_plain(text or "") for text in said]


def _plain(text: str) -> str:
    """A cell that begins like a formula would be worked out by a spreadsheet."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()
