"""Exports the data of a person or an organisation: one JSON document per service, written row by row."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text

from shared.database.unit_of_work import Database, UnitOfWork
from shared.privacy.erasure import OF_ORGANISATION, Delete, Holding, Holdings, Subject, declared


async def export(
    service: str, db: Database, holdings: Holdings, subject: Subject, provided: Mapping[str, Any]
) -> AsyncIterator[str]:
    """The document in pieces: the rows of the person, or of everybody, under declared names; no secret is one."""
    head = {"service": service, "organisation": subject.org_id, "person": subject.user_id}
    head |= {"exported_at": datetime.now(UTC).isoformat()}
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "data": {'
    async with db.operator_work(subject.org_id) as work:
        between = ""
        for held in declared(holdings).values():
            if subject.given(held):
                yield f"{between}\n{json.dumps(held.table)}: ["
                async for piece in _rows(work, held, subject, provided):
                    yield piece
                yield "]"
                between = ","
    yield "}}\n"


async def _rows(work: UnitOfWork, held: Holding, subject: Subject, provided: Mapping[str, Any]) -> AsyncIterator[str]:
    given = subject.given(held)
    columns = ", ".join(f'{column} AS "{name}"' for name, column in given.items())
    hidden = ", org_id AS of_organisation, id AS of_id" if held.described else ""
    query = text(f"SELECT {columns}{hidden} FROM {held.table} WHERE {_where(held, subject)}")
    between = "\n  "
    async for row in (await work.session.stream(query, subject.values)).mappings():
        shown = {name: row[name] for name in given}
        if held.described is not None:
            shown |= await held.described(dict(row), provided)
        yield between + json.dumps(shown, ensure_ascii=False, default=_plain)
        between = ",\n  "


def _where(held: Holding, subject: Subject) -> str:
    if subject.user_id is None:
        return OF_ORGANISATION.where
    if held.exported_where is not None:
        return held.exported_where
    assert isinstance(held.person, Delete)  # noqa: S101 - a test holds every declaration to it
    return held.person.where


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
