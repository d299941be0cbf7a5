"""Undoing a run, its updates included: what nobody changed since is as it was, the rest is named."""

from typing import Any

import pytest


async def test_an_undo_takes_back_new_contacts_and_changes(house: Any) -> None:
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.imported()
    before = (await house.contact("Ada Abel"))["fields"], await sources(house)
    await house.change(ada, jobTitle="Director")
    await house.add("Bo", "Beck", "bo@x.example")
    run = await house.imported()
    undone = await house.undo(run)
    assert (undone["status"], undone["undone"]) == ("undone", {"reversed": 2, "kept": 0, "failed": 0})
    assert await house.names() == ["Ada Abel"]
    assert ((await house.contact("Ada Abel"))["fields"], await sources(house)) == before
    again = await house.imported()
    assert (again["plan"], await house.names()) == ({"changed": 1, "new": 1}, ["Ada Abel", "Bo Beck"])


async def sources(house: Any) -> Any:
    return await house.sql("SELECT id, digest, change_key, payload FROM source_record ORDER BY id")


async def test_an_undo_keeps_what_was_changed_since_and_names_it(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer")
    await house.add("Bo", "Beck", "bo@x.example")
    run = await house.imported()
    await house.edit(await house.contact("Ada Abel"), fields={"job_title": "Chief"})
    undone = await house.undo(run)
    assert undone["undone"] == {"reversed": 1, "kept": 1, "failed": 0}
    rows = {row["name"]: (row["undone"], bool(row["undone_why"])) for row in await house.all_rows(run)}
    assert rows == {"Ada Abel": ("kept", True), "Bo Beck": ("reversed", False)}
    ada = await house.contact("Ada Abel") if "Ada Abel" in await house.names() else (await house.contacts())[0]
    assert ada["job_title"] == "Chief"


@pytest.mark.parametrize("settings", [{"import_chunk": 100}])
async def test_an_undo_of_many_contacts_completes(house: Any) -> None:
    """C9: in chunks, and every contact is named."""
    await house.connect()
    await house.microsoft.do("contacts_seed", user="anna@contoso.example", count=450)
    run = await house.imported()
    undone = await house.undo(run)
    assert undone["undone"]["reversed"] == run["outcome"]["created"] > 400
    assert (await house.contacts(), await house.rows("source_record")) == ([], [])


async def test_removals_are_undone_too(house: Any) -> None:
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    body = {"json": {"removed_in_outlook": "archive"}, "roles": ("org_admin",)}
    await house.call("PUT", "/v1/contacts/policy", **body)
    await house.microsoft.do("contact_delete", user="anna@contoso.example", contact=ada["immutable"])
    run = await house.imported()
    assert await house.contacts() == []
    await house.undo(run)
    assert await house.names() == ["Ada Abel"]
