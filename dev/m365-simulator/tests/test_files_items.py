"""Drives and their items: addresses, small uploads, names, downloads, links, delta."""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

ANNA = "anna@contoso.example"
BEHAVIOUR = "@microsoft.graph.conflictBehavior"


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Files.ReadWrite"))


async def put(anna: httpx.AsyncClient, path: str, content: bytes = b"text", **more: Any) -> httpx.Response:
    return await anna.put(f"/me/drive/root:/{quote(path)}:/content", content=content, **more)


async def children(anna: httpx.AsyncClient, path: str = "root") -> list[str]:
    return [row["name"] for row in (await anna.get(f"/me/drive/{path}/children")).json()["value"]]


async def test_a_small_file_is_put_by_path_read_by_id_and_by_path(anna: httpx.AsyncClient) -> None:
    made = await put(anna, "Folder A/Content (1) ümläut.txt", b"The contents")
    assert made.status_code == 201, made.text
    item = made.json()
    assert (item["name"], item["size"]) == ("Content (1) ümläut.txt", 12)
    for path in (f"items/{item['id']}", f"root:/folder%20a/{quote(item['name'])}", f"root:/Folder A/{item['name']}:"):
        assert (await anna.get(f"/me/drive/{path}")).json()["id"] == item["id"], path
    drive = (await anna.get("/me/drive")).json()
    assert drive["quota"]["used"] == 12
    assert (await anna.get("/ME/Drive/ROOT/Children")).status_code == 200
    assert (await anna.get(f"/drives/{drive['id']}/items/{item['id']}")).json()["id"] == item["id"]
    parent = item["parentReference"]
    assert parent["path"] == f"/drives/{drive['id']}/root:/Folder A"
    by_parent = await anna.put(f"/me/drive/items/{parent['id']}:/b.txt:/content", content=b"b")
    assert by_parent.status_code == 201
    assert len(await children(anna, "root:/Folder A:")) == 2
    words = (await put(anna, "MESSAGES/Events('x')/CONTENT", b"names are nobody's words")).json()
    assert (words["name"], words["parentReference"]["name"]) == ("CONTENT", "Events('x')")
    assert len(await children(anna, f"items/{parent['id']}")) == 2
    assert (await anna.get("/me/drive/root:/Folder A")).json()["folder"] == {"childCount": 2}


@pytest.mark.behaviour(51)
async def test_a_name_that_is_taken_fails_replaces_or_renames(anna: httpx.AsyncClient) -> None:
    first = (await put(anna, "a.txt", b"1")).json()
    failed = await put(anna, "A.txt", b"2", params={BEHAVIOUR: "fail"})
    assert (failed.status_code, failed.json()["error"]["code"]) == (409, "nameAlreadyExists")
    renamed = await put(anna, "a.txt", b"3", params={BEHAVIOUR: "rename"})
    assert (renamed.status_code, renamed.json()["name"]) == (201, "a 1.txt")
    replaced = await put(anna, "a.txt", b"four", params={BEHAVIOUR: "replace"})
    assert (replaced.status_code, replaced.json()["id"], replaced.json()["size"]) == (200, first["id"], 4)
    assert (await put(anna, "a.txt", params={BEHAVIOUR: "merge"})).status_code == 400
    former = 1
    assert (await anna.get("/me/drive")).json()["quota"]["used"] == 5 + former


@pytest.mark.behaviour(51)
async def test_content_changes_both_tags_and_a_new_name_the_etag_alone(anna: httpx.AsyncClient) -> None:
    first = (await put(anna, "a.txt", b"1")).json()
    second = (await put(anna, "a.txt", b"22")).json()
    assert (first["eTag"] != second["eTag"], first["cTag"] != second["cTag"]) == (True, True)
    assert first["file"]["hashes"]["quickXorHash"] == "MQAAAAAAAAAAAAAAAQAAAAAAAAA="
    path = f"/me/drive/items/{first['id']}"
    stale = {"If-Match": first["eTag"]}
    assert (await anna.patch(path, json={"name": "b.txt"}, headers=stale)).status_code == 412
    assert (await anna.delete(path, headers=stale)).status_code == 412
    assert (await put(anna, "a.txt", b"3", headers=stale)).status_code == 412
    third = (await anna.patch(path, json={"name": "b.txt"}, headers={"If-Match": second["eTag"]})).json()
    assert third["eTag"] != second["eTag"]
    assert third["cTag"] == second["cTag"]


@pytest.mark.behaviour(51)
@pytest.mark.parametrize(
    "name", ["a*b", "a<b", 'a"b', "a|b", " a", "a ", "a.", "CON", "lpt1.txt", "~$a", "x_vti_y", ".lock", "desktop.ini"]
)
async def test_illegal_and_reserved_names_are_refused(anna: httpx.AsyncClient, name: str) -> None:
    refused = await put(anna, name)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalidRequest")
    folder = await anna.post("/me/drive/root/children", json={"name": name, "folder": {}})
    assert folder.status_code == 400
    session = {"item": {"name": name}}
    assert (await anna.post("/me/drive/root:/ok:/createUploadSession", json=session)).status_code == 400


@pytest.mark.behaviour(51)
async def test_paths_go_deep_up_to_four_hundred_characters(anna: httpx.AsyncClient) -> None:
    deep = "/".join(["folder-of-20-letters"] * 18)
    assert (await put(anna, f"{deep}/a.txt")).status_code == 201
    assert (await put(anna, f"{deep}/{'a' * 60}.txt")).status_code == 400
    session = await anna.post(f"/me/drive/root:/{deep}/{'a' * 60}.txt:/createUploadSession", json={})
    assert session.status_code == 400


@pytest.mark.parametrize("behaviour", ["fail", "replace", "rename"])
async def test_a_move_to_a_taken_name_fails_replaces_or_renames(anna: httpx.AsyncClient, behaviour: str) -> None:
    taken, moved = [(await put(anna, name, name.encode())).json()["id"] for name in ("a.txt", "b.txt")]
    answer = await anna.patch(f"/me/drive/items/{moved}", json={"name": "a.txt", BEHAVIOUR: behaviour})
    found = {one["id"]: one["name"] for one in (await anna.get("/me/drive/root/children")).json()["value"]}
    assert (answer.status_code, found) == {
        "fail": (409, {taken: "a.txt", moved: "b.txt"}),
        "replace": (200, {moved: "a.txt"}),
        "rename": (200, {taken: "a.txt", moved: "a 1.txt"}),
    }[behaviour]


async def test_folders_are_made_moved_and_deleted_with_what_is_in_them(anna: httpx.AsyncClient) -> None:
    made = await anna.post("/me/drive/root/children", json={"name": "One", "folder": {}})
    assert made.status_code == 201
    again = {"name": "one", "folder": {}, BEHAVIOUR: "fail"}
    assert (await anna.post("/me/drive/root/children", json=again)).status_code == 409
    renamed = await anna.post("/me/drive/root/children", json=again | {BEHAVIOUR: "rename"})
    assert renamed.json()["name"] == "one 1"
    await put(anna, "One/Two/a.txt")
    one, two = [(await anna.get(f"/me/drive/root:/{path}")).json()["id"] for path in ("One", "One/Two")]
    inside = await anna.patch(f"/me/drive/items/{one}", json={"parentReference": {"id": two}})
    assert inside.status_code == 400, "not into itself"
    moved = await anna.patch(f"/me/drive/items/{two}", json={"parentReference": {"id": renamed.json()["id"]}})
    assert moved.status_code == 200
    assert (await anna.get("/me/drive/root:/one 1/Two/a.txt")).status_code == 200
    assert (await anna.delete(f"/me/drive/items/{renamed.json()['id']}")).status_code == 204
    assert (await anna.get("/me/drive/root:/one 1/Two/a.txt")).json()["error"]["code"] == "itemNotFound"
    assert (await anna.get("/me/drive")).json()["quota"]["used"] == 0
    assert (await anna.delete("/me/drive/root")).status_code == 403


async def test_search_finds_by_name_below_the_item(anna: httpx.AsyncClient) -> None:
    for path in ("a/Report.docx", "b/report 2.docx", "b/other"):
        await put(anna, path)
    found = (await anna.get("/me/drive/root/search(q='report')")).json()["value"]
    assert len(found) == 2
    below = (await anna.get("/me/drive/root:/b:/search(q='REPORT')")).json()["value"]
    assert [row["name"] for row in below] == ["report 2.docx"]
    assert len((await anna.get("/me/drive/search(q='o')")).json()["value"]) == 3


@pytest.mark.behaviour(53)
async def test_a_download_is_redirected_to_a_url_that_takes_no_token_and_expires(
    world: Any, anna: httpx.AsyncClient
) -> None:
    item = (await put(anna, "a.txt", b"0123456789")).json()
    answer = await anna.get(f"/me/drive/items/{item['id']}/content")
    url = answer.headers["location"]
    assert (answer.status_code, urlsplit(url).hostname) == (302, "127.0.0.1")
    assert (await world.http.get(url)).content == b"0123456789"
    assert (await world.http.get(item["@microsoft.graph.downloadUrl"])).content == b"0123456789"
    assert (await anna.get(url)).status_code == 401
    assert (await world.control.findings())[0]["kind"] == "authorization_on_foreign_host"
    part = await world.http.get(url, headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"345", "bytes 3-5/10")
    assert (await world.http.get(url, headers={"Range": "bytes=-2"})).content == b"89"
    assert (await world.http.get(url, headers={"Range": "bytes=10-"})).status_code == 416
    assert (await world.http.get(url[:-1] + ("0" if url[-1] != "0" else "1"))).status_code == 404
    await world.control.advance(3601)
    assert (await world.http.get(url)).status_code == 200
    await world.control.advance(3601, clock="service")
    assert (await world.http.get(url)).status_code == 401
    await world.control.do("files_rules", expired_download_status=404)
    assert (await world.http.get(url)).status_code == 404


async def test_generated_files_of_any_size_take_no_room_on_disk(world: Any, anna: httpx.AsyncClient) -> None:
    size = 20 * 1024**3
    made = await world.control.do("file_put", drive=ANNA, path="film.mp4", size=size)
    shown = (await anna.get("/me/drive/root:/film.mp4")).json()
    assert (shown["size"], shown["file"]["hashes"]["quickXorHash"]) == (size, made["hash"])
    end = {"Range": f"bytes={size - 4}-"}
    assert len((await world.http.get(shown["@microsoft.graph.downloadUrl"], headers=end)).content) == 4


@pytest.mark.behaviour(53)
async def test_a_link_is_made_once_found_again_and_forbidden_by_the_tenant(world: Any, anna: httpx.AsyncClient) -> None:
    item = (await put(anna, "a.txt")).json()
    path = f"/me/drive/items/{item['id']}/createLink"
    made = await anna.post(path, json={"type": "view", "scope": "organization"})
    again = await anna.post(path, json={"type": "view", "scope": "organization"})
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert (await anna.post(path, json={"type": "edit", "scope": "organization"})).status_code == 201
    await world.control.do("sharing_policy", tenant="contoso.example", scopes=["organization", "users"])
    refused = await anna.post(path, json={"type": "view", "scope": "anonymous"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "accessDenied")
    for bad in ({"type": "own"}, {"type": "view", "scope": "all"}, {"type": "view", "until": "x"}, []):
        assert (await anna.post(path, json=bad)).status_code == 400
    past = {"type": "view", "expirationDateTime": "2001-01-01T00:00:00Z"}
    assert (await anna.post(path, json=past)).status_code == 400


async def test_delta_of_a_drive_tells_what_changed_and_what_went(world: Any, anna: httpx.AsyncClient) -> None:
    first = (await put(anna, "a/b.txt")).json()
    body = (await anna.get("/me/drive/root/delta", params={"$top": "2"})).json()
    more = (await anna.get(body["@odata.nextLink"])).json()
    assert len(body["value"]) == 2
    assert {row["name"] for row in [*body["value"], *more["value"]]} == {"root", "a", "b.txt"}
    link = more["@odata.deltaLink"]
    assert (await anna.get(link)).json()["value"] == []
    await world.control.do("file_delete", drive=ANNA, path="a")
    gone = (await anna.get(link)).json()["value"]
    assert {row["id"] for row in gone if row.get("deleted") == {"state": "deleted"}} >= {first["id"]}
    token = parse_qs(urlsplit(link).query)["token"][0]
    assert (await anna.get(f"/me/drive/root/delta(token='{token}')")).status_code == 200
    latest = (await anna.get("/me/drive/root/delta", params={"token": "latest"})).json()
    assert latest["value"] == []
    assert (await anna.get("/me/drive/root/delta", params={"token": "made-up"})).status_code == 400


@pytest.mark.parametrize("code", ["resyncChangesApplyDifferences", "resyncChangesUploadDifferences"])
async def test_a_lost_drive_state_is_a_410_with_a_location_to_begin_anew(
    world: Any, anna: httpx.AsyncClient, code: str
) -> None:
    await put(anna, "a.txt")
    link = (await anna.get("/me/drive/root/delta")).json()["@odata.deltaLink"]
    await world.control.do("sync_state_forget", collection="drive/", code=code)
    got = await anna.get(link)
    assert (got.status_code, got.json()["error"]["code"]) == (410, code)
    again = (await anna.get(got.headers["location"])).json()
    assert {row["name"] for row in again["value"]} == {"root", "a.txt"}


async def test_room_is_limited_and_too_large_a_small_upload_is_refused(world: Any, anna: httpx.AsyncClient) -> None:
    await put(anna, "a.txt", b"12345")
    await world.control.do("quota_set", drive=ANNA, free=3)
    refused = await put(anna, "b.txt", b"1234")
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "quotaLimitReached")
    assert await children(anna) == ["a.txt"]
    assert len(list((world.simulator.settings.state_dir / "files").iterdir())) == 1, "nothing half-done stays"
    assert (await put(anna, "b.txt", b"123")).status_code == 201
    large = {"Content-Length": str(251 * 1024 * 1024)}
    assert (await put(anna, "c.txt", b"", headers=large)).status_code == 413


async def test_nobody_enters_another_persons_drive(world: Any, anna: httpx.AsyncClient) -> None:
    item = (await put(anna, "a.txt")).json()
    drive = item["parentReference"]["driveId"]
    ben = world.graph(world.token("ben@contoso.example", "Files.ReadWrite.All"))
    assert (await ben.get(f"/drives/{drive}/items/{item['id']}")).status_code == 403
    assert (await ben.get(f"/users/{ANNA}/drive")).status_code == 403
    assert (await ben.get("/me/drive", params={"user": ANNA})).json()["id"] != drive
    carl = world.graph(world.token("carl@fabrikam.example", "Files.ReadWrite.All"))
    assert (await carl.get(f"/drives/{drive}/root")).status_code == 404
    reader = world.graph(world.token(ANNA, "Files.Read"))
    assert (await reader.get("/me/drive/root")).status_code == 200
    assert (await put(reader, "b.txt")).status_code == 403
    nobody = world.graph(world.token(ANNA, "User.Read"))
    assert (await nobody.get("/me/drive/root")).json()["error"]["code"] == "accessDenied"


async def test_addresses_that_are_none_and_methods_that_do_not_fit_are_refused(anna: httpx.AsyncClient) -> None:
    await put(anna, "a.txt")
    for path, status in {
        "/me/drive/nothing": 400,
        "/me/drive/root/thumbnails": 400,
        "/me/drive/root:/a.txt:/children/x": 400,
        "/me/drive/items/none": 404,
        "/me/drive/root:/none.txt": 404,
        "/me/drive/root/createLink": 405,
        "/me/drive/root/children?$filter=size gt 1": 400,
    }.items():
        assert (await anna.get(path)).status_code == status, path


async def test_a_changed_drive_is_told_at_its_root(world: Any, anna: httpx.AsyncClient) -> None:
    told: list[Any] = []
    world.simulator.changes.listen(told.append)
    drive = (await put(anna, "a.txt")).json()["parentReference"]["driveId"]
    assert told[-1].covered_by[0] == f"drives/{drive}/root"
    assert told[-1].change_type == "updated"


async def test_children_are_listed_a_thousand_at_a_time(anna: Any) -> None:
    assert (await anna.get("/me/drive/root/children", params={"$top": "1000"})).status_code == 200
    assert (await anna.get("/me/drive/root/children", params={"$top": "1001"})).status_code == 400
