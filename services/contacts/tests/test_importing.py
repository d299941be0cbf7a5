"""Importing through the front door: folders, preview, run, result."""

from typing import Any

import pytest

from shared.testing.statements import statements_of


async def test_a_preview_is_what_the_run_does(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@fourth.example", companyName="Fourth Coffee", mobilePhone="+49 30 1234567")
    await house.add("Bo", "Beck", "bo@fourth.example")
    plan = await house.preview()
    assert (plan["status"], plan["plan"], plan["total"], plan["problem"]) == ("planned", {"new": 2}, 2, None), plan
    assert await house.contacts() == []
    done = await house.carry_out(plan)
    assert (done["status"], done["done"]) == ("finished", 2), done
    assert done["outcome"] == {"created": 2, "unchanged": 0}
    assert await house.names() == ["Ada Abel", "Bo Beck"]
    ada = await house.contact("Ada Abel")
    assert (ada["company"], ada["emails"], ada["phones"]) == ("Fourth Coffee", ["ada@fourth.example"], ["+49301234567"])
    assert {one["provenance"]["by"] for one in ada["fields"]} == {"outlook"}
    (told,) = await house.published("contacts.imported")
    assert (told["run_id"], told["created"], told["updated"]) == (done["id"], 2, 0)


async def test_a_preview_of_new_contacts_writes_each_row_once(house: Any) -> None:
    """The transaction that makes the plan writes the run; what it decided of its rows it would write there too."""
    await house.connect()
    for number in range(7):
        await house.add(f"Person {number}", "New", f"p{number}@x.example")
    plan = await house.preview()
    written = "SELECT count(*) FROM import_row r JOIN import_run i ON i.id = r.run_id WHERE r.xmin = i.xmin"
    assert (plan["plan"], (await house.sql(written))[0][0]) == ({"new": 7}, 0)


async def test_a_row_that_is_carried_out_stays_in_its_page(house: Any) -> None:
    """Its indexes are not written again then. A page that is full has room for one row in three or four."""
    await house.connect()
    await house.microsoft.do("contacts_seed", user="anna@contoso.example", count=100)
    plan = await house.preview()
    pages = "SELECT source_id, (ctid::text::point)[0] FROM import_row WHERE action = 'new' ORDER BY source_id"
    before = await house.sql(pages)
    await house.carry_out(plan)
    stayed = set(before) & set(await house.sql(pages))
    assert len(stayed) > 0.6 * len(before), (len(stayed), len(before))


async def test_importing_twice_changes_nothing_and_tells_nobody(house: Any) -> None:
    """C1: the second import writes no contact and sends no event, whether Graph names the contacts again or not."""
    await house.connect()
    for number in range(7):
        await house.add(f"Person {number}", "Same", f"p{number}@x.example")
    await house.imported()
    before = await written(house)
    asked = await house.asked()
    again = await house.imported()
    assert (again["plan"], again["total"], again["outcome"]) == ({"same": 7}, 0, {"unchanged": 7})
    assert await house.asked() - asked < 8
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    whole = await house.imported()
    assert (whole["plan"], whole["outcome"]) == ({"same": 7}, {"unchanged": 7})
    assert await written(house) == before
    assert len(await house.published("contacts.imported")) == 1


SIZES = (20, 60)


@pytest.mark.parametrize("settings", [{"contacts_page_size": 10, "import_chunk": 10}])
async def test_a_round_without_changes_costs_the_same_for_any_number(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first import sends statements in proportion to its pages; one that finds nothing sends a few, at any size."""
    await house.connect()
    seen = statements_of(house.service.db, monkeypatch)
    spent: list[list[int]] = []
    for size in SIZES:
        await house.microsoft.do("contacts_seed", user="anna@contoso.example", count=size)
        spent.append([])
        for _ in range(2):
            seen.clear()
            await house.imported()
            spent[-1].append(len(seen))
    (few, again), (many, again_of_many) = spent
    assert many > few + 2 * (SIZES[1] - SIZES[0]) / 10, spent
    assert again == again_of_many < few, spent


async def written(house: Any) -> Any:
    """Every contact and source record with who wrote it last: an update to the same values would show too."""
    whole = "SELECT xmin::text, ctid::text, t.* FROM {} t ORDER BY id"
    kept = [await house.sql(whole.format(table)) for table in ("contact", "source_record")]
    return kept, await house.sql("SELECT user_id, revision, version FROM book ORDER BY user_id")
