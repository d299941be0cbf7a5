"""Plans and runs of the version before, which kept the reading of each row and not the contact made of it."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from contacts.contact_queries import columns_of
from contacts.normalising import normalise

_READ = "UPDATE import_row SET reading = CAST(:reading AS jsonb), record = NULL, phones = NULL, words = NULL"


async def as_the_version_before_read(house: Any) -> None:
    for row in await house.sql("SELECT run_id, source_id, payload FROM import_row WHERE outcome IS NULL"):
        this = {"run": row.run_id, "source": row.source_id}
        reading = json.dumps(asdict(normalise(row.payload)))
        await house.sql(f"{_READ} WHERE run_id = :run AND source_id = :source", reading=reading, **this)


@pytest.mark.parametrize("settings", [{"import_chunk": 3}])
async def test_a_plan_of_the_version_before_is_carried_out(house: Any) -> None:
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.imported()
    before = (await house.contact("Ada Abel"))["fields"]
    await house.change(ada, jobTitle="Director")
    for number in range(4):
        await house.add(f"Bo {number}", "Beck", f"bo{number}@x.example", mobilePhone="+49 30 1234567")
    plan = await house.preview()
    await as_the_version_before_read(house)
    done = await house.carry_out(plan)
    assert done["outcome"] == {"created": 4, "updated": 1, "unchanged": 0}
    assert ((await house.contact("Ada Abel"))["job_title"], await house.names(query="+49 30")) == (
        "Director",
        [f"Bo {number} Beck" for number in range(4)],
    )
    assert (await house.undo(done))["undone"] == {"reversed": 5, "kept": 0, "failed": 0}
    assert ([one["name"] for one in await house.contacts()], (await house.contact("Ada Abel"))["fields"]) == (
        ["Ada Abel"],
        before,
    )


async def test_a_plan_of_the_version_before_is_made_anew(house: Any) -> None:
    """The person's contacts changed after it: what was read is decided again."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.imported()
    await house.change(ada, jobTitle="Director")
    await house.add("Bo", "Beck", "bo@x.example")
    plan = await house.preview()
    await as_the_version_before_read(house)
    await house.edit(await house.contact("Ada Abel"), fields={"job_title": "Chief"})
    assert (await house.act(plan, "start")).json()["code"] == "plan_outdated"
    await house.work()
    fresh = await house.run(plan["id"])
    assert fresh["plan"] == {"conflict": 1, "new": 1}
    assert (await house.carry_out(fresh))["outcome"] == {"created": 1, "conflicts": 1, "unchanged": 0}


@pytest.mark.parametrize("kept", ["the reading", "each change"])
async def test_an_undo_reads_the_journals_of_versions_before(house: Any, kept: str) -> None:
    """The row of a contact that the run made kept its reading, or, before that, each change."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    run = await house.imported()
    (contact,), (source,) = await house.rows("contact"), await house.rows("source_record")
    started, record = (await house.run(run["id"]))["started_at"], contact["record"]
    journal: Any = asdict(normalise(source["payload"]))
    if kept == "each change":
        changes = [(name, "", field) for name, field in record["fields"].items()]
        changes += [(name, one["key"], one) for name, elements in record["sets"].items() for one in elements]
        journal = [{"field": one[0], "key": one[1], "index": 0, "before": None, "after": one[2]} for one in changes]
    else:  # its values have the time when the run began
        told = json.dumps(record).replace(record["fields"]["job_title"]["at"], started[:19] + "+00:00")
        await house.sql("UPDATE contact SET record = CAST(:record AS jsonb)", record=told)
    await house.sql("UPDATE import_row SET record = NULL, journal = CAST(:kept AS jsonb)", kept=json.dumps(journal))
    assert (await house.undo(run))["undone"] == {"reversed": 1, "kept": 0, "failed": 0}
    assert (await house.contacts(), await house.rows("source_record")) == ([], [])


async def test_what_lists_read_of_a_new_contact_is_made_of_its_record(house: Any) -> None:
    """The columns come from the plan's row, where an edit makes them of the record."""
    await house.connect()
    for odd in (False, True):
        await house.microsoft.do("contacts_seed", user="anna@contoso.example", count=40, odd=odd)
    more = {"companyName": "C" * 300, "nickName": "Straße", "jobTitle": "J" * 300, "businessPhones": ["+49 30 1", "x"]}
    await house.add("İ" * 120, "Ünver", "a@x.example", "/o=ExchangeLabs/cn=ada", **more)
    await house.imported()
    contacts = await house.rows("contact")
    assert len(contacts) > 40
    for contact in contacts:
        made = columns_of(contact["record"])
        assert {name: contact[name] for name in made} == made


@pytest.mark.parametrize("mark", ["\x1f", "\x1e"])
async def test_a_separator_in_a_name_that_is_not_taken_splits_nothing(house: Any, mark: str) -> None:
    """The name of a contact that is not imported is shown as it is."""
    await house.connect()
    strange = {"fileAs": f"left{mark}right", "emailAddresses": []}
    await house.microsoft.do("contact_add", user="anna@contoso.example", folder="contacts", contact=strange)
    await house.add("Ada", "Abel", "ada@x.example")
    run = await house.imported()
    assert run["outcome"] == {"created": 1, "unchanged": 0}
    assert {row["name"] for row in await house.all_rows(run)} == {"Ada Abel", f"left{mark}right"}
