"""The databases that tests share."""

import pytest

from shared.testing.databases import Databases, TestDatabase

NAME = "half"


async def ended(made: TestDatabase) -> None:
    raise TimeoutError


async def whole(made: TestDatabase) -> None:
    """Nothing is in it."""


async def test_a_database_whose_making_was_ended_is_made_anew(databases: Databases) -> None:
    with pytest.raises(TimeoutError):
        await databases.empty(NAME, ended)
    made = await databases.empty(NAME, whole)
    assert made == databases.named(NAME)
