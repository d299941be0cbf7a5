"""A ``text()`` by the driver answers what SQLAlchemy answers, and is refused as by SQLAlchemy."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlmodel import Field, SQLModel

from shared.database.driver import Driver
from shared.database.unit_of_work import Database
from shared.testing.databases import Databases, TestDatabase, connect

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Slip(SQLModel, table=True):
    id: int = Field(primary_key=True)
    words: str


async def one_table(made: TestDatabase) -> None:
    owner = await connect(made.owner_url)
    await owner.execute("CREATE TABLE slip (id int PRIMARY KEY, words text)")
    await owner.execute("GRANT ALL ON slip TO PUBLIC")
    await owner.close()


@pytest.fixture
async def db(databases: Databases) -> AsyncIterator[Database]:
    made = await databases.empty("driver", one_table)
    opened = Database(made.url, request_url=made.request_url)
    yield opened
    await opened.close()


STATEMENTS = {
    "a name twice": ("SELECT CAST(:n AS int) + 1 AS more, CAST(:n AS int) AS same", {"n": 3}),
    "names in another order": ("SELECT CAST(:b AS text) AS b, CAST(:a AS text) AS a", {"a": "a", "b": "b"}),
    "a colon that is no name": ("SELECT '10\\:30' AS at, 1::int AS one", {}),
    "types": (
        "SELECT CAST(:at AS timestamptz) AS at, CAST(:json AS jsonb) AS json, CAST(:many AS text[]) AS many, :no AS no",
        {"at": NOON, "json": '{"a": [1, null, "é"]}', "many": ["x", "y"], "no": None},
    ),
    "values that nobody asked for": ("SELECT 1 AS one", {"more": 2}),
    "several rows": ("SELECT n, 'r' || n AS words FROM generate_series(1, :count) n", {"count": 3}),
    "no row": ("SELECT n FROM generate_series(1, 0) n", {}),
}


@pytest.mark.parametrize("about", STATEMENTS)
async def test_a_text_answers_what_it_answers_by_sqlalchemy(db: Database, about: str) -> None:
    statement, values = STATEMENTS[about]
    async with db.service_engine.connect() as connection:
        driver = Driver(connection)
        for _ in range(2):
            ours, theirs = [
                [
                    [dict(row) for row in (await ask(text(statement), values)).mappings()],
                    (await ask(text(statement), values)).first(),
                    (await ask(text(statement), values)).scalar(),
                    (await ask(text(statement), values)).scalars().all(),
                ]
                for ask in (driver.rows, connection.execute)
            ]
            assert ours == theirs


@pytest.mark.parametrize(
    ("statement", "values", "kind", "state"),
    [
        ("INSERT INTO slip (id) VALUES (:id)", {"id": 1}, IntegrityError, "23505"),
        ("SELECT nothing FROM slip", {}, DBAPIError, "42703"),
        ("SELECT CAST(:id AS int) / 0", {"id": 1}, DBAPIError, "22012"),
    ],
)
async def test_what_is_refused_has_its_kind_and_state(
    db: Database, statement: str, values: dict[str, Any], kind: type[Exception], state: str
) -> None:
    async with db.system_work() as work:
        await work.session.execute(text("INSERT INTO slip (id, words) VALUES (1, 'taken')"))
    with pytest.raises(kind) as refused:
        async with db.system_work() as work:
            await work.session.execute(text(statement), values)
    assert refused.value.orig.sqlstate == state  # type: ignore[attr-defined]


async def test_two_columns_of_one_name_are_ambiguous(db: Database) -> None:
    async with db.system_work() as work:
        row = (await work.session.execute(text("SELECT 1 AS one, 2 AS two, 3 AS one"))).one()
    assert (row.two, tuple(row)) == (2, (1, 2, 3))
    with pytest.raises(InvalidRequestError, match="Ambiguous column name 'one'"):
        _ = row.one


async def test_a_missing_value_is_named(db: Database) -> None:
    with pytest.raises(KeyError, match="words"):
        async with db.system_work() as work:
            await work.session.execute(text("SELECT :words"), {"word": ""})


async def test_a_text_sees_what_was_changed_as_objects_before_it(db: Database) -> None:
    async with db.system_work() as work:
        work.session.add(Slip(id=7, words="new"))
        count = text("SELECT count(*) FROM slip WHERE words = 'new'")
        assert (await work.session.execute(count)).scalar() == 1
    async with db.system_work() as work:
        (slip,) = (await work.session.exec(select(Slip))).scalars()
        slip.words = "newer"
    async with db.system_work() as work:
        assert (await work.session.execute(text("SELECT words FROM slip"))).scalar() == "newer"


async def test_a_transaction_of_text_alone_makes_nothing_that_keeps_objects(db: Database) -> None:
    async with db.system_work() as work:
        await work.session.execute(text("SELECT 1"))
        assert not work.session.keeps_objects
        assert not work.session.new
        assert work.session.keeps_objects
