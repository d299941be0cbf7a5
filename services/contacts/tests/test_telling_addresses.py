"""What mail is told: every change of an address, owner or sharing, once, in the order of finished transactions."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings
from shared.web.identity import ServiceTokens


@pytest.fixture(autouse=True)
def mail(house: Any, make_settings: MakeSettings) -> None:
    """The service that asks."""
    house.mail = ServiceTokens(make_settings(ServiceSettings, "mail"), "mail")


async def told(house: Any, after: str = "", limit: int = 500) -> Any:
    headers = {"Authorization": f"Bearer {house.mail.issue('contacts')}"}
    body = {"org_id": "acme", "after": after, "limit": limit}
    answer = await house.http.post("/internal/addresses", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def all_told(house: Any, after: str = "", limit: int = 500) -> Any:
    """Addresses by the contact's id, and the last cursor."""
    found, more = {}, True
    while more:
        page = await told(house, after, limit)
        found |= {one["contact_id"]: (one["user_id"], one["shared"], one["addresses"]) for one in page["items"]}
        after, more = page["cursor"], page["more"]
    return found, after


async def test_an_import_an_edit_and_a_deletion_are_told_once(house: Any) -> None:
    await house.connect()
    for number in range(5):
        await house.add(f"P{number}", "A", f"P{number}@X.example", f"home{number}@x.example")
    await house.imported()
    found, cursor = await all_told(house, limit=2)
    assert sorted(addresses for _, _, addresses in found.values()) == [
        [f"p{number}@x.example", f"home{number}@x.example"] for number in range(5)
    ]
    assert await all_told(house, cursor) == ({}, cursor)
    first, second = await house.contact("P0 A"), await house.contact("P1 A")
    await house.edit(first, shared=True)
    await house.delete(second)
    await house.edit(await house.contact("P2 A"), fields={"notes": "n"})
    found, cursor = await all_told(house, cursor)
    assert found == {
        first["id"]: ("anna", True, ["p0@x.example", "home0@x.example"]),
        second["id"]: ("anna", False, []),
    }
    changed = await house.published("contacts.changed")
    assert [one["user_id"] for one in changed] == ["anna"] * 3
    assert "x.example" not in str(changed)


async def test_a_change_that_commits_late_is_not_passed_over(house: Any) -> None:
    """A transaction that began first and commits last: its change comes after what was told meanwhile."""
    await house.connect()
    await house.add("Ada", "A", "ada@x.example")
    await house.add("Bo", "B", "bo@x.example")
    await house.imported()
    _, cursor = await all_told(house)
    change = text("UPDATE contact SET emails = ARRAY[:address] WHERE name = :name")
    changed, commit = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with house.service.db.unit_of_work("acme") as work:
            await work.session.execute(change, {"name": "Ada A", "address": "late@x.example"})
            changed.set()
            await commit.wait()

    task = asyncio.create_task(late())
    await changed.wait()
    async with house.service.db.unit_of_work("acme") as work:
        await work.session.execute(change, {"name": "Bo B", "address": "early@x.example"})
    page = await told(house, cursor)
    commit.set()
    await task
    found, _ = await all_told(house, page["cursor"])
    seen = [one["addresses"] for one in page["items"]] + [addresses for *_, addresses in found.values()]
    assert sorted(seen) == [["early@x.example"], ["late@x.example"]]
    assert page["more"]
