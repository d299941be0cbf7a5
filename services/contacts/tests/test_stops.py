"""What stops a run, how it says so, and how it goes on."""

from typing import Any

import pytest

from contacts import row_queries, run_queries

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


async def test_the_switch_stops_a_run_and_lets_it_go_on(house: Any) -> None:
    """Off: nothing more is asked of Microsoft, the import says why. On: it goes on by itself."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    body = {"json": {"folders": [await house.folder()]}, "headers": {"Idempotency-Key": "k"}}
    run = (await house.call("POST", "/v1/contacts/imports", **body)).json()
    await house.hear(house.tenant(2, on=False))
    asked = await house.asked()
    await house.work()
    stopped = await house.run(run["id"])
    assert (stopped["status"], stopped["problem"]["code"]) == ("reading", "feature_off")
    assert await house.asked() == asked
    refused = await house.call("GET", "/v1/contacts/folders")
    assert (refused.status_code, refused.json()["code"]) == (409, "feature_off")
    await house.hear(house.tenant(3))
    await house.work()
    plan = await house.run(run["id"])
    assert (plan["status"], plan["problem"], plan["plan"]) == ("planned", None, {"new": 1})
    await house.act(plan, "start")
    await house.hear(house.tenant(4, on=False))
    await house.work()
    assert (await house.run(run["id"]))["problem"]["code"] == "feature_off"
    assert await house.contacts() == []
    await house.hear(house.tenant(5))
    await house.work()
    assert (await house.run(run["id"]))["status"] == "finished"


async def test_a_person_without_a_connection_is_told_the_way_out(house: Any) -> None:
    refused = await house.call("GET", "/v1/contacts/folders")
    assert refused.json()["code"] == "tenant_not_connected"
    await house.hear(house.tenant(1))
    body = {"json": {"folders": ["f"]}, "headers": {"Idempotency-Key": "k"}}
    refused = await house.call("POST", "/v1/contacts/imports", **body)
    assert (refused.status_code, refused.json()["code"], refused.json()["link"]) == (
        409,
        "account_not_connected",
        "/integrations",
    )


async def test_an_import_of_another_account_waits_for_it(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    run = await house.preview()
    await house.hear(house.person(2, account=BEN))
    refused = await house.act(run, "start")
    assert refused.json()["code"] == "another_account"
    await house.hear(house.person(3))
    assert (await house.carry_out(run))["status"] == "finished"


async def test_a_plan_out_of_date_is_refused_with_a_fresh_one(house: Any) -> None:
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.imported()
    await house.change(ada, jobTitle="Director")
    plan = await house.preview()
    assert plan["plan"] == {"changed": 1}
    await house.edit(await house.contact("Ada Abel"), fields={"job_title": "Chief"})
    refused = await house.act(plan, "start")
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_outdated")
    assert (await house.contact("Ada Abel"))["job_title"] == "Chief"
    await house.work()
    fresh = await house.run(plan["id"])
    assert (fresh["status"], fresh["plan"]) == ("planned", {"conflict": 1})
    assert (await house.carry_out(fresh))["outcome"]["conflicts"] == 1


async def test_a_cancelled_run_keeps_what_it_did_and_can_be_undone(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    plan = await house.preview()
    assert (await house.act(plan, "start")).json()["status"] == "running"
    assert (await house.act(plan, "cancel")).json()["status"] == "cancelled"
    await house.work()
    assert (await house.contacts(), (await house.run(plan["id"]))["status"]) == ([], "cancelled")
    assert (await house.undo(plan))["status"] == "undone"
    assert (await house.imported())["outcome"]["created"] == 1


@pytest.mark.parametrize("settings", [{"import_chunk": 3}])
@pytest.mark.parametrize("at", ["read", "run", "undo"])
async def test_a_worker_that_dies_leaves_one_effect(house: Any, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies between two chunks; another one goes on, and the outcome is as if nothing had happened."""
    await house.connect()
    for number in range(8):
        await house.add(f"Person {number}", "A", f"p{number}@x.example")
    place = {"read": (row_queries, "counts"), "run": (run_queries, "create"), "undo": (run_queries, "undone")}[at]
    calls = 0
    whole = getattr(*place)

    async def dies(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == (1 if at == "read" else 2):
            raise RuntimeError("the worker dies here")
        return await whole(*args, **more)

    monkeypatch.setattr(*place, dies)
    run = await house.preview()
    for _ in range(3):
        await house.hurry()
        await house.work()
    run = await house.run(run["id"])
    assert (run["status"], run["plan"]) == ("planned", {"new": 8})
    await house.act(run, "start")
    for _ in range(3):
        await house.work()
        await house.hurry()
    done = await house.run(run["id"])
    assert (done["status"], done["outcome"]["created"], done["done"]) == ("finished", 8, 8)
    assert len(await house.published("contacts.imported")) == 1
    await house.act(run, "undo")
    for _ in range(3):
        await house.work()
        await house.hurry()
    undone = await house.run(run["id"])
    assert (undone["status"], undone["undone"]["reversed"], await house.contacts()) == ("undone", 8, [])
    assert calls > 1
