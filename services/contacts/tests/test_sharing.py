"""Whose contacts they are: the importer's alone, unless shared; and two importers at once."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from contacts.main import create_service
from contacts.settings import Settings
from shared.database.driver import Driver
from shared.testing.harness import StartService

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
PEOPLE = ("anna", "ben")


async def test_contacts_are_their_importers_unless_shared(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.add("Bo", "Beck", "bo@x.example")
    await house.imported()
    assert await house.names("ben") == []
    ada = await house.contact("Ada Abel")
    assert (await house.call("GET", f"/v1/contacts/{ada['id']}", user="ben")).status_code == 404
    shared = await house.edit(ada, shared=True)
    assert shared.json()["shared"] is True
    (seen,) = await house.contacts("ben")
    assert (seen["name"], seen["mine"], seen["conflicts"]) == ("Ada Abel", False, 0)
    headers = {"If-Match": f'"{seen["version"]}"'}
    refused = await house.call("DELETE", f"/v1/contacts/{ada['id']}", user="ben", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_yours")
    await house.edit(shared.json(), shared=False)
    assert await house.names("ben") == []


async def test_an_org_admin_sees_counts_and_no_address_book(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    answer = await house.call("GET", "/v1/contacts/counts", user="boss", roles=("org_admin",))
    assert answer.json() == {"contacts": 1, "shared": 0, "archived": 0, "people": 1, "imports": 1}
    listed = await house.call("GET", "/v1/contacts", user="boss", roles=("org_admin",))
    assert listed.json()["items"] == []


async def test_people_are_merged_across_importers_among_shared_contacts_only(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.add("Ada", "Abel", "ada@x.example", user=BEN, companyName="Northwind")
    await house.imported(share=False)
    alone = await house.preview(user="ben", share=True)
    assert alone["plan"] == {"new": 1}
    await house.edit(await house.contact("Ada Abel"), shared=True)
    assert (await house.preview(user="ben", share=False))["plan"] == {"new": 1}
    joined = await house.preview(user="ben", share=True)
    assert joined["plan"] == {"changed": 1}
    (row,) = await house.all_rows(joined, "ben")
    assert row["code"] == "same_email"
    await house.carry_out(joined, "ben")
    ada = await house.contact("Ada Abel")
    assert (ada["company"], ada["job_title"], len(ada["sources"])) == ("Northwind", "Buyer", 2)


@pytest.mark.parametrize("settings", [{"import_chunk": 2}])
async def test_two_people_importing_the_same_at_once_double_nothing(
    house: Any, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers at once. The second one's plan is out of date when its turn comes: it is made anew."""
    other = await start_service(create_service, Settings, "contacts")
    refused = refusals(monkeypatch)
    await house.connect()
    for user in (ANNA, BEN):
        for number in range(9):
            await house.add(f"Person {number}", "A", f"p{number}@x.example", user=user)

    async def both_work() -> None:
        await house.hurry()
        await asyncio.gather(house.work(), other.runner.drain())

    runs = [await made(house, user) for user in PEOPLE]
    await both_work()
    plans = [await house.run(run["id"], user) for run, user in zip(runs, PEOPLE, strict=True)]
    assert [plan["plan"] for plan in plans] == [{"new": 9}, {"new": 9}]
    started = await asyncio.gather(*(house.act(plan, "start", user) for plan, user in zip(plans, PEOPLE, strict=True)))
    assert [answer.status_code for answer in started] == [200, 200]
    for _ in range(4):
        await both_work()
    runs = [await house.run(plan["id"], user) for plan, user in zip(plans, PEOPLE, strict=True)]
    assert sorted(run["status"] for run in runs) == ["finished", "planned"]
    (late, user) = next((run, user) for run, user in zip(runs, PEOPLE, strict=True) if run["status"] == "planned")
    assert (late["plan"], [one["code"] for one in late["remarks"]]) == ({"changed": 9}, ["plan_outdated"])
    await house.carry_out(late, user)
    assert len(await house.names()) == 9
    undoing = list(zip(runs, PEOPLE, strict=True))
    await asyncio.gather(*(house.act(run, "undo", user) for run, user in undoing))
    for _ in range(4):
        await both_work()
    assert [(await house.run(run["id"], user))["status"] for run, user in undoing] == ["undone", "undone"]
    assert refused == []


def refusals(patch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets every statement that PostgreSQL refuses from now on."""
    refused: list[str] = []
    asking = Driver.asking

    @contextlib.contextmanager
    def noting(driver: Driver, statement: str) -> Iterator[None]:
        try:
            with asking(driver, statement):
                yield
        except DBAPIError as error:
            refused.append(str(error))
            raise

    patch.setattr(Driver, "asking", noting)
    return refused


async def made(house: Any, user: str) -> Any:
    body = {"folders": [await house.folder(user=user)], "share": True}
    answer = await house.call("POST", "/v1/contacts/imports", user=user, json=body, headers={"Idempotency-Key": "k"})
    return answer.json()
