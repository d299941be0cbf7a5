"""Delta queries of contacts and contact folders: rounds, tokens, removals, and how a state is lost."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

ANNA = "anna@contoso.example"
DEFAULT = "/me/contactFolders/contacts/contacts/delta"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Contacts.ReadWrite"))


async def page(anna: httpx.AsyncClient, url: str, size: int = 100, **headers: str) -> dict[str, Any]:
    got = await anna.get(url, headers={"Prefer": f'odata.maxpagesize={size}, IdType="ImmutableId"', **headers})
    assert got.status_code == 200, got.text
    return got.json()


async def whole(anna: httpx.AsyncClient, url: str, size: int = 100) -> tuple[list[dict[str, Any]], str]:
    """All items of a round and its delta link."""
    items: list[dict[str, Any]] = []
    while True:
        body = await page(anna, url, size)
        items += body["value"]
        if "@odata.deltaLink" in body:
            return items, body["@odata.deltaLink"]
        url = body["@odata.nextLink"]


@pytest.mark.behaviour(47)
async def test_a_round_reads_a_folder_page_by_page_and_the_next_one_changes_only(
    world: Any, anna: httpx.AsyncClient
) -> None:
    seeded = await world.control.do("contacts_seed", user=ANNA, count=23)
    items, link = await whole(anna, DEFAULT, 10)
    assert len({item["id"] for item in items}) == 23
    assert (await whole(anna, link))[0] == []
    await world.control.do("contact_change", user=ANNA, contact=seeded["id"], values={"jobTitle": "New"})
    again, _ = await whole(anna, link)
    assert [item["jobTitle"] for item in again] == ["New"]
    assert (await whole(anna, link))[0] == again, "a delta link can be replayed"


@pytest.mark.behaviour(47)
async def test_a_page_has_two_hundred_contacts_at_most(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=201)
    first = await page(anna, DEFAULT, 500)
    second = await page(anna, first["@odata.nextLink"], 500)
    assert (len(first["value"]), len(second["value"])) == (200, 1)


@pytest.mark.behaviour(47)
async def test_only_the_first_request_takes_a_select_and_it_binds_the_later_ones(
    world: Any, anna: httpx.AsyncClient
) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=3)
    first = await page(anna, f"{DEFAULT}?$select=displayName", 2)
    second = await page(anna, first["@odata.nextLink"], 2)
    assert set(second["value"][0]) == {"@odata.type", "@odata.etag", "id", "displayName"}
    refused = await anna.get(f"{first['@odata.nextLink']}&$select=surname")
    assert refused.status_code == 400
    assert (await anna.get(f"{DEFAULT}?$top=5")).status_code == 400
    assert (await anna.get(f"{DEFAULT}?$deltatoken=made-up")).status_code == 400


async def test_a_token_is_of_its_folder_and_mailbox_alone(world: Any, anna: httpx.AsyncClient) -> None:
    other = (await anna.post("/me/contactFolders", json={"displayName": "Other"})).json()["id"]
    _, link = await whole(anna, DEFAULT)
    query = urlsplit(link).query
    assert (await anna.get(f"/me/contactFolders/{other}/contacts/delta?{query}")).status_code == 400
    ben = world.graph(world.token("ben@contoso.example", "Contacts.ReadWrite"))
    assert (await ben.get(f"{DEFAULT}?{query}")).status_code == 400


@pytest.mark.behaviour(47)
async def test_a_deletion_and_a_move_are_told_as_removed_with_their_reasons(
    world: Any, anna: httpx.AsyncClient
) -> None:
    one, two = [await world.control.do("contact_add", user=ANNA, contact={"givenName": n}) for n in "ab"]
    _, link = await whole(anna, DEFAULT)
    await world.control.do("contact_delete", user=ANNA, contact=one["id"])
    moved = await world.control.do("contact_move", user=ANNA, contact=two["id"], folder="Work")
    items, _ = await whole(anna, link)
    assert [(item["id"], item["@removed"]["reason"]) for item in items] == [
        (one["immutable"], "deleted"),
        (two["immutable"], "changed"),
    ]
    there, _ = await whole(anna, f"/me/contactFolders/{moved['folder']}/contacts/delta")
    assert [item["id"] for item in there] == [two["immutable"]]
    known = (await anna.get(link, headers={"Prefer": "odata.maxpagesize=9"})).json()["value"]
    assert [item["id"] for item in known] == [one["id"], two["id"]], "without the header, the ids they had"


@pytest.mark.behaviour(47)
async def test_a_change_during_the_first_round_comes_again_or_as_a_deletion(
    world: Any, anna: httpx.AsyncClient
) -> None:
    seeded = await world.control.do("contacts_seed", user=ANNA, count=6)
    first = await page(anna, DEFAULT, 3)
    seen, gone = first["value"][0]["id"], first["value"][1]["id"]
    await world.control.do("contact_change", user=ANNA, contact=seen, values={"title": "Dr"})
    await world.control.do("contact_delete", user=ANNA, contact=gone)
    await world.control.do("contact_delete", user=ANNA, contact=seeded["last"])
    rest, _ = await whole(anna, first["@odata.nextLink"], 3)
    assert [item["title"] for item in rest if item["id"] == seen] == ["Dr"]
    assert {item["id"] for item in rest if "@removed" in item} >= {gone}


@pytest.mark.behaviour(47)
async def test_pages_can_be_empty_repeat_an_item_and_tell_of_one_never_seen(
    world: Any, anna: httpx.AsyncClient
) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=4)
    await world.control.fault("delta_empty_page", times=2, match={"path": "*/contacts/delta"})
    empty = await page(anna, DEFAULT, 2)
    assert empty["value"] == []
    empty = await page(anna, empty["@odata.nextLink"], 2)
    first = await page(anna, empty["@odata.nextLink"], 2)
    await world.control.fault("delta_repeats")
    await world.control.fault("delta_removed_first", id="AAMkOld=", reason="deleted")
    second = await page(anna, first["@odata.nextLink"], 2)
    assert second["value"][0]["id"] == first["value"][-1]["id"]
    assert second["value"][1]["@removed"] == {"reason": "deleted"}
    assert len(second["value"]) == 4


@pytest.mark.behaviour(47)
async def test_a_forgotten_state_answers_410_with_a_location_that_begins_again(
    world: Any, anna: httpx.AsyncClient
) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=3)
    _, link = await whole(anna, f"{DEFAULT}?$select=displayName")
    await world.control.do("sync_state_forget")
    got = await anna.get(link)
    assert (got.status_code, got.json()["error"]["code"]) == (410, "syncStateNotFound")
    place = got.headers["location"]
    assert parse_qs(urlsplit(place).query, keep_blank_values=True)["$deltatoken"] == [""]
    again, fresh = await whole(anna, place)
    assert len(again) == 3
    assert "surname" not in again[0], "the Location repeats the first request"
    assert (await anna.get(fresh)).status_code == 200


@pytest.mark.behaviour(47)
@pytest.mark.parametrize(
    ("status", "code"), [(400, "syncStateNotFound"), (404, "syncStateNotFound"), (410, "resyncRequired")]
)
async def test_a_lost_state_can_be_told_in_other_ways(
    world: Any, anna: httpx.AsyncClient, status: int, code: str
) -> None:
    _, link = await whole(anna, DEFAULT)
    await world.control.fault("delta_lost", status=status, code=code, location=False)
    got = await anna.get(link)
    assert (got.status_code, got.json()["error"]["code"]) == (status, code)
    assert "location" not in got.headers
    assert (await anna.get(link)).status_code == 200


async def test_folders_have_a_delta_of_their_own(anna: httpx.AsyncClient) -> None:
    made = (await anna.post("/me/contactFolders", json={"displayName": "One"})).json()["id"]
    items, link = await whole(anna, "/me/contactFolders/delta", 1)
    assert [item["displayName"] for item in items] == ["Contacts", "One"]
    await anna.patch(f"/me/contactFolders/{made}", json={"displayName": "Uno"})
    changed, link = await whole(anna, link)
    assert [item["displayName"] for item in changed] == ["Uno"]
    await anna.delete(f"/me/contactFolders/{made}")
    removed, _ = await whole(anna, link)
    assert removed[0]["@removed"] == {"reason": "deleted"}
    assert removed[0]["id"] == made


async def test_links_are_absolute_and_states_survive_a_restart(make_world: Any, tmp_path: Any) -> None:
    items, link = [], DEFAULT
    for start in (1, 2):
        world = make_world(state_dir=tmp_path / "kept")
        anna = world.graph(world.token(ANNA, "Contacts.ReadWrite"))
        await anna.post("/me/contacts", json={"givenName": f"Start {start}"})
        items, link = await whole(anna, link)
        assert link.startswith(f"{world.base_url}/v1.0{DEFAULT}?$deltatoken=")
    assert [item["givenName"] for item in items] == ["Start 2"]
