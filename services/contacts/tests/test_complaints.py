"""What people complain of in other importers; each test is named for the complaint that must not be made here."""

import csv
import io
from typing import Any

import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


async def test_no_duplicates_after_reconnecting(house: Any) -> None:
    """C2: another connection of the same account, and a folder that is chosen anew, know contacts by their ids."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.add("Cleo", "Cole")
    await house.add("Bo", "Beck", "bo@x.example", folder="Suppliers")
    await house.imported()
    await house.hear(house.person(2, connected=False))
    await house.hear(house.person(3))
    await house.work()
    await house.imported("Contacts", "Suppliers")
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    again = await house.imported("Suppliers", "Contacts")
    assert again["plan"] == {"same": 3}
    assert await house.names() == ["Ada Abel", "Bo Beck", "Cleo Cole"]


async def test_no_second_contact_after_a_lost_answer(house: Any) -> None:
    """C3: the request that is sent again, and the start that is sent again, give the same import."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    first, again = await house.preview(key="one"), await house.preview(key="one")
    assert first["id"] == again["id"]
    for _ in range(2):
        assert (await house.act(first, "start")).status_code == 200
    await house.work()
    assert (await house.act(first, "start")).json()["status"] == "finished"
    assert await house.names() == ["Ada Abel"]
    other = {"folders": ["another"]}
    refused = await house.call("POST", "/v1/contacts/imports", json=other, headers={"Idempotency-Key": "one"})
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_key_reused")


async def test_people_with_equal_names_stay_two(house: Any) -> None:
    """C4: neither a name nor a shared address of a team makes two people one, also among contacts that are shared."""
    await house.connect()
    await house.add("Sam", "Smith", "sam.one@x.example", mobilePhone="+49 30 1234567")
    await house.add("Tara", "Tang", "info@x.example")
    await house.add("Vera", "Voss", "house@y.example")
    await house.imported(share=True)
    await house.add("Sam", "Smith", "sam.two@x.example", user=BEN, mobilePhone="+49 30 1234567")
    await house.add("", "", "info@x.example", user=BEN)  # no name speaks against it
    await house.add("Walt", "Wood", "house@y.example", user=BEN)  # no team's, but the names speak against it
    assert (await house.imported(user="ben", share=True))["plan"] == {"new": 3}
    assert await house.names() == ["info@x.example", "Sam Smith", "Sam Smith", "Tara Tang", "Vera Voss", "Walt Wood"]


async def test_a_contact_deleted_here_does_not_come_back(house: Any) -> None:
    """C5: not with its next change in Outlook, and not when the folder is read whole."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    assert (await house.delete(await house.contact("Ada Abel"))).status_code == 204
    await house.change(ada, jobTitle="Director")
    for _ in range(2):
        run = await house.imported()
        assert run["plan"] == {"skipped": 1}
        (row,) = await house.all_rows(run)
        assert (row["code"], row["name"]) == ("deleted_here", "Ada Abel")
        await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    assert await house.contacts() == []


@pytest.mark.parametrize("policy", ["keep", "archive"])
async def test_a_contact_deleted_in_outlook_is_reported(house: Any, policy: str) -> None:
    """C5: it is kept, or archived where nobody changed it, as the organisation chose; the import says so."""
    await house.connect()
    ada, bo = [await house.add(name, "Abel", f"{name}@x.example") for name in ("Ada", "Bo")]
    await house.imported()
    await house.edit(await house.contact("Bo Abel"), fields={"job_title": "Chief"})
    set_ = {"json": {"removed_in_outlook": policy}, "roles": ("user", "org_admin")}
    assert (await house.call("PUT", "/v1/contacts/policy", **set_)).status_code == 200
    for one in (ada, bo):
        await house.microsoft.do("contact_delete", user=ANNA, contact=one["immutable"])
    run = await house.imported()
    assert run["plan"] == {"removed": 2}
    rows = await house.all_rows(run)
    assert {row["code"] for row in rows} == {"removed_in_outlook"}
    assert await house.names() == (["Ada Abel", "Bo Abel"] if policy == "keep" else ["Bo Abel"])
    assert await house.names(archived=True) == ([] if policy == "keep" else ["Ada Abel"])
    (source,) = (await house.contact("Bo Abel"))["sources"]
    assert source["removed_at"] is not None


async def test_what_a_person_typed_survives_every_import(house: Any) -> None:
    """C6: the other value is shown as a conflict; one click takes it, and from then on Outlook's changes come."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example", jobTitle="Buyer", companyName="Old")
    await house.imported()
    assert (await house.edit(await house.contact("Ada Abel"), fields={"job_title": "Chief"})).status_code == 200
    await house.change(ada, jobTitle="Director", companyName="New")
    run = await house.imported()
    assert (run["plan"], run["outcome"]["conflicts"]) == ({"conflict": 1}, 1)
    shown = await house.contact("Ada Abel")
    title = next(one for one in shown["fields"] if one["name"] == "job_title")
    assert (title["value"], title["provenance"]["by"], shown["company"]) == ("Chief", "person", "New")
    (offer,) = title["conflicts"]
    assert offer["value"] == "Director"
    assert await house.names(conflicts=True) == ["Ada Abel"]
    taken = (await house.edit(shown, adopt={"job_title": offer["source"]})).json()
    assert (taken["job_title"], taken["conflicts"]) == ("Director", 0)
    await house.change(ada, jobTitle="President")
    await house.imported()
    assert (await house.contact("Ada Abel"))["job_title"] == "President"


async def test_a_photo_follows_outlook_and_touches_nothing_else(house: Any) -> None:
    """C7: a changed photo arrives when its owner looks, one that was taken away is gone, and it is kept meanwhile."""
    await house.connect()
    ada = await house.add("Ada", "Abel", "ada@x.example")
    house.give_photo(ada, b"first")
    await house.imported()
    contact = await house.contact("Ada Abel")
    path = f"/v1/contacts/{contact['id']}/photo"
    for _ in range(2):
        answer = await house.call("GET", path)
        assert (answer.content, answer.headers["content-type"]) == (b"first", "image/png")
    assert await house.asked("GET", "/photo/$value") == 1
    house.give_photo(ada, b"second")
    await house.change(ada, jobTitle="Chief")
    await house.imported()
    assert (await house.call("GET", path)).content == b"second"
    house.give_photo(ada, None)
    await house.sql("UPDATE contact_photo SET read_at = read_at - interval '2 days'")
    assert (await house.call("GET", path)).status_code == 204
    now = await house.contact("Ada Abel")
    assert (now["version"], now["emails"]) == (contact["version"] + 1, contact["emails"])
    assert (await house.call("GET", path, user="ben")).status_code == 404


async def test_setting_up_writes_nothing_before_the_start(house: Any) -> None:
    """C8: looking at folders and previews leaves the contacts, their sources and Outlook as they are."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    run = await house.preview()
    assert run["status"] == "planned"
    for table in ("contact", "source_record", "mailbox_folder"):
        assert await house.rows(table) == [], table
    cancelled = await house.act(run, "cancel")
    assert cancelled.json()["status"] == "cancelled"
    assert {call["method"] for call in await house.microsoft.calls() if "/contact" in call["path"]} <= {"GET"}


@pytest.mark.parametrize("settings", [{"contacts_page_size": 10, "import_chunk": 7}])
async def test_every_contact_is_imported_not_the_first_page(house: Any) -> None:
    """C10: what the preview's first page shows is not all that is imported."""
    await house.connect()
    await house.microsoft.do("contacts_seed", user=ANNA, count=45)
    run = await house.preview()
    rows = (await house.call("GET", f"/v1/contacts/imports/{run['id']}/rows", params={"limit": 5})).json()
    assert len(rows["items"]) == 5
    assert rows["next_cursor"]
    done = await house.carry_out(run)
    assert done["plan"]["new"] == done["outcome"]["created"] == len(await house.contacts()) >= 40


async def test_folders_at_any_depth_are_found(house: Any) -> None:
    """C11: four levels down."""
    await house.connect()
    await house.add("Deep", "Down", "deep@x.example", folder="A/B/C/D")
    listed = (await house.call("GET", "/v1/contacts/folders")).json()
    assert [(one["path"], one["depth"], one["count"]) for one in listed["items"]] == [
        ("Contacts", 0, 0),
        ("A", 0, 0),
        ("A / B", 1, 0),
        ("A / B / C", 2, 0),
        ("A / B / C / D", 3, 1),
    ]
    await house.imported("A / B / C / D")
    assert await house.names() == ["Deep Down"]


async def test_an_invalid_address_does_not_multiply_people(house: Any) -> None:
    """C12: the contact is imported once with a remark, whatever its address is, and the file of problems has it."""
    await house.connect()
    await house.add("Ada", "Abel", "not an address")
    await house.add("Bo", "Beck", "/o=ExchangeLabs/ou=Exchange Administrative Group/cn=Recipients/cn=bo")
    await house.add("", "", companyName="", displayName="")
    run = await house.imported()
    assert (run["plan"]["new"], run["plan"]["skipped"]) == (2, 1)
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    again = await house.imported()
    assert again["plan"] == {"same": 2, "skipped": 1}
    assert await house.names() == ["Ada Abel", "Bo Beck"]
    answer = await house.call("GET", f"/v1/contacts/imports/{run['id']}/problems")
    assert answer.headers["content-type"].startswith("text/csv")
    found = {row["name"]: row["code"] for row in csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")))}
    assert found == {"Ada Abel": "email_invalid", "Bo Beck": "email_not_smtp", "": "nothing_to_import"}
