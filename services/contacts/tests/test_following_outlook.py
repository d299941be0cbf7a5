"""Re-import and folders that are kept in step: nothing is lost, nothing is deleted by a hint."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.mailboxes import following
from shared.testing.examples import leaving

ANNA = "anna@contoso.example"


async def delete_all(house: Any, contacts: list[Any]) -> None:
    for one in contacts:
        await house.microsoft.do("contact_delete", user=ANNA, contact=one["immutable"])


async def test_a_moved_contact_is_not_removed(house: Any) -> None:
    """What left one folder is looked for by its id, also where it went to a folder that nobody chose."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    bo = await house.add("Bo", "Beck", "bo@x.example")
    await house.add("Cleo", "Cole", "c@x.example", folder="Suppliers")
    await house.imported("Contacts", "Suppliers")
    await house.microsoft.do("contact_move", user=ANNA, contact=ada["immutable"], folder="Suppliers", reason="deleted")
    await house.microsoft.do("contact_move", user=ANNA, contact=bo["immutable"], folder="Elsewhere", reason="deleted")
    run = await house.imported("Contacts", "Suppliers")
    assert run["plan"] == {"same": 3}
    assert run["asks"] is None
    sources = await house.rows("source_record")
    chosen = {await house.folder(), await house.folder("Suppliers")}
    assert len({row["folder_id"] for row in sources} - chosen) == 1
    assert {row["removed_at"] for row in sources} == {None}


async def test_a_contact_that_was_away_and_came_back_is_not_lost(house: Any) -> None:
    """Moved from a folder and back between two rounds, which Graph tells as a removal and no more."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    home = await house.folder()
    await house.add("Bo", "Beck", "bo@x.example", folder="Away")
    await house.imported()
    for folder in ("Away", home):
        await house.microsoft.do("contact_move", user=ANNA, contact=ada["immutable"], folder=folder, reason="deleted")
    run = await house.imported()
    assert (run["plan"], await house.names()) == ({"same": 1}, ["Ada Abel"])


async def test_a_forgotten_delta_state_is_healed(house: Any) -> None:
    """410 or syncStateNotFound: the folder is read whole, and who is not in it was looked for by id."""
    await house.connect()
    people = [await house.add(f"Person {number}", "A", f"p{number}@x.example") for number in range(6)]
    await house.imported()
    await delete_all(house, people[:1])
    await house.add("New", "A", "new@x.example")
    await house.microsoft.fault("delta_lost", times=1, match={"path": "*/contacts/delta"})
    run = await house.imported()
    assert run["plan"] == {"same": 5, "removed": 1, "new": 1}


@pytest.mark.parametrize("settings", [{"contacts_page_size": 1}])
@pytest.mark.parametrize("pages", [1, 2, 3])
async def test_a_round_that_begins_anew_forgets_its_pages(
    house: Any, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Whether they were written or not: a contact that was deleted meanwhile is not in the plan."""
    await house.connect()
    people = [await house.add(f"Person {number}", "A", f"p{number}@x.example") for number in range(5)]
    changes, seen = following.changes, 0

    async def lost_after_some(*args: Any, **more: Any) -> AsyncIterator[following.FolderPage]:
        nonlocal seen
        async for page in changes(*args, **more):
            yield page
            seen += 1
            if seen == pages:
                await delete_all(house, people[:1])
                await house.microsoft.fault("delta_lost", times=1, match={"path": "*/contacts/delta"})

    monkeypatch.setattr(following, "changes", lost_after_some)
    plan = await house.preview()
    assert plan["plan"] == {"new": 4}
    assert {row["name"] for row in await house.all_rows(plan)} == {f"Person {number} A" for number in range(1, 5)}


@pytest.mark.parametrize("removals", [1, 2])
async def test_many_removals_stop_and_ask(house: Any, removals: int) -> None:
    """More than a fifth at once, and a folder that became empty; one of many is no reason to ask."""
    await house.connect()
    count = 10 * removals
    people = [await house.add(f"Person {number:02}", "A", f"p{number}@x.example") for number in range(count)]
    await house.imported()
    await delete_all(house, people[: 10 if removals == 1 else 6])
    plan = await house.preview()
    refused = await house.act(plan, "start")
    assert (plan["asks"]["code"], refused.json()["code"]) == ("many_removed", "confirm_removals")
    done = await house.carry_out(plan, confirm_removals=True)
    assert done["outcome"]["removed"] == plan["asks"]["removed"] == len(people[: 10 if removals == 1 else 6])
    assert len(await house.contacts()) == count


async def test_a_full_mailbox_is_read_by_listing(house: Any) -> None:
    """Microsoft refuses the delta query of a full mailbox; the import lists instead and says so."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    await house.add("Bo", "Beck", "bo@x.example")
    await house.imported()
    await delete_all(house, [ada])
    await house.add("Cleo", "Cole", "c@x.example")
    refusal = {"status": 403, "code": "ErrorQuotaExceeded", "times": None, "match": {"path": "*/contacts/delta*"}}
    await house.microsoft.fault("refused", **refusal)
    run = await house.imported()
    assert (run["plan"], [one["code"] for one in run["remarks"]]) == (
        {"same": 1, "removed": 1, "new": 1},
        ["mailbox_full"],
    )
    await house.microsoft.clear_faults()
    assert (await house.imported())["plan"] == {"same": 2}


async def test_a_folder_deleted_meanwhile_is_left_out(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.add("Bo", "Beck", "bo@x.example", folder="Old")
    folders = [await house.folder(), await house.folder("Old"), "gone"]
    headers = {"Idempotency-Key": "k"}
    made = await house.call("POST", "/v1/contacts/imports", json={"folders": folders}, headers=headers)
    await house.work()
    run = await house.carry_out(await house.run(made.json()["id"]))
    assert ([one["code"] for one in run["remarks"]], await house.names()) == (["folder_gone"], ["Ada Abel", "Bo Beck"])


async def test_a_folder_kept_in_step_follows_by_itself(house: Any) -> None:
    """By notification. A round without changes leaves nothing behind."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.imported()
    folder = await house.folder()
    kept = await house.call("PATCH", f"/v1/contacts/folders/{folder}", json={"keep_in_step": True})
    assert (kept.status_code, kept.json()["keep_in_step"]) == (200, True), kept.text
    await house.work()
    assert len(await house.rows("import_run")) == 1
    (subscription,) = (await house.microsoft.state())["subscriptions"]
    assert set(subscription["changeType"].split(",")) == {"created", "updated", "deleted"}
    await house.change(ada, jobTitle="Chief")
    await house.add("Bo", "Beck", "bo@x.example")
    await house.microsoft.settle()
    assert await house.rows("graph_notification")
    await house.work()
    assert await house.names() == ["Ada Abel", "Bo Beck"]
    assert (await house.contact("Ada Abel"))["job_title"] == "Chief"
    (newest, _) = (await house.call("GET", "/v1/contacts/imports")).json()["items"]
    assert (newest["by_itself"], newest["outcome"]["created"], newest["outcome"]["updated"]) == (True, 1, 1)
    assert await house.rows("graph_notification") == []
    off = await house.call("PATCH", f"/v1/contacts/folders/{folder}", json={"keep_in_step": False})
    assert off.json()["keep_in_step"] is False
    await house.hurry("keep_in_step")
    await house.work()
    assert (await house.microsoft.state())["subscriptions"] == []


async def test_a_folder_kept_in_step_is_looked_at_without_a_notification(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    folder = await house.folder()
    await house.call("PATCH", f"/v1/contacts/folders/{folder}", json={"keep_in_step": True})
    await house.work()
    await house.microsoft.fault("drop_notifications", times=None)
    await house.add("Bo", "Beck", "bo@x.example")
    await house.sql("UPDATE mailbox_folder SET read_at = read_at - interval '1 hour'")
    await house.hurry("keep_in_step")
    await house.work()
    assert await house.names() == ["Ada Abel", "Bo Beck"]


async def test_a_folder_kept_in_step_asks_before_many_removals(house: Any) -> None:
    await house.connect()
    people = [await house.add(f"Person {number}", "A", f"p{number}@x.example") for number in range(6)]
    await house.imported()
    folder = await house.folder()
    await house.call("PATCH", f"/v1/contacts/folders/{folder}", json={"keep_in_step": True})
    await house.work()
    await delete_all(house, people)
    await house.sql("UPDATE mailbox_folder SET dirty = true")
    await house.hurry("keep_in_step")
    await house.work()
    newest = (await house.call("GET", "/v1/contacts/imports")).json()["items"][0]
    assert (newest["status"], newest["asks"]["removed"]) == ("planned", 6)


async def test_a_sweep_finds_what_no_delta_told(house: Any) -> None:
    """The ids in a folder are compared with what was imported, once in a while."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    await house.add("Bo", "Beck", "bo@x.example")
    run = await house.preview()
    await house.sql("UPDATE mailbox_folder SET delta_link = :link", link=(await delta_link(house, run)))
    await house.act(run, "cancel")
    assert (await house.preview())["plan"] == {"same": 1}
    await house.sql("UPDATE mailbox_folder SET swept_at = :long_ago", long_ago=datetime(2020, 1, 1, tzinfo=UTC))
    assert (await house.preview())["plan"] == {"same": 1, "new": 1}


async def delta_link(house: Any, run: Any) -> str:
    """Where Graph's state stands after a round whose news were lost."""
    rows = await house.sql("SELECT delta_links FROM import_run WHERE id = :id", id=run["id"])
    return str(next(iter(rows[0][0].values())))


async def test_a_disconnect_removes_the_subscriptions_in_the_persons_name(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    await house.call("PATCH", f"/v1/contacts/folders/{await house.folder()}", json={"keep_in_step": True})
    await house.work()
    assert len((await house.microsoft.state())["subscriptions"]) == 1
    await house.hear(leaving(house.person(2)))
    await house.hurry("keep_in_step")
    await house.work()
    assert (await house.microsoft.state())["subscriptions"] == []
    assert [(one["removed"], one["left"]) for one in await house.published("contacts.traces_removed")] == [(1, [])]
    await house.hear(house.person(3))
    await house.work()
    assert len((await house.microsoft.state())["subscriptions"]) == 1
