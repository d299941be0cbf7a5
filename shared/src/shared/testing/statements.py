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

    asking = Driver.asking

    def noting(driver: Driver, statement: str) -> Any:
        if driver.connection.engine in engines:
            heard.append(statement)
        return asking(driver, statement)

    patch.setattr(Driver, "asking", noting)
    for engine in engines:
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *told: heard.append(told[2]))
    return heard
