"""What address books and mailboxes do that surprises a reader: moves, a full mailbox, $top, odd contacts."""

from typing import Any

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
DEFAULT = "/me/contactFolders/contacts/contacts/delta"
IMMUTABLE = {"Prefer": 'odata.maxpagesize=100, IdType="ImmutableId"'}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Contacts.ReadWrite"))


async def rounds(anna: httpx.AsyncClient, url: str) -> tuple[list[tuple[str, str]], str]:
    """Each id of the round with what is said of it, and the delta link."""
    body = (await anna.get(url, headers=IMMUTABLE)).json()
    said = [(item["id"], item.get("@removed", {}).get("reason", "here")) for item in body["value"]]
    return said, body["@odata.deltaLink"]


@pytest.mark.behaviour(55)
async def test_a_moved_contact_leaves_one_folder_and_is_in_the_other(world: Any, anna: httpx.AsyncClient) -> None:
    mover = (await world.control.do("contact_add", user=ANNA, contact={"givenName": "Mo"}))["immutable"]
    work = (await world.control.do("contact_folder_add", user=ANNA, name="Work"))["id"]
    _, here = await rounds(anna, DEFAULT)
    _, there = await rounds(anna, f"/me/contactFolders/{work}/contacts/delta")
    await world.control.do("contact_move", user=ANNA, contact=mover, folder="Work")
    assert (await rounds(anna, here))[0] == [(mover, "changed")]
    assert (await rounds(anna, there))[0] == [(mover, "here")]
    await world.control.do("outlook_rules", moved_listed=False)
    back = (await rounds(anna, here))[1]
    await world.control.do("contact_move", user=ANNA, contact=mover, folder="contacts")
    assert (await rounds(anna, back))[0] == [], "the other thing that Microsoft's users report"
    assert (await rounds(anna, DEFAULT))[0] == [(mover, "here")], "a first round lists it"


@pytest.mark.behaviour(55)
@pytest.mark.parametrize(("lost", "said"), [(True, "changed"), (False, "here")])
async def test_a_contact_moved_there_and_back_is_lost_if_so_set(
    world: Any, anna: httpx.AsyncClient, lost: bool, said: str
) -> None:
    await world.control.do("outlook_rules", moved_back_lost=lost)
    mover = (await world.control.do("contact_add", user=ANNA, contact={"givenName": "Mo"}))["immutable"]
    _, link = await rounds(anna, DEFAULT)
    for folder in ("Work", "contacts"):
        await world.control.do("contact_move", user=ANNA, contact=mover, folder=folder)
    told, after = await rounds(anna, link)
    assert told == [(mover, said)]
    assert (await rounds(anna, after))[0] == []
    assert (await anna.get(f"/me/contacts/{mover}", headers=IMMUTABLE)).status_code == 200
    await world.control.do("contact_change", user=ANNA, contact=mover, values={"jobTitle": "New"})
    assert (await rounds(anna, after))[0] == [(mover, "here")], "a later change shows it again"
    assert (await rounds(anna, DEFAULT))[0] == [(mover, "here")]


@pytest.mark.behaviour(55)
async def test_each_reader_loses_only_what_left_since_its_own_round(world: Any, anna: httpx.AsyncClient) -> None:
    mover = (await world.control.do("contact_add", user=ANNA, contact={"givenName": "Mo"}))["immutable"]
    _, early = await rounds(anna, DEFAULT)
    await world.control.do("contact_move", user=ANNA, contact=mover, folder="Work")
    _, between = await rounds(anna, DEFAULT)
    await world.control.do("contact_move", user=ANNA, contact=mover, folder="contacts")
    assert (await rounds(anna, early))[0] == [(mover, "changed")]
    assert (await rounds(anna, between))[0] == [(mover, "here")]


@pytest.mark.behaviour(56)
async def test_a_full_mailbox_refuses_delta_and_still_lists(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=3)
    _, link = await rounds(anna, DEFAULT)
    await world.control.fault("mailbox_full", times=None, match={"user": ANNA})
    for url in (DEFAULT, link, "/me/contactFolders/delta"):
        got = await anna.get(url)
        assert (got.status_code, got.json()["error"]["code"]) == (403, "ErrorQuotaExceeded"), url
    assert len((await anna.get("/me/contacts")).json()["value"]) == 3
    ben = world.graph(world.token(BEN, "Contacts.Read"))
    assert (await ben.get(DEFAULT)).status_code == 200, "another mailbox has room"
    await world.control.clear_faults()
    assert (await anna.get(link)).status_code == 200


@pytest.mark.behaviour(57)
async def test_top_is_the_most_in_all_if_so_set(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=25)

    async def read(**headers: str) -> int:
        url, count = "/me/contacts?$top=12", 0
        while url:
            body = (await anna.get(url, headers=headers)).json()
            count, url = count + len(body["value"]), body.get("@odata.nextLink", "")
        return count

    assert await read() == 25
    await world.control.do("outlook_rules", top_caps=True)
    assert await read() == 12
    assert await read(Prefer="odata.maxpagesize=5") == 12


@pytest.mark.behaviour(58)
async def test_an_odd_address_book_is_deep_and_holds_all_kinds(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.run("address-book-that-is-odd")
    folder, depth = "/me/contactFolders", 0
    while found := [row for row in (await anna.get(folder)).json()["value"] if row["displayName"] != "Contacts"]:
        folder, depth = f"/me/contactFolders/{found[0]['id']}/childFolders", depth + 1
    assert depth == 6
    odd = (await anna.get(folder.replace("childFolders", "contacts"), params={"$top": "100"})).json()["value"]
    addresses = [entry["address"] for row in odd for entry in row["emailAddresses"]]
    assert None in addresses
    assert any(address and address.startswith("/o=ExchangeLabs/") for address in addresses)
    assert {len(row["emailAddresses"]) for row in odd} >= {0, 1, 60}
    assert any("\x00" in row["displayName"] for row in odd)
    assert max(len(row["personalNotes"] or "") for row in odd) == 1_048_576
