"""What a ``Database`` asks PostgreSQL."""

from typing import Any

import pytest
from sqlalchemy import event

from shared.database.driver import Driver
from shared.database.unit_of_work import Database


def statements_of(db: Database, patch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets every statement of the pooled connections from now on, in order, BEGIN and COMMIT too.

    A statement for many rows is there once.
    """
    heard: list[str] = []
    engines = (db.engine, db.service_engine, db.system_engine)

    def noting(ask: Any) -> Any:
        async def asks(driver: Driver, statement: str, *values: Any) -> Any:
            if driver.connection.engine in engines:
                heard.append(statement)
            return await ask(driver, statement, *values)

        return asks

    for name in ("execute", "first", "execute_each"):
        patch.setattr(Driver, name, noting(getattr(Driver, name)))
    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *told: heard.append(told[2]))
    return heard
