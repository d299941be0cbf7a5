"""The session of a transaction."""

from functools import cached_property
from typing import Any

import sqlalchemy.ext.asyncio
import sqlalchemy.orm
import sqlmodel
import sqlmodel.ext.asyncio.session
from sqlalchemy import Result, TextClause

from shared.database.driver import Driver


class _SyncSession(sqlmodel.Session):
    execute = sqlalchemy.orm.Session.execute


class Session(sqlmodel.ext.asyncio.session.AsyncSession):
    """SQLModel's session for SQL that is mostly ``text()``: such a statement goes to the driver at once, and sees the
    rows that were changed as objects before it. What keeps objects is made when it is first asked for."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    @cached_property
    def sync_session(self) -> _SyncSession:  # type: ignore[override]
        made = _SyncSession(self._driver.connection.sync_connection, expire_on_commit=False)
        self._assign_proxied(made)
        return made

    @property
    def _proxied(self) -> _SyncSession:  # type: ignore[override]
        return self.sync_session

    @property
    def keeps_objects(self) -> bool:
        return "sync_session" in vars(self)

    async def execute(self, statement: Any, params: Any = None, **more: Any) -> Result[Any]:
        if isinstance(statement, TextClause):
            if self.keeps_objects and (self.new or self.dirty or self.deleted):
                await self.flush()
            return await self._driver.rows(statement, params or {})
        result: Result[Any] = await sqlalchemy.ext.asyncio.AsyncSession.execute(self, statement, params, **more)
        return result
