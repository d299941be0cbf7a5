"""Contacts, contact folders, photos and the two kinds of ids."""

import base64
from typing import Any

import httpx
import pytest

ANNA = "anna@contoso.example"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAC0lEQVR4nGNgQAYAAA4AAamRc7EAAAAASUVORK5CYII=")


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Contacts.ReadWrite User.ReadWrite User.Read"))


async def made(anna: httpx.AsyncClient, path: str = "/me/contacts", **values: Any) -> dict[str, Any]:
    got = await anna.post(path, json=values)
    assert got.status_code == 201, got.text
    return got.json()


async def folder(anna: httpx.AsyncClient, name: str, above: str = "/me/contactFolders") -> str:
    return (await made(anna, above, displayName=name))["id"]


async def test_a_contact_is_created_read_changed_and_deleted(anna: httpx.AsyncClient) -> None:
    contact = await made(anna, givenName="Pavel", surname="Bansky")
    assert (contact["displayName"], contact["fileAs"]) == ("Pavel Bansky", "Bansky, Pavel")
    born = await made(anna, birthday="1974-07-22")
    assert born["birthday"] == "1974-07-22T00:00:00Z"
    path = f"/me/contacts/{contact['id']}"
    changed = (await anna.patch(path, json={"jobTitle": "Baker"})).json()
    assert changed["jobTitle"] == "Baker"
    assert changed["changeKey"] != contact["changeKey"]
    assert (await anna.get(path)).json()["jobTitle"] == "Baker"
    assert (await anna.delete(path)).status_code == 204
    assert (await anna.get(path)).json()["error"]["code"] == "ErrorItemNotFound"


async def test_a_stale_if_match_is_refused_with_412(anna: httpx.AsyncClient) -> None:
    contact = await made(anna, givenName="Pavel")
    path, old = f"/me/contacts/{contact['id']}", {"If-Match": contact["@odata.etag"]}
    assert (await anna.patch(path, json={"title": "Dr"}, headers=old)).status_code == 200
    assert (await anna.patch(path, json={"title": "Mr"}, headers=old)).status_code == 412
    assert (await anna.delete(path, headers=old)).status_code == 412


@pytest.mark.behaviour(48)
async def test_only_the_default_folder_is_at_me_contacts(anna: httpx.AsyncClient) -> None:
    work = await folder(anna, "Work")
    await made(anna, f"/me/contactFolders/{work}/contacts", givenName="Elsewhere")
    await made(anna, givenName="Here")
    names = [row["givenName"] for row in (await anna.get("/me/contacts")).json()["value"]]
    assert names == ["Here"]
    default = [row["givenName"] for row in (await anna.get("/me/contactFolders/contacts/contacts")).json()["value"]]
    assert default == ["Here"]


@pytest.mark.behaviour(48)
async def test_folders_nest_and_lists_show_one_level(anna: httpx.AsyncClient) -> None:
    outer = await folder(anna, "Outer")
    inner = await folder(anna, "Inner", f"/me/contactFolders/{outer}/childFolders")
    await made(anna, f"/me/contactFolders/{inner}/contacts", givenName="Deep")
    names = [row["displayName"] for row in (await anna.get("/me/contactFolders")).json()["value"]]
    assert names == ["Contacts", "Outer"]
    children = (await anna.get(f"/me/contactFolders/{outer}/childFolders")).json()["value"]
    assert [(row["displayName"], row["parentFolderId"]) for row in children] == [("Inner", outer)]
    assert (await anna.delete(f"/me/contactFolders/{outer}")).status_code == 204
    assert (await anna.get(f"/me/contactFolders/{inner}/contacts")).status_code == 404


async def test_the_default_folder_stays_and_a_name_is_taken_once(anna: httpx.AsyncClient) -> None:
    await folder(anna, "Work")
    assert (await anna.post("/me/contactFolders", json={"displayName": "work"})).status_code == 409
    assert (await anna.post("/me/contactFolders", json={"displayName": " "})).status_code == 400
    assert (await anna.delete("/me/contactFolders/contacts")).status_code == 403


@pytest.mark.behaviour(48)
async def test_contacts_without_address_or_name_and_with_several_addresses(anna: httpx.AsyncClient) -> None:
    blank = await made(anna, emailAddresses=None, businessPhones=None, categories=None)
    assert (blank["emailAddresses"], blank["businessPhones"]) == ([], [])
    nobody = await made(anna)
    assert (nobody["displayName"], nobody["emailAddresses"], nobody["givenName"]) == ("", [], None)
    addresses = [{"name": "", "address": f"a{n}@example.com"} for n in range(3)]
    several = await made(anna, companyName="Litware", emailAddresses=addresses)
    assert several["displayName"] == "Litware"
    assert several["tertiaryEmailAddress"]["address"] == "a2@example.com"
    wanted = "emailAddresses/any(a:a/address eq 'A1@example.com')"
    found = (await anna.get("/me/contacts", params={"$filter": wanted})).json()["value"]
    assert [row["id"] for row in found] == [several["id"]]


async def test_a_list_pages_by_ten_and_takes_at_most_a_thousand(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("contacts_seed", user=ANNA, count=25)
    first = (await anna.get("/me/contacts", params={"$select": "displayName"})).json()
    assert len(first["value"]) == 10
    assert set(first["value"][0]) == {"@odata.etag", "id", "displayName"}
    assert len((await anna.get(first["@odata.nextLink"])).json()["value"]) == 10
    whole = (await anna.get("/me/contacts", params={"$top": "1000"})).json()
    assert len(whole["value"]) == 25
    assert "@odata.nextLink" not in whole
    for bad in ({"$top": "1001"}, {"$expand": "extensions"}, {"$filter": "jobTitle eq 'x'"}, {"$select": "nope"}):
        assert (await anna.get("/me/contacts", params=bad)).status_code == 400, bad


async def test_bodies_are_checked_and_permissions_needed(world: Any, anna: httpx.AsyncClient) -> None:
    assert (await anna.post("/me/contacts", json={"shoeSize": 43})).status_code == 400
    assert (await anna.post("/me/contacts", json={"businessPhones": "1"})).status_code == 400
    reader = world.graph(world.token(ANNA, "Contacts.Read"))
    assert (await reader.get("/me/contacts")).status_code == 200
    refused = await reader.post("/me/contacts", json={"givenName": "x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ErrorAccessDenied")
    nobody = world.graph(world.token("unlicensed@contoso.example", "Contacts.Read"))
    assert (await nobody.get("/me/contacts")).json()["error"]["code"] == "MailboxNotEnabledForRESTAPI"


async def test_nobody_reads_another_persons_address_book(world: Any, anna: httpx.AsyncClient) -> None:
    contact = await made(anna, givenName="Secret")
    ben = world.graph(world.token("ben@contoso.example", "Contacts.ReadWrite"))
    assert (await ben.get(f"/users/{ANNA}/contacts")).status_code == 403
    assert (await ben.get("/me/contacts", params={"user": ANNA})).json()["value"] == []
    assert (await ben.get(f"/me/contacts/{contact['id']}")).status_code == 404
    app = world.graph(world.app_token("fab41ca0-0000-4000-8000-000000000002", "Contacts.Read"))
    assert (await app.get(f"/users/{ANNA}/contacts")).status_code == 404


@pytest.mark.behaviour(47)
async def test_the_mutable_id_changes_with_a_move_and_the_immutable_one_stays(anna: httpx.AsyncClient) -> None:
    work = await folder(anna, "Work")
    contact = await made(anna, givenName="Mover")
    stays = (await anna.get(f"/me/contacts/{contact['id']}", headers=IMMUTABLE)).json()["id"]
    assert stays != contact["id"]
    moved = (await anna.patch(f"/me/contacts/{contact['id']}", json={"parentFolderId": work})).json()
    assert moved["id"] not in (contact["id"], stays)
    assert (await anna.get(f"/me/contacts/{contact['id']}")).status_code == 404
    for key in (moved["id"], stays):
        assert (await anna.get(f"/me/contacts/{key}", headers=IMMUTABLE)).json()["id"] == stays


@pytest.mark.behaviour(47)
async def test_ids_are_translated_both_ways_and_at_most_a_thousand_at_once(anna: httpx.AsyncClient) -> None:
    contact = await made(anna, givenName="Two ids")
    stays = (await anna.get(f"/me/contacts/{contact['id']}", headers=IMMUTABLE)).json()["id"]

    async def translated(keys: list[str], source: str, target: str) -> httpx.Response:
        body = {"inputIds": keys, "sourceIdType": source, "targetIdType": target}
        return await anna.post("/me/translateExchangeIds", json=body)

    there = (await translated([contact["id"], "bad"], "restId", "restImmutableEntryId")).json()["value"]
    assert [row["targetId"] for row in there] == [stays, None]
    back = (await translated([stays], "restImmutableEntryId", "restId")).json()["value"]
    assert back == [{"sourceId": stays, "targetId": contact["id"]}]
    assert (await translated(["x"] * 1001, "restId", "restImmutableEntryId")).status_code == 400
    assert (await translated(["x"], "ewsId", "restId")).status_code == 400


@pytest.mark.behaviour(48)
async def test_a_contact_has_no_photo_until_one_is_put(anna: httpx.AsyncClient) -> None:
    path = f"/me/contacts/{(await made(anna, givenName='Face'))['id']}/photo"
    for missing in (path, f"{path}/$value"):
        got = await anna.get(missing)
        assert (got.status_code, got.json()["error"]["code"]) == (404, "ImageNotFound")
    assert (await anna.put(f"{path}/$value", content=b"no image")).status_code == 400
    assert (await anna.put(f"{path}/$value", content=PNG)).status_code == 200
    shown = (await anna.get(path)).json()
    assert (shown["width"], shown["height"], shown["@odata.mediaContentType"]) == (3, 2, "image/png")
    assert (await anna.get(f"{path}/$value")).content == PNG


async def test_a_persons_photo_comes_in_the_sizes_it_is_large_enough_for(anna: httpx.AsyncClient) -> None:
    assert (await anna.get("/me/photos/48x48/$value")).status_code == 404
    large = PNG[:16] + (64).to_bytes(4, "big") * 2 + PNG[24:]
    assert (await anna.put("/me/photo/$value", content=large)).status_code == 200
    assert (await anna.get("/me/photos/48x48")).json()["width"] == 48
    assert (await anna.get("/me/photos/64X64/$value")).content == large
    assert (await anna.get("/me/photos/96x96/$value")).status_code == 404
    assert (await anna.get("/me/photos/50x50")).status_code == 404


async def test_a_change_is_told_for_the_folder_and_the_mailbox(world: Any, anna: httpx.AsyncClient) -> None:
    told: list[Any] = []
    world.simulator.changes.listen(told.append)
    work = await folder(anna, "Work")
    contact = await made(anna, givenName="Told")
    await anna.patch(f"/me/contacts/{contact['id']}", json={"parentFolderId": work})
    assert [change.change_type for change in told] == ["created", "updated", "deleted", "created"]
    user = told[0].resource.split("/")[1]
    assert f"users/{user}/contacts" in told[0].covered_by
    assert f"users/{user}/contactFolders/{work}/contacts" in told[-1].covered_by
    assert told[0].item_id == contact["id"]
    assert told[0].immutable_id == told[-1].immutable_id


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("displayName eq 'Pavel Bansky'", ["Pavel"]),
        ("startswith(displayName,'p')", ["Pavel", "Petra"]),
        ("surname eq 'Berg' or companyName eq 'Fabrikam'", ["Pavel", "Petra"]),
        ("givenName eq 'Nobody'", []),
    ],
)
async def test_contacts_are_filtered_by_their_names(world: Any, wanted: str, found: list[str]) -> None:
    anna = world.graph(world.token("anna@contoso.example", "Contacts.ReadWrite"))
    for given, surname, company in (("Pavel", "Bansky", "Fabrikam"), ("Petra", "Berg", None), ("Otto", "Os", None)):
        body = {"givenName": given, "surname": surname, "displayName": f"{given} {surname}", "companyName": company}
        await anna.post("/me/contacts", json=body)
    got = await anna.get("/me/contacts", params={"$filter": wanted, "$orderby": "givenName"})
    assert [one["givenName"] for one in got.json()["value"]] == found
