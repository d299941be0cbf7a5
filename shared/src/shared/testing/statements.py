"""What a ``Database`` asks PostgreSQL."""

from typing import Any

from sqlalchemy import event

from shared.database.unit_of_work import Database
from shared.testing.pools import keep_no_pools


def statements_of(db: Database) -> list[str]:
    """A list that gets every statement of the pooled connections from now on, BEGIN and COMMIT too.

    In no order: the driver tells of a statement a little later. A statement for many rows is there once.
    """
    keep_no_pools(db)
    heard: list[str] = []

    def note(query: Any) -> None:
        heard.append(query.query)

    def hear(lent: Any, *_more: Any) -> None:
        lent.driver_connection.add_query_logger(note)  # kept once, however often the connection is lent

    def note_of_session(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        heard.append(statement)  # SQLAlchemy asks in a way that the driver does not log

    for engine in (db.engine, db.service_engine, db.system_engine):
        event.listen(engine.sync_engine, "checkout", hear)
        event.listen(engine.sync_engine, "before_cursor_execute", note_of_session)
    return heard
