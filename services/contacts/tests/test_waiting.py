"""What waits for what: reading does not wait for writing, and a request for its plan not for a poll."""

import asyncio
from typing import Any

import pytest

from contacts import row_queries
from shared.testing.waiting import until


@pytest.mark.parametrize("settings", [{"contacts_page_size": 2}])
async def test_pages_are_asked_for_before_others_are_written(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six pages are in memory at most: two are written, two are made into rows, two are fetched."""
    await house.connect()
    await house.microsoft.do("contacts_seed", user="anna@contoso.example", count=24)
    put = row_queries.put
    asked: list[int] = []

    async def fifth_is_asked_for() -> bool:
        return bool(await house.asked("GET", "/contacts/delta") >= 5)

    async def slow_put(*args: Any) -> None:
        if not asked:
            await until(fifth_is_asked_for)
        asked.append(await house.asked("GET", "/contacts/delta"))
        await put(*args)

    monkeypatch.setattr(row_queries, "put", slow_put)
    assert (await house.preview())["read_count"] == 24
    assert all(count <= 2 * written + 6 for written, count in enumerate(asked)), asked
    assert len(asked) == 6


@pytest.mark.parametrize("settings", [{"import_wait_s": 600}])
async def test_a_request_hears_of_its_plan_when_it_is_committed(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No poll finds it: the request looks before the plan is there, and again only when the commit wakes it."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    until_woken, looked = house.service.db.wakes.until, asyncio.Event()

    async def without_polls(name: str, read: Any, settled: Any, *, within_s: float) -> Any:
        async def look() -> Any:
            found = await read()
            looked.set()
            return found

        return await until_woken(name, look, settled, within_s=within_s, every_s=within_s)

    monkeypatch.setattr(house.service.db.wakes, "until", without_polls)
    body, headers = {"folders": [await house.folder()]}, {"Idempotency-Key": "k"}
    asking = asyncio.create_task(house.call("POST", "/v1/contacts/imports", json=body, headers=headers))
    async with asyncio.timeout(60):
        await looked.wait()
        await house.work()
        answer = await asking
    assert (answer.status_code, answer.json()["status"], answer.json()["plan"]) == (201, "planned", {"new": 1})
