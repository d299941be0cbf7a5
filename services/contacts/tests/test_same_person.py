"""Who is the same person: proposed, joined and taken apart by people, and remembered."""

from typing import Any


async def proposed(house: Any) -> list[set[str]]:
    items = (await house.call("GET", "/v1/contacts/proposals")).json()["items"]
    return [{one["one"]["name"], one["other"]["name"]} for one in items]


async def test_similar_people_are_proposed_and_never_joined(house: Any) -> None:
    await house.connect()
    await house.add("Sam", "Smith", "sam@x.example", mobilePhone="+49 30 1234567", companyName="Fourth Coffee")
    await house.add("Samuel", "Smith", "samuel@y.example", mobilePhone="+49 30 1234567", companyName="Fourth Coffee")
    await house.add("Zoe", "Zander", "zoe@z.example")
    await house.imported()
    assert await proposed(house) == [{"Sam Smith", "Samuel Smith"}]
    (one,) = (await house.call("GET", "/v1/contacts/proposals")).json()["items"]
    assert one["reasons"]
    assert len(await house.contacts()) == 3


async def test_not_the_same_person_is_remembered(house: Any) -> None:
    await house.connect()
    for given in ("Sam", "Samuel"):
        await house.add(given, "Smith", f"{given}@x.example", mobilePhone="+49 30 1234567")
    await house.imported()
    one, other = await house.contacts()
    said = await house.call("POST", f"/v1/contacts/{one['id']}/apart", json={"other": other["id"]})
    assert (said.status_code, await proposed(house)) == (204, [])
    await house.add("New", "One", "new@x.example")
    await house.imported()
    assert await proposed(house) == []


async def test_two_contacts_are_joined_and_a_source_is_taken_out_again(house: Any) -> None:
    """What was joined by hand stays joined at the next import, and what was taken apart stays apart."""
    await house.connect()
    sam = await house.add("Sam", "Smith", "sam@x.example", jobTitle="Buyer")
    await house.add("Sammy", "Smith", "sammy@y.example", companyName="Litware")
    await house.imported()
    one, other = await house.contact("Sam Smith"), await house.contact("Sammy Smith")
    joined = await house.call("POST", f"/v1/contacts/{one['id']}/join", json={"other": other["id"]})
    assert (joined.status_code, joined.json()["company"], len(joined.json()["sources"])) == (200, "Litware", 2)
    assert set(joined.json()["emails"]) == {"sam@x.example", "sammy@y.example"}
    await house.change(sam, jobTitle="Chief")
    await house.imported()
    (whole,) = await house.contacts()
    assert whole["job_title"] == "Chief"
    source = other["sources"][0]["id"]
    made = await house.call("POST", f"/v1/contacts/{whole['id']}/split", json={"source": source})
    assert (made.status_code, made.json()["emails"]) == (200, ["sammy@y.example"])
    left = await house.contact("Sam Smith")
    assert (left["emails"], left["company"]) == (["sam@x.example"], "")
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    assert (await house.imported())["plan"] == {"same": 2}
    assert await proposed(house) == []


async def test_nobody_joins_anothers_contacts(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.add("Bo", "Beck", "bo@x.example", user="ben@contoso.example")
    await house.imported(share=True)
    await house.imported(user="ben", share=True)
    mine = next(one for one in await house.contacts() if one["mine"])
    theirs = next(one for one in await house.contacts() if not one["mine"])
    for what in ("join", "apart"):
        for one, other in ((mine, theirs), (theirs, mine)):
            refused = await house.call("POST", f"/v1/contacts/{one['id']}/{what}", json={"other": other["id"]})
            assert refused.status_code == 404
