"""Copies, times, links and roots of drives, as rclone, O365 and others ask for them."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
OLD = {"createdDateTime": "2019-02-03T04:05:06Z", "lastModifiedDateTime": "2020-03-04T05:06:07Z"}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Files.ReadWrite.All Sites.ReadWrite.All"))


async def put(anna: httpx.AsyncClient, path: str, content: bytes = b"text") -> dict[str, Any]:
    got = await anna.put(f"/me/drive/root:/{path}:/content", content=content)
    assert got.status_code in (200, 201), got.text
    return got.json()


async def copied(world: Any, anna: httpx.AsyncClient, key: str, **body: Any) -> dict[str, Any]:
    """What the monitor says in the end."""
    got = await anna.post(f"/me/drive/items/{key}/copy", json=body)
    assert (got.status_code, got.content) == (202, b""), got.text
    assert urlsplit(got.headers["location"]).hostname != urlsplit(world.base_url).hostname
    return (await world.http.get(got.headers["location"])).json()


async def test_a_file_is_copied_with_its_bytes_and_nothing_else(world: Any, anna: httpx.AsyncClient) -> None:
    item = await put(anna, "a/one.txt")
    await anna.post("/me/drive/root/children", json={"name": "b", "folder": {}})
    folder = (await anna.get("/me/drive/root:/b")).json()
    by_id = await copied(world, anna, item["id"], parentReference={"id": folder["id"]}, name="two.txt")
    assert (by_id["status"], by_id["percentageComplete"]) == ("completed", 100)
    two = (await anna.get(f"/me/drive/items/{by_id['resourceId']}")).json()
    assert (two["name"], two["parentReference"]["id"], two["size"]) == ("two.txt", folder["id"], 4)
    assert two["file"]["hashes"] == item["file"]["hashes"]
    await anna.delete(f"/me/drive/items/{item['id']}")
    got = await anna.get("/me/drive/root:/b/two.txt:/content")
    assert (await world.http.get(got.headers["location"])).content == b"text"
    by_path = await copied(world, anna, two["id"], parentReference={"path": "/drive/root:/a"})
    assert (await anna.get(f"/me/drive/items/{by_path['resourceId']}")).json()["parentReference"]["path"].endswith("/a")


async def test_a_folder_is_copied_with_what_is_below_it(world: Any, anna: httpx.AsyncClient) -> None:
    await put(anna, "a/deep/one.txt")
    folder = (await anna.get("/me/drive/root:/a")).json()
    assert (await copied(world, anna, folder["id"], name="b"))["status"] == "completed"
    assert (await anna.get("/me/drive/root:/b/deep/one.txt")).status_code == 200
    inside = await copied(world, anna, folder["id"], parentReference={"path": "/drive/root:/a/deep"})
    assert (inside["status"], inside["error"]["code"]) == ("failed", "invalidRequest")


async def test_a_copy_takes_its_time_and_a_taken_name_shows_at_the_end(world: Any, anna: httpx.AsyncClient) -> None:
    item = await put(anna, "one.txt")
    await world.control.do("files_rules", copy_s=60)
    got = await anna.post(f"/me/drive/items/{item['id']}/copy", json={"name": "one.txt"})
    waiting = await world.http.get(got.headers["location"])
    assert (waiting.status_code, waiting.json()["status"]) == (202, "inProgress")
    await world.control.advance(61)
    ended = await world.http.get(got.headers["location"])
    assert (ended.status_code, ended.json()["error"]["code"]) == (200, "nameAlreadyExists")
    assert (await world.http.get(got.headers["location"], headers={"Authorization": "Bearer x"})).status_code == 401
    renamed = {"@microsoft.graph.conflictBehavior": "rename"}
    await anna.post(f"/me/drive/items/{item['id']}/copy", json={"name": "one.txt"}, params=renamed)
    await world.control.advance(61)
    assert (await anna.get("/me/drive/root:/one 1.txt")).status_code == 200


async def test_a_copy_goes_only_where_the_caller_may_write(world: Any, anna: httpx.AsyncClient) -> None:
    item = await put(anna, "one.txt")
    site = await world.control.do("site_add", tenant="contoso.example", name="Sales")
    there = await copied(world, anna, item["id"], parentReference={"driveId": site["drive"], "path": "/drive/root:"})
    assert (await anna.get(f"/drives/{site['drive']}/items/{there['resourceId']}")).json()["name"] == "one.txt"
    ben = world.graph(world.token(BEN, "Files.ReadWrite.All"))
    bens = (await ben.get("/me/drive")).json()["id"]
    path = f"/me/drive/items/{item['id']}/copy"
    carl = world.graph(world.token("carl@fabrikam.example", "Files.ReadWrite.All"))
    carls = (await carl.get("/me/drive")).json()["id"]
    for target, status in ((bens, 403), (carls, 404), ("b!none", 404)):
        assert (await anna.post(path, json={"parentReference": {"driveId": target}})).status_code == status
    for wrong in ([], {"to": "x"}, {"parentReference": {"colour": "x"}}, {"name": "a*b"}):
        assert (await anna.post(path, json=wrong)).status_code == 400
    reader = world.graph(world.token(ANNA, "Files.Read"))
    assert (await reader.post(path, json={})).status_code == 403


async def test_the_times_a_file_had_elsewhere_are_kept(world: Any, anna: httpx.AsyncClient) -> None:
    made = await anna.post("/me/drive/root/children", json={"name": "a", "folder": {}, "fileSystemInfo": OLD})
    assert made.json()["fileSystemInfo"] == OLD
    body = {"item": {"fileSystemInfo": OLD | {"lastModifiedDateTime": "2020-03-04T05:06:07.891Z"}}}
    session = (await anna.post("/me/drive/root:/a/one.txt:/createUploadSession", json=body)).json()
    up = await world.http.put(session["uploadUrl"], content=b"x", headers={"Content-Range": "bytes 0-0/1"})
    assert up.json()["fileSystemInfo"] == OLD, "to the second"
    path = f"/me/drive/items/{up.json()['id']}"
    later = {"lastModifiedDateTime": "2021-01-01T00:00:00Z"}
    assert (await anna.patch(path, json={"fileSystemInfo": later})).json()["fileSystemInfo"] == OLD | later
    assert (await anna.get(path)).json()["fileSystemInfo"] == OLD | later
    await put(anna, "a/one.txt", b"new")
    assert (await anna.get(path)).json()["fileSystemInfo"]["lastModifiedDateTime"] > "2021"


async def test_a_link_is_read_taken_away_and_made_without_a_mail(anna: httpx.AsyncClient) -> None:
    path = f"/me/drive/items/{(await put(anna, 'one.txt'))['id']}"
    wanted = {"type": "view", "scope": "organization", "sendNotification": False}
    link = await anna.post(f"{path}/createLink", json=wanted)
    assert link.status_code == 201, link.text
    one = f"{path}/permissions/{link.json()['id']}"
    assert {**(await anna.get(one)).json(), "@odata.context": ""} == {**link.json(), "@odata.context": ""}
    assert (await anna.delete(one)).status_code == 204
    assert (await anna.get(one)).status_code == (await anna.delete(one)).status_code == 404
    assert (await anna.get(f"{path}/permissions")).json()["value"] == []


async def test_a_persons_drive_has_a_short_name_and_its_root_a_maker(anna: httpx.AsyncClient) -> None:
    await put(anna, "a/one.txt")
    assert (await anna.get("/drive")).json()["id"] == (await anna.get("/me/drive")).json()["id"]
    assert (await anna.get("/drive/root:/a/one.txt")).json()["name"] == "one.txt"
    for path in ("/drive", "/drive/root"):
        assert (await anna.get(path)).json()["createdBy"]["user"]["displayName"] == "System Account"
