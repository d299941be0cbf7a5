"""The scenario files of contacts, mail and files, read by a client as it would read Microsoft."""

from typing import Any

import pytest

from m365_simulator.directory import CONTOSO

ANNA = "anna@contoso.example"
NAMES = (
    "address-book-of-3000-changes-while-read",
    "mail-arrives-and-is-moved",
    "upload-breaks-at-the-last-fragment",
    "delta-state-forgotten",
    "channel-not-opened-and-site-not-granted",
    "drive-fills-up",
)
UNIT = 327_680


@pytest.mark.parametrize("name", NAMES[1:])
async def test_a_scenario_gives_the_same_ids_in_every_run(make_world: Any, name: str) -> None:
    runs = [await make_world().control.run(name) for _ in range(2)]
    assert runs[0]["named"].keys() == runs[1]["named"].keys()
    for key, named in runs[0]["named"].items():
        again = runs[1]["named"][key]
        assert {k: v for k, v in named.items() if k.endswith(("id", "immutable"))} == {
            k: v for k, v in again.items() if k.endswith(("id", "immutable"))
        }


@pytest.mark.behaviour(47)
async def test_a_reader_of_3000_changing_contacts_ends_with_what_is_there(world: Any) -> None:
    await world.control.run(NAMES[0])
    anna = world.graph(world.token(ANNA, "Contacts.Read"))
    known: dict[str, str | None] = {}
    empty, url, seen = 0, "/me/contactFolders/contacts/contacts/delta?$select=jobTitle,givenName", 0
    prefer = {"Prefer": 'odata.maxpagesize=400, IdType="ImmutableId"'}
    while True:
        body = (await anna.get(url, headers=prefer)).json()
        empty += not body["value"]
        for item in body["value"]:
            seen += 1
            known.pop(item["id"], None)
            if "@removed" not in item:
                known[item["id"]] = item["jobTitle"]
        if "@odata.deltaLink" in body:
            break
        url = body["@odata.nextLink"]
    prefer = {"Prefer": 'IdType="ImmutableId"'}
    now = (await anna.get("/me/contacts?$top=1000&$select=jobTitle", headers=prefer)).json()
    there = {row["id"]: row["jobTitle"] for row in now["value"]}
    while "@odata.nextLink" in now:
        now = (await anna.get(now["@odata.nextLink"], headers=prefer)).json()
        there |= {row["id"]: row["jobTitle"] for row in now["value"]}
    assert known == there
    assert len(known) == 2800
    assert empty == 1
    assert seen > 2802, "changed ones came twice"


async def test_the_moved_message_is_where_it_was_filed(world: Any) -> None:
    named = (await world.control.run("mail-arrives-and-is-moved"))["named"]
    anna = world.graph(world.token(ANNA, "Mail.Read"))
    filed = (await anna.get(f"/me/messages/{named['filed']['id']}")).json()
    assert filed["isRead"]
    assert named["filed"]["immutable"] == named["offer"]["immutable"]
    (answer,) = (await anna.get("/me/mailFolders/deleteditems/messages")).json()["value"]
    assert answer["conversationId"] == filed["conversationId"]


@pytest.mark.behaviour(50)
async def test_the_item_of_a_last_fragment_answered_504_is_there(world: Any) -> None:
    site = (await world.control.run("upload-breaks-at-the-last-fragment"))["named"]["site"]
    app = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    path = f"/drives/{site['drive']}/root:/Recordings/"
    content = {"content": b"x" * UNIT, "headers": {"Content-Range": f"bytes 0-{UNIT - 1}/{UNIT}"}}
    fail = {"item": {"@microsoft.graph.conflictBehavior": "fail"}}
    taken = (await app.post(f"{path}meeting.mp4:/createUploadSession", json=fail)).json()["uploadUrl"]
    assert (await world.http.put(taken, **content)).status_code == 409
    url = (await app.post(f"{path}other.mp4:/createUploadSession", json={})).json()["uploadUrl"]
    assert (await world.http.put(url, **content)).status_code == 504
    assert (await world.http.get(url)).status_code == 404
    assert (await app.get(f"{path}other.mp4")).json()["size"] == UNIT


async def test_forgotten_states_of_contacts_and_drives_say_where_to_begin_again(world: Any) -> None:
    await world.control.run("delta-state-forgotten")
    anna = world.graph(world.token(ANNA, "Contacts.Read Files.Read"))
    prefer = {"Prefer": "odata.maxpagesize=100"}
    for path, code in {
        "/me/contactFolders/contacts/contacts/delta": "syncStateNotFound",
        "/me/drive/root/delta": "resyncChangesApplyDifferences",
    }.items():
        link = (await anna.get(path, headers=prefer)).json()["@odata.deltaLink"]
        got = await anna.get(link)
        assert (got.status_code, got.json()["error"]["code"]) == (410, code)
        assert (await anna.get(got.headers["location"], headers=prefer)).json()["value"]


async def test_the_unopened_channel_and_the_ungranted_site_refuse(world: Any) -> None:
    named = (await world.control.run("channel-not-opened-and-site-not-granted"))["named"]
    anna = world.graph(world.token(ANNA, "Files.ReadWrite.All"))
    base = f"/teams/{named['team']['id']}/channels"
    assert (await anna.get(f"{base}/{named['unopened']['id']}/filesFolder")).status_code == 404
    assert (await anna.get(f"{base}/{named['private']['id']}/filesFolder")).status_code == 200
    app = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    assert (await app.get(f"/sites/{named['site']['id']}")).status_code == 403


async def test_the_full_drive_takes_a_megabyte_and_no_more(world: Any) -> None:
    site = (await world.control.run("drive-fills-up"))["named"]["site"]
    app = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    path = f"/drives/{site['drive']}/root:/a:/"
    large = {"item": {"fileSize": 1_048_577}}
    assert (await app.post(f"{path}createUploadSession", json=large)).status_code == 507
    assert (await app.put(f"{path}content", content=b"x" * 1_048_577)).status_code == 507
    made = await app.put(f"{path}content", content=b"x" * 1_048_576)
    assert made.status_code == 201
    item = f"/drives/{site['drive']}/items/{made.json()['id']}"
    assert (await app.post(f"{item}/createLink", json={"type": "view", "scope": "anonymous"})).status_code == 403
