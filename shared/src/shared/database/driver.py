"""PostgreSQL's driver under a transaction, past SQLAlchemy."""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import Result, TextClause
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

_VALUE = re.compile(r"(invalid input for query argument \$[0-9]+[^:]{0,60}):.*", re.DOTALL)
"""The text with which asyncpg names a value that it cannot send."""
ROLLBACK_S = 2.0
"""Seconds for a ROLLBACK, after which its connection is closed: the server may be gone without a word."""
_DIALECT: Any = dialect.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy gives it none


@lru_cache(maxsize=2000)
def _compiled(sql: str) -> tuple[str, tuple[str, ...]]:
    """The text of a ``text()`` with ``$1`` for its first name, and the names in order."""
    compiled: Any = TextClause(sql).compile(dialect=_DIALECT)
    return str(compiled), tuple(compiled.positiontup or ())


@lru_cache(maxsize=2000)
def _columns(names: tuple[str, ...]) -> SimpleResultMetaData:
    return SimpleResultMetaData(names, _ambiguous_keys=frozenset(name for name in names if names.count(name) > 1))


_NO_ROWS = SimpleResultMetaData(["column"])


class Driver:
    """A pooled connection without SQLAlchemy's layers, which cost more than most statements do.

    Each method raises ``DBAPIError``, as a session does. Statements have ``$1``, but for ``text()``.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        lent: Any = connection.sync_connection
        self.connection = connection
        self.info: dict[str, Any] = lent.info
        self._driver: Any = lent.connection.driver_connection
        self._cut_off = False

    async def execute(self, statement: str) -> str:
        """Run a statement without values. Returns PostgreSQL's command tag, such as ``COMMIT``."""
        with self.asking(statement):
            return str(await self._driver.execute(statement))

    async def first(self, statement: str, values: Sequence[Any]) -> Mapping[str, Any]:
        """The first row of the answer."""
        with self.asking(statement):
            row: Mapping[str, Any] = await self._driver.fetchrow(statement, *values)
            return row

    async def rows(self, statement: TextClause, values: Mapping[str, Any]) -> Result[Any]:
        """SQLAlchemy's answer to a ``text()``, without ``rowcount``. ``KeyError`` names a value that is missing."""
        sql, names = _compiled(statement.text)
        with self.asking(sql):
            found = await self._driver.fetch(sql, *[values[name] for name in names])
        columns = _columns(tuple(found[0].keys())) if found else _NO_ROWS
        return IteratorResult(columns, map(tuple, found))

    async def execute_each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a statement for each row, in order; all are sent before the first answer is awaited."""
        with self.asking(statement):
            if len(rows) == 1:  # the driver takes half as long as for a list of one
                await self._driver.execute(statement, *rows[0])
            else:
                await self._driver.executemany(statement, rows)

    async def close(self) -> None:
        """Give the connection back, for others only when its transaction has ended; one that has not is rolled back.

        One on which a statement was cancelled is closed: the driver would wait for that statement before the next one,
        however long.
        """
        try:
            if not (self._cut_off or self._driver.is_closed()) and self._driver.is_in_transaction():
                with contextlib.suppress(DBAPIError, OSError, TimeoutError):
                    async with asyncio.timeout(ROLLBACK_S):
                        await self.execute("ROLLBACK")
        finally:
            if self._cut_off or self._driver.is_closed() or self._driver.is_in_transaction():
                await self.connection.invalidate()
            await self.connection.close()

    @contextlib.contextmanager
    def asking(self, statement: str) -> Iterator[None]:
        """Around every statement, once: turns the driver's errors into SQLAlchemy's, without the values."""
        try:
            yield
        except asyncio.CancelledError:
            self._cut_off = True
            raise
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            strip_values(error)
            # The server has ended the session, and its end of the connection is not closed yet: an internal error.
            lost = self._driver.is_closed() or isinstance(error, asyncpg.InternalClientError)
            refused = isinstance(error, asyncpg.IntegrityConstraintViolationError)
            kind = IntegrityError if refused else DBAPIError
            raise kind(statement, None, error, hide_parameters=True, connection_invalidated=lost) from error


def strip_values(error: BaseException) -> None:
    """Take out what PostgreSQL and asyncpg quote: PostgreSQL's DETAIL has the row, asyncpg's text the value."""
    if isinstance(getattr(error, "detail", None), str):
        error.detail = None  # type: ignore[attr-defined]
    error.args = tuple(_without_values(said) if isinstance(said, str) else said for said in error.args)


def _without_values(said: str) -> str:
    return _VALUE.sub(r"\1", said.partition("\nDETAIL:")[0])
