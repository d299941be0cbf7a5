"""Upload sessions: fragments, ranges, every refusal, and what a client finds again after one."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

ANNA = "anna@contoso.example"
UNIT = 327_680
SIZE = 3 * UNIT + 100
CONTENT = bytes(range(256)) * (SIZE // 256 + 1)
BEHAVIOUR = "@microsoft.graph.conflictBehavior"


class Uploads:
    """One person's sessions; ``send`` puts a fragment, ``session`` opens one."""

    def __init__(self, world: Any) -> None:
        self.world, self.http = world, world.http
        self.anna = world.graph(world.token(ANNA, "Files.ReadWrite"))

    async def session(self, path: str = "film.mp4", headers: dict[str, str] | None = None, **item: Any) -> str:
        got = await self.create(path, headers, **item)
        assert got.status_code == 200, got.text
        return got.json()["uploadUrl"]

    async def create(self, path: str, headers: dict[str, str] | None = None, **item: Any) -> httpx.Response:
        body = {"item": {key.replace("behaviour", BEHAVIOUR): value for key, value in item.items()}}
        return await self.anna.post(f"/me/drive/root:/{path}:/createUploadSession", json=body, headers=headers)

    async def send(self, url: str, first: int, size: int = UNIT, total: int = SIZE, **more: Any) -> httpx.Response:
        content = CONTENT[first : min(first + size, total)]
        headers = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{total}", **more.pop("headers", {})}
        return await self.http.put(url, content=content, headers=headers, **more)

    async def ranges(self, url: str) -> list[str]:
        return (await self.http.get(url)).json()["nextExpectedRanges"]

    async def whole(self, url: str) -> httpx.Response:
        """All fragments; the answer to the last."""
        for first in range(0, SIZE, UNIT):
            got = await self.send(url, first)
        return got

    async def content(self, path: str) -> bytes:
        item = (await self.anna.get(f"/me/drive/root:/{path}")).json()
        return (await self.http.get(item["@microsoft.graph.downloadUrl"])).content


@pytest.fixture
def uploads(world: Any) -> Uploads:
    return Uploads(world)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.behaviour(50)
async def test_fragments_go_to_another_host_and_the_last_makes_the_item(uploads: Uploads) -> None:
    made = (await uploads.create("a/film.mp4")).json()
    url = made["uploadUrl"]
    assert urlsplit(url).hostname != urlsplit(uploads.world.base_url).hostname
    assert made["nextExpectedRanges"] == ["0-"]
    first = await uploads.send(url, 0)
    assert (first.status_code, first.json()["nextExpectedRanges"]) == (202, [f"{UNIT}-"])
    assert "expirationDateTime" in first.json()
    await uploads.send(url, UNIT, 2 * UNIT)
    last = await uploads.send(url, 3 * UNIT)
    assert last.status_code == 201
    assert (last.json()["name"], last.json()["size"]) == ("film.mp4", SIZE)
    assert await uploads.content("a/film.mp4") == CONTENT[:SIZE]
    small = await uploads.anna.put("/me/drive/root:/b:/content", content=CONTENT[:SIZE])
    assert last.json()["file"]["hashes"] == small.json()["file"]["hashes"]
    assert (await uploads.http.get(url)).status_code == 404


@pytest.mark.behaviour(50)
async def test_a_token_sent_along_is_a_401_and_a_finding(uploads: Uploads) -> None:
    url = await uploads.session()
    refused = await uploads.send(url, 0, headers={"Authorization": f"Bearer {uploads.world.token(ANNA, 'x')}"})
    assert refused.status_code == 401
    assert [found["kind"] for found in await uploads.world.control.findings()] == ["authorization_on_foreign_host"]
    assert await uploads.ranges(url) == ["0-"]


@pytest.mark.behaviour(50)
async def test_fragments_are_multiples_of_320_kib_but_for_the_last(uploads: Uploads) -> None:
    url = await uploads.session()
    assert code(await uploads.send(url, 0, UNIT + 1)) == (400, "invalidRequest")
    assert (await uploads.send(url, 0)).status_code == 202
    await uploads.world.control.do("files_rules", fragment_rule="at_commit")
    assert (await uploads.send(url, UNIT, 1000)).status_code == 202
    assert code(await uploads.send(url, UNIT + 1000, SIZE)) == (400, "invalidRequest")
    await uploads.world.control.do("files_rules", fragment_rule="never")
    url = await uploads.session("other")
    assert (await uploads.send(url, 0, 1000)).status_code == 202
    assert (await uploads.send(url, 1000, SIZE)).status_code == 201


@pytest.mark.behaviour(50)
async def test_a_fragment_is_under_60_mib_and_as_long_as_it_says(uploads: Uploads) -> None:
    url = await uploads.session()
    large = {"Content-Range": f"bytes 0-{60 * 1024**2 - 1}/{100 * 1024**2}"}
    assert code(await uploads.http.put(url, content=b"x", headers=large)) == (413, "requestEntityTooLarge")
    short = {"Content-Range": f"bytes 0-{UNIT - 1}/{SIZE}"}
    assert code(await uploads.http.put(url, content=b"x", headers=short)) == (400, "invalidRequest")
    assert (await uploads.http.put(url, content=b"x")).status_code == 400
    assert (await uploads.http.put(url, content=b"x", headers={"Content-Range": "bytes 5-3/9"})).status_code == 400
    await uploads.send(url, 0)
    assert (await uploads.send(url, UNIT, total=SIZE + 1)).status_code == 400, "the total stays"


@pytest.mark.behaviour(50)
async def test_a_range_out_of_order_is_a_416_and_the_status_says_what_is_next(
    uploads: Uploads,
) -> None:
    url = await uploads.session()
    await uploads.send(url, 0)
    assert code(await uploads.send(url, 0)) == (416, "invalidRange")
    assert code(await uploads.send(url, 2 * UNIT)) == (416, "invalidRange")
    assert await uploads.ranges(url) == [f"{UNIT}-"]


@pytest.mark.behaviour(50)
async def test_a_part_that_was_lost_leaves_a_gap_to_fill(uploads: Uploads) -> None:
    url = await uploads.session()
    await uploads.send(url, 0)
    await uploads.world.control.fault("upload_loses_part", bytes=UNIT)
    got = await uploads.send(url, UNIT, 2 * UNIT)
    assert got.json()["nextExpectedRanges"] == [f"{UNIT}-{2 * UNIT - 1}", f"{3 * UNIT}-"]
    assert (await uploads.send(url, 3 * UNIT)).status_code == 202
    assert await uploads.ranges(url) == [f"{UNIT}-{2 * UNIT - 1}"]
    assert code(await uploads.send(url, UNIT, 2 * UNIT)) == (416, "invalidRange")
    last = await uploads.send(url, UNIT)
    assert last.status_code == 201
    assert await uploads.content("film.mp4") == CONTENT[:SIZE]
    small = await uploads.anna.put("/me/drive/root:/b:/content", content=CONTENT[:SIZE])
    assert last.json()["file"]["hashes"] == small.json()["file"]["hashes"]


@pytest.mark.behaviour(50)
async def test_a_session_expires_and_lives_longer_with_every_fragment(uploads: Uploads) -> None:
    url, control = await uploads.session(), uploads.world.control
    await control.advance(10_000)
    assert await uploads.ranges(url) == ["0-"]
    await control.advance(3000, clock="service")
    await uploads.send(url, 0)
    await control.advance(3000, clock="service")
    assert await uploads.ranges(url) == [f"{UNIT}-"]
    await control.advance(700, clock="service")
    assert code(await uploads.http.get(url)) == (404, "itemNotFound")
    assert (await uploads.send(url, UNIT)).status_code == 404


@pytest.mark.behaviour(50, 51)
async def test_a_taken_name_shows_at_the_last_fragment_and_the_bytes_are_kept(uploads: Uploads) -> None:
    await uploads.anna.put("/me/drive/root:/film.mp4:/content", content=b"mine")
    url = await uploads.session(behaviour="fail")
    assert (await uploads.send(url, 0, 3 * UNIT)).status_code == 202
    assert code(await uploads.send(url, 3 * UNIT)) == (409, "nameAlreadyExists")
    assert await uploads.ranges(url) == []
    assert await uploads.content("film.mp4") == b"mine"
    source = {"name": "second.mp4", BEHAVIOUR: "fail", "@microsoft.graph.sourceUrl": url}
    made = await uploads.anna.put("/me/drive/root:/film.mp4", json=source)
    assert (made.status_code, made.json()["name"]) == (201, "second.mp4")
    assert await uploads.content("second.mp4") == CONTENT[:SIZE]
    assert (await uploads.http.get(url)).status_code == 404


async def test_kept_bytes_are_committed_into_a_folder_once_they_are_whole(uploads: Uploads) -> None:
    await uploads.anna.post("/me/drive/root/children", json={"name": "Films", "folder": {}})
    await uploads.anna.put("/me/drive/root:/film.mp4:/content", content=b"mine")
    url = await uploads.session(behaviour="fail")
    source = {"name": "second.mp4", "@microsoft.graph.sourceUrl": url}
    assert (await uploads.anna.put("/me/drive/root:/Films", json=source)).status_code == 400
    assert (await uploads.whole(url)).status_code == 409
    assert (await uploads.anna.put("/me/drive/root:/Films", json=source)).status_code == 201
    assert await uploads.content("Films/second.mp4") == CONTENT[:SIZE]


@pytest.mark.behaviour(51)
async def test_a_session_replaces_or_renames_when_told(uploads: Uploads) -> None:
    mine = (await uploads.anna.put("/me/drive/root:/film.mp4:/content", content=b"mine")).json()
    renamed = await uploads.whole(await uploads.session(behaviour="rename"))
    assert (renamed.status_code, renamed.json()["name"]) == (201, "film 1.mp4")
    replaced = await uploads.whole(await uploads.session(behaviour="replace"))
    assert (replaced.status_code, replaced.json()["id"]) == (200, mine["id"])
    assert replaced.json()["cTag"] != mine["cTag"]
    by_id = await uploads.anna.post(f"/me/drive/items/{mine['id']}/createUploadSession", json={})
    assert (await uploads.whole(by_id.json()["uploadUrl"])).status_code == 200


@pytest.mark.behaviour(50)
async def test_an_if_match_that_fails_is_a_412_at_the_start_and_at_the_end(uploads: Uploads) -> None:
    mine = (await uploads.anna.put("/me/drive/root:/film.mp4:/content", content=b"mine")).json()
    url = await uploads.session(headers={"If-Match": mine["eTag"]}, behaviour="replace")
    await uploads.anna.put("/me/drive/root:/film.mp4:/content", content=b"newer")
    stale = await uploads.create("film.mp4", {"If-Match": mine["eTag"]}, behaviour="replace")
    assert code(stale) == (412, "preconditionFailed")
    assert code(await uploads.whole(url)) == (412, "preconditionFailed")
    assert await uploads.content("film.mp4") == b"newer"


@pytest.mark.behaviour(50)
async def test_no_room_is_a_507_at_the_start_and_on_the_way(uploads: Uploads) -> None:
    await uploads.world.control.do("quota_set", drive=ANNA, free=SIZE)
    refused = await uploads.create("film.mp4", fileSize=SIZE + 1)
    assert code(refused) == (507, "quotaLimitReached")
    url = await uploads.session(fileSize=SIZE)
    assert (await uploads.send(url, 0)).status_code == 202
    await uploads.world.control.do("quota_set", drive=ANNA, free=SIZE - 1)
    assert code(await uploads.send(url, UNIT)) == (507, "quotaLimitReached")
    await uploads.world.control.do("quota_set", drive=ANNA, free=SIZE)
    assert await uploads.ranges(url) == [f"{UNIT}-"]


@pytest.mark.behaviour(50)
async def test_a_fragment_answered_with_5xx_may_have_been_stored(uploads: Uploads) -> None:
    url, control = await uploads.session(), uploads.world.control
    await control.fault("done_but_error", status=502, match={"path": "/up/*", "method": "PUT"})
    assert (await uploads.send(url, 0)).status_code == 502
    assert await uploads.ranges(url) == [f"{UNIT}-"]
    await control.fault("server_error", status=500, match={"path": "/up/*", "method": "PUT"})
    assert (await uploads.send(url, UNIT)).status_code == 500
    assert await uploads.ranges(url) == [f"{UNIT}-"]
    for status, wait in ((429, "7"), (503, "9")):
        name = "throttle" if status == 429 else "server_error"
        await control.fault(name, retry_after=int(wait), match={"path": "/up/*"})
        got = await uploads.send(url, UNIT)
        assert (got.status_code, got.headers["retry-after"]) == (status, wait)
    await control.fault("done_but_reset", match={"path": "/up/*"})
    with pytest.raises(ConnectionResetError):
        await uploads.send(url, UNIT)
    assert await uploads.ranges(url) == [f"{2 * UNIT}-"]


async def test_a_deferred_commit_waits_for_an_empty_post(uploads: Uploads) -> None:
    body = {"item": {}, "deferCommit": True}
    url = (await uploads.anna.post("/me/drive/root:/film.mp4:/createUploadSession", json=body)).json()["uploadUrl"]
    assert (await uploads.http.post(url)).status_code == 400, "not all is there"
    got = await uploads.whole(url)
    assert (got.status_code, got.json()["nextExpectedRanges"]) == (202, [])
    assert (await uploads.anna.get("/me/drive/root:/film.mp4")).status_code == 404
    assert (await uploads.http.post(url, content=b"x")).status_code == 400
    assert (await uploads.http.post(url)).status_code == 201
    assert await uploads.content("film.mp4") == CONTENT[:SIZE]


async def test_a_cancelled_session_is_gone_with_its_bytes(uploads: Uploads) -> None:
    url = await uploads.session()
    await uploads.send(url, 0)
    assert (await uploads.http.delete(url)).status_code == 204
    assert (await uploads.http.get(url)).status_code == 404
    assert list((uploads.world.simulator.settings.state_dir / "files").iterdir()) == []


async def test_what_was_received_survives_a_restart(make_world: Any, tmp_path: Any) -> None:
    before = Uploads(make_world(state_dir=tmp_path / "kept"))
    url = await before.session()
    await before.send(url, 0, 2 * UNIT)
    after = Uploads(make_world(state_dir=tmp_path / "kept"))
    assert await after.ranges(url) == [f"{2 * UNIT}-"]
    assert (await after.send(url, 2 * UNIT, SIZE)).status_code == 201
    assert await after.content("film.mp4") == CONTENT[:SIZE]


async def test_bytes_can_be_hashed_and_not_kept(uploads: Uploads) -> None:
    kept = await uploads.whole(await uploads.session("kept"))
    await uploads.world.control.do("files_rules", keeps_content=False)
    made = await uploads.whole(await uploads.session("dropped"))
    assert made.json()["file"]["hashes"] == kept.json()["file"]["hashes"]
    assert (await uploads.http.get(made.json()["@microsoft.graph.downloadUrl"])).status_code == 503


async def test_session_requests_are_checked(uploads: Uploads) -> None:
    path = "/me/drive/root:/film.mp4:/createUploadSession"
    for bad in ({"item": {"colour": "red"}}, {"size": 3}, {"item": {BEHAVIOUR: "merge"}}, {"item": {"fileSize": "1"}}):
        assert (await uploads.anna.post(path, json=bad)).status_code == 400, bad
    reader = uploads.world.graph(uploads.world.token(ANNA, "Files.Read"))
    assert (await reader.post(path, json={})).status_code == 403
    assert (await uploads.anna.post("/me/drive/root/createUploadSession", json={})).status_code == 400
    wrong = {"@microsoft.graph.sourceUrl": "http://127.0.0.1/up/none"}
    assert (await uploads.anna.put("/me/drive/root:/x", json=wrong)).status_code == 404
    assert (await uploads.anna.put("/me/drive/root:/x", json={})).status_code == 400


@pytest.mark.behaviour(50)
async def test_where_a_session_stands_is_told_with_a_token_too(uploads: Uploads) -> None:
    url = await uploads.session()
    await uploads.send(url, 0)
    told = await uploads.http.get(url, headers={"Authorization": f"Bearer {uploads.world.token(ANNA, 'x')}"})
    assert (told.status_code, told.json()["nextExpectedRanges"]) == (200, [f"{UNIT}-"])
    assert [found["kind"] for found in await uploads.world.control.findings()] == ["authorization_on_foreign_host"]
