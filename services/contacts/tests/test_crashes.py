"""A worker dies at every commit of a round; another one goes on, and the outcome is as if nobody had died."""

from typing import Any

import pytest

from contacts.main import create_service
from contacts.settings import Settings
from shared.testing.harness import StartService
from tests.e2e.crashing import LEASES_END, MortalWorkers

ANNA = "anna@contoso.example"

pytestmark = pytest.mark.parametrize("settings", [{"contacts_page_size": 3, "import_chunk": 3}])


class Workers(MortalWorkers):
    def __init__(self, house: Any, start_service: StartService) -> None:
        self.house = house
        super().__init__(lambda: start_service(create_service, Settings, "contacts"))

    async def work(self) -> set[str]:
        """Everything due is done at last, by however many; the points at which one died."""
        before = set(self.survived)
        while await self.live():
            await self.house.sql(LEASES_END)
            await self.house.hurry()
        return self.survived - before


async def state(house: Any) -> Any:
    """What the round left, without ids and times."""
    contacts = "SELECT name, company, job_title, emails, version, archived_because FROM contact ORDER BY name"
    sources = """SELECT c.name, s.change_key, s.digest, s.removed_at IS NOT NULL, s.payload ->> 'jobTitle'
        FROM source_record s LEFT JOIN contact c ON c.id = s.contact_id ORDER BY s.id"""
    return await house.sql(contacts), await house.sql(sources)


async def test_death_at_every_commit_of_a_round_leaves_one_effect(house: Any, start_service: StartService) -> None:
    """Preview, run, the next round by delta and both undone. Every commit is deadly once, before it and after it."""
    workers = Workers(house, start_service)
    await house.connect()
    people = [await house.add(f"Person {number}", "A", f"p{number}@x.example") for number in range(7)]
    first = await asked(house, workers)
    assert (first["status"], first["plan"]) == ("planned", {"new": 7})
    done = await started(house, workers, first)
    assert (done["done"], done["outcome"]) == (7, {"created": 7, "unchanged": 0})
    before = await state(house)

    for person in people[:4]:
        await house.change(person, jobTitle="Chief")
    await house.microsoft.do("contact_delete", user=ANNA, contact=people[6]["immutable"])
    await house.add("New", "A", "new@x.example")
    second = await asked(house, workers)
    assert second["plan"] == {"changed": 4, "removed": 1, "new": 1, "same": 2}
    done = await started(house, workers, second)
    assert done["outcome"] == {"created": 1, "updated": 4, "removed": 1, "unchanged": 2}
    assert [row.version for row in (await state(house))[0]] == [1, 2, 2, 2, 2, 1, 1, 1]
    told = [(one["created"], one["updated"], one["removed"]) for one in await house.published("contacts.imported")]
    assert told == [(7, 0, 0), (1, 4, 1)]

    assert (await undone(house, workers, second))["undone"] == {"reversed": 6, "kept": 0, "failed": 0}
    contacts, sources = await state(house)
    assert ([row[:4] for row in contacts], sources) == ([row[:4] for row in before[0]], before[1])
    assert (await undone(house, workers, first))["undone"] == {"reversed": 7, "kept": 0, "failed": 0}
    assert await state(house) == ([], [])
    assert await house.jobs() == []
    assert_all_is_tried(workers.survived)


async def asked(house: Any, workers: Workers) -> Any:
    body, headers = {"folders": [await house.folder()]}, {"Idempotency-Key": f"k{len(workers.survived)}"}
    made = await house.call("POST", "/v1/contacts/imports", json=body, headers=headers)
    assert await workers.work()
    return await house.run(made.json()["id"])


async def started(house: Any, workers: Workers, run: Any) -> Any:
    assert (await house.act(run, "start")).status_code == 200
    assert await workers.work()
    return await house.run(run["id"])


async def undone(house: Any, workers: Workers, run: Any) -> Any:
    assert (await house.act(run, "undo")).status_code == 200
    await workers.work()
    return await house.run(run["id"])


def assert_all_is_tried(survived: set[str]) -> None:
    """Every kind of job and every table, on both sides of the commit, and more than one chunk of it."""
    for side in ("before", "after"):
        points = " | ".join(point for point in survived if point.startswith(f"contacts: {side}"))
        for kind in ("read_import", "run_import", "undo_import"):
            assert f"commit of job {kind}" in points, kind
        for table in ("import_row", "contact", "source_record", "outbox", "mailbox_folder", "book"):
            assert f" {table}" in points, table
        assert "#2" in points
