"""Files of people: uploaded with their own token, found, read, shared, linked to, deleted."""

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.secrets import KeyRing
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from storage import links, receiving
from storage.main import create_service
from storage.settings import Settings

Json = dict[str, Any]
SIZE = 700_000
BODY = bytes(n % 251 for n in range(SIZE))
HALF = 327_680
QUOTA = 2_000_000
ADMIN = {"user": "ada", "roles": ("user", "org_admin")}


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Desk(Harness):
    """``anna`` uploads unless somebody else is named."""

    async def begin(self, key: str = "k1", *, who: Json | None = None, **more: Any) -> httpx.Response:
        wanted = {"name": "Offer.pdf", "content_type": "application/pdf", "size_bytes": SIZE} | more
        return await self.call("POST", "/v1/files", json=wanted, headers={"Idempotency-Key": key}, **(who or {}))

    async def send(self, upload: Json, start: int, end: int, body: bytes = BODY, **who: Any) -> httpx.Response:
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
        path = f"/v1/files/uploads/{upload['id']}"
        return await self.call("PUT", path, content=body[start:end], headers=headers, **who)

    async def stored(self, key: str = "k1", body: bytes = BODY, **more: Any) -> Json:
        upload = (await self.begin(key, size_bytes=len(body), **more)).json()
        for start in range(0, len(body), HALF):
            await self.send(upload, start, min(start + HALF, len(body)), body)
        return await self.complete(upload)

    async def complete(self, upload: Json, status: int = 200) -> Json:
        answer = await self.call("POST", f"/v1/files/{upload['id']}/complete")
        assert answer.status_code == status, answer.text
        said: Json = answer.json()
        return said

    async def small(self, body: bytes, key: str = "s1", **more: Any) -> httpx.Response:
        params = {"name": "note.txt", "content_type": "text/plain"} | more
        headers = {"Idempotency-Key": key}
        return await self.call("POST", "/v1/files/uploads/small", params=params, content=body, headers=headers)

    async def content(self, file: Json, ranged: str = "", **who: Any) -> httpx.Response:
        headers = {"Range": ranged} if ranged else {}
        return await self.call("GET", f"/v1/files/{file['id']}/content", headers=headers, **who)

    async def listed(self, **more: Any) -> list[str]:
        who = more.pop("who", {})
        return [file["name"] for file in (await self.call("GET", "/v1/files", params=more, **who)).json()["items"]]

    async def by_link(self, token: str, ranged: str = "") -> httpx.Response:
        """As a browser without an account opens a link's address, or its token."""
        form = {"token": token.rpartition("#")[2]}
        onward = await self.http.post("/v1/files/shared/open", data=form)
        if onward.status_code != 303:
            return onward
        return await self.http.get(onward.headers["location"], headers={"Range": ranged} if ranged else {})

    async def decide(self, **wanted: Any) -> Json:
        answer = await self.call("PUT", "/v1/storage/policy", json=wanted, **ADMIN)
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said


@pytest.fixture
async def desk(start_service: StartService, platform_keys: PlatformKeys, tmp_path: Path) -> Desk:
    limits = {"organisation_quota_bytes": QUOTA, "person_file_max_bytes": 5 * 1024**3, "upload_chunk_max_bytes": HALF}
    service = await start_service(create_service, Settings, "storage", object_store_dir=tmp_path / "files", **limits)
    return Desk(service, platform_keys)


async def test_a_file_in_ranges_is_checked_announced_and_read(desk: Desk) -> None:
    upload = (await desk.begin(sha256=sha256(BODY))).json()
    assert (upload["state"], upload["received_bytes"], upload["range_max"]) == ("coming", 0, HALF)
    assert (await desk.send(upload, 0, HALF)).json() == {"next_expected_ranges": [f"{HALF}-"]}
    assert (await desk.complete(upload, 409))["next_expected"] == HALF
    again = (await desk.begin(sha256=sha256(BODY))).json()
    assert (again["id"], again["received_bytes"]) == (upload["id"], HALF), "also from another process"
    (listed,) = (await desk.call("GET", "/v1/files")).json()["items"]
    assert (listed["state"], listed["received_bytes"], listed["size_bytes"]) == ("coming", HALF, SIZE)
    gap = await desk.send(upload, 2 * HALF, SIZE)
    assert (gap.status_code, gap.json()["next_expected"]) == (409, HALF)
    assert (await desk.send(upload, 0, HALF)).status_code == 202, "sent twice, kept once"
    await desk.send(upload, HALF, 2 * HALF)
    await desk.send(upload, 2 * HALF, SIZE)
    assert (await desk.content(upload)).status_code == 404, "nobody reads half a file"
    file = await desk.complete(upload)
    assert (file["state"], file["sha256"], file["mine"], file["place"]) == ("stored", sha256(BODY), True, "prospo")
    assert await desk.complete(upload) == file, "said twice, done once"
    (told,) = await desk.published("file.stored")
    assert (told["file_id"], told["sha256"], told["path"]) == (file["id"], sha256(BODY), f"people/{file['id']}")
    part = await desk.content(file, "bytes=10-19")
    assert (part.status_code, part.content) == (206, BODY[10:20])
    assert (await desk.content(file)).content == BODY


@pytest.mark.parametrize("large", [False, True])
async def test_bytes_that_are_not_the_file_are_refused_and_sent_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, large: bool
) -> None:
    if large:  # read by a job, whoever runs it
        monkeypatch.setattr(receiving, "CHECKED_AT_ONCE", 0)
    upload = (await desk.begin(sha256=sha256(BODY))).json()
    other = BODY[::-1]
    for start in range(0, SIZE, HALF):
        await desk.send(upload, start, min(start + HALF, SIZE), other)
    said = await desk.complete(upload, 202 if large else 422)
    assert said["state" if large else "code"] == ("checking" if large else "sha256_mismatch")
    await desk.work()
    stands = (await desk.call("GET", f"/v1/files/uploads/{upload['id']}")).json()
    assert (stands["state"], stands["received_bytes"], stands["problem"]) == ("coming", 0, "sha256_mismatch")
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == [], "nothing of it is kept"
    assert await desk.published("file.stored") == []
    for start in range(0, SIZE, HALF):
        await desk.send(upload, start, min(start + HALF, SIZE))
    await desk.complete(upload, 202 if large else 200)
    await desk.work()
    assert (await desk.content(upload)).content == BODY
    assert len(await desk.published("file.stored")) == 1


async def test_a_small_file_goes_in_one_request_and_once(desk: Desk) -> None:
    first = await desk.small(b"hello", sha256=sha256(b"hello"))
    again = await desk.small(b"hello", sha256=sha256(b"hello"))
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    assert (await desk.content(first.json())).content == b"hello"
    other = await desk.small(b"other!")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    wrong = await desk.small(b"hello", "s2", sha256=sha256(b"x"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "sha256_mismatch")
    large = await desk.small(BODY, "s3")
    assert (large.status_code, large.json()["code"], large.json()["max_bytes"]) == (413, "file_too_large", HALF)
    assert len(await desk.published("file.stored")) == 1


async def test_an_empty_file_is_a_file(desk: Desk) -> None:
    file = (await desk.small(b"", sha256=sha256(b""))).json()
    assert (await desk.content(file)).content == b""


@pytest.mark.parametrize(
    "name", ["CON", "a.", "Ünïcode 😀.pdf", 'a "quoted"; name.pdf', "x" * 400, "-rf", "%2e%2e%2f.pdf"]
)
async def test_an_odd_name_is_kept_as_it_is(desk: Desk, name: str) -> None:
    file = (await desk.small(b"x", name=name)).json()
    assert file["name"] == name
    disposition = (await desk.content(file)).headers["content-disposition"]
    _, _, quoted = disposition.partition("filename*=UTF-8''")
    assert httpx.URL(f"http://x/{quoted}").path == f"/{name}"
    assert await desk.listed(named=name[:30].upper() if name.isascii() else name) == [name]


@pytest.mark.parametrize("name", ["..", ".", "a/b.pdf", "..\\b", "", "x" * 401, "a\nb", "\u202egnp.exe"])
async def test_a_name_that_is_no_name_is_refused_by_its_field(desk: Desk, name: str) -> None:
    answer = await desk.begin(name=name)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")
    assert await desk.rows("stored_file") == []


async def test_there_is_no_room_is_said_before_the_bytes(desk: Desk) -> None:
    await desk.stored("k1")
    assert (await desk.begin("k2")).status_code == 201
    refused = await desk.begin("k3")
    assert (refused.status_code, refused.json()["code"]) == (507, "quota_reached")
    assert (await desk.begin("k2")).status_code == 201, "what was begun goes on"
    assert (await desk.begin("k3", who={"org": "globex"})).status_code == 201, "another organisation has its own"
    large = await desk.begin("k4", size_bytes=5 * 1024**3 + 1)
    assert (large.status_code, large.json()["code"]) == (413, "file_too_large")
    policy = (await desk.call("GET", "/v1/storage/policy", **ADMIN)).json()
    assert (policy["used_bytes"], policy["quota_bytes"]) == (2 * SIZE, QUOTA)
    assert len(await desk.rows("stored_file")) == 3


async def test_a_file_is_its_owners_until_they_share_it(desk: Desk) -> None:
    file = await desk.stored()
    for who in ({"user": "ben"}, {"user": "anna", "org": "globex"}, ADMIN):
        assert (await desk.content(file, **who)).status_code == 404
        assert await desk.listed(who=who) == []
    for method, path in (("PATCH", ""), ("POST", "/links")):
        answer = await desk.call(method, f"/v1/files/{file['id']}{path}", user="ben", json={"shared": True})
        assert answer.status_code in (404, 422)
    shared = await desk.call("PATCH", f"/v1/files/{file['id']}", json={"shared": True})
    assert shared.json()["shared"] is True
    assert (await desk.content(file, user="ben")).content == BODY
    assert (await desk.listed(who={"user": "ben"}), await desk.listed(who={"org": "globex"})) == (["Offer.pdf"], [])
    await desk.call("PATCH", f"/v1/files/{file['id']}", json={"shared": False})
    assert (await desk.content(file, user="ben")).status_code == 404


async def test_the_list_has_pages_and_finds_words_as_they_are(desk: Desk) -> None:
    for number, name in enumerate(("Offer 100%.pdf", "offer_b.pdf", "Minutes.txt")):
        await desk.small(b"x", f"k{number}", name=name)
    first = (await desk.call("GET", "/v1/files", params={"limit": 2})).json()
    second = (await desk.call("GET", "/v1/files", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    names = [file["name"] for page in (first, second) for file in page["items"]]
    assert names == ["Minutes.txt", "offer_b.pdf", "Offer 100%.pdf"]
    assert (await desk.listed(named="OFFER"), await desk.listed(named="%"), await desk.listed(named="_")) == (
        ["offer_b.pdf", "Offer 100%.pdf"],
        ["Offer 100%.pdf"],
        ["offer_b.pdf"],
    )


async def test_a_deleted_file_is_gone_with_its_bytes_and_told(desk: Desk, tmp_path: Path) -> None:
    file = await desk.stored()
    link = (await desk.call("POST", f"/v1/files/{file['id']}/links", json={})).json()
    assert (await desk.call("DELETE", f"/v1/files/{file['id']}", user="ben")).status_code == 404
    assert (await desk.call("DELETE", f"/v1/files/{file['id']}")).status_code == 204
    await desk.work()
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
    assert (await desk.content(file)).status_code == 404
    assert (await desk.by_link(link["url"])).status_code == 404
    (told,) = await desk.published("file.deleted")
    assert (told["file_id"], told["because"], told["aggregate_version"]) == (file["id"], "person", 2)
    other = await desk.stored("k2")
    assert (await desk.call("DELETE", f"/v1/files/{other['id']}", **ADMIN)).status_code == 204
    because = {one["file_id"]: one["because"] for one in await desk.published("file.deleted")}
    assert because == {file["id"]: "person", other["id"]: "org_admin"}
    lines = (await desk.call("GET", "/v1/files/audit", params={"action": "file.delete"}, **ADMIN)).json()["items"]
    assert [(line["actor"], line["target"]) for line in lines] == [("ada", other["id"]), ("anna", file["id"])]


async def test_a_link_opens_one_file_without_signing_in_until_it_ends(desk: Desk) -> None:
    file, other = await desk.stored(), (await desk.small(b"secret")).json()
    link = (await desk.call("POST", f"/v1/files/{file['id']}/links", json={"expires_in_s": 60})).json()
    whole, part = await desk.by_link(link["url"]), await desk.by_link(link["url"], "bytes=1-2")
    assert (whole.status_code, whole.content, part.status_code, part.content) == (200, BODY, 206, BODY[1:3])
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["content-security-policy"] == "sandbox; default-src 'none'"
    (row,) = (await desk.call("GET", f"/v1/files/{file['id']}/links")).json()
    assert (row["opened"], row["url"], row["made_by"]) == (2, None, "anna")
    for path in (f"/v1/files/{other['id']}/content", f"/v1/files/{file['id']}"):
        token = link["url"].rpartition("#")[2]
        assert (await desk.http.get(path, headers={"Authorization": f"Bearer {token}"})).status_code == 401
    await desk.sql("UPDATE file_link SET expires_at = clock_timestamp()")
    assert (await desk.by_link(link["url"])).status_code == 404


async def test_a_link_that_nobody_signed_or_that_ended_opens_nothing(desk: Desk) -> None:
    file = await desk.stored()
    link = (await desk.call("POST", f"/v1/files/{file['id']}/links", json={})).json()
    token = link["url"].rpartition("#")[2]
    (row,) = await desk.rows("file_link")
    ring = desk.service.envelope.ring
    past = row["expires_at"].replace(year=2020)
    later = row["expires_at"].replace(year=2099)
    flipped = token[:5] + ("A" if token[5] != "A" else "B") + token[6:]
    signature = links.make(ring, "acme", row["id"], row["expires_at"])[:21]
    forged = signature + links.make(KeyRing.create(Path(str(ring.folder) + "-other")), "acme", row["id"], later)[21:]
    foreign = links.make(ring, "globex", row["id"], row["expires_at"])
    other_key = links.make(KeyRing.load(Path(str(ring.folder) + "-other")), "acme", row["id"], row["expires_at"])
    assert (await desk.by_link(link["url"])).status_code == 200
    ended = links.make(ring, "acme", row["id"], past)
    for bad in (flipped, forged, foreign, other_key, ended, "x", token + "A", json.dumps(token)):
        for answer in (await desk.by_link(bad), await desk.http.get(f"/v1/files/shared/{bad}")):
            assert (answer.status_code, answer.json()["code"]) == (404, "link_not_found"), bad


async def test_the_token_of_a_link_is_in_no_address_that_a_log_could_keep(desk: Desk) -> None:
    file, other = await desk.stored(), await desk.stored("k2")
    one, two = [(await desk.call("POST", f"/v1/files/{one['id']}/links", json={})).json() for one in (file, other)]
    page, _, token = one["url"].partition("#")
    assert page == "/files/link", "a browser sends nobody what is behind the sign"
    onward = await desk.http.post("/v1/files/shared/open", data={"token": token})
    content, cookie = onward.headers["location"], onward.headers["set-cookie"]
    assert (onward.status_code, content) == (303, f"/v1/files/shared/{one['id']}/content")
    assert f"Path={content}" in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Max-Age=3600"))
    assert (await desk.http.get(content)).content == BODY
    beside = content.replace(one["id"], two["id"])
    for given in ({}, {"prospo_file_link": "x"}, {"prospo_file_link": token}):
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in given.items())}
        assert (await desk.http.get(beside, headers=header)).status_code == 404
    assert (await desk.http.get(f"/v1/files/shared/{token}")).content == BODY, "as links made before end only in time"
    for bad in (b"", b"token=", b"token=a&token=b", b"\xff", b"tokens=a"):
        refused = await desk.http.post("/v1/files/shared/open", content=bad)
        assert (refused.status_code, refused.json()["code"]) == (422, "no_token"), bad
    assert (await desk.http.post("/v1/files/shared/open", data={"token": "a" * 5000})).status_code == 404


async def test_a_browser_with_a_link_that_ended_is_sent_to_a_page(desk: Desk) -> None:
    file = await desk.stored()
    link = (await desk.call("POST", f"/v1/files/{file['id']}/links", json={})).json()
    token, browser = link["url"].rpartition("#")[2], {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    onward = await desk.http.post("/v1/files/shared/open", data={"token": token}, headers=browser)
    assert onward.headers["location"].endswith("/content")
    await desk.sql("UPDATE file_link SET expires_at = clock_timestamp()")
    cookie = {"Cookie": f"prospo_file_link={token}"}
    for answer in (
        await desk.http.post("/v1/files/shared/open", data={"token": token}, headers=browser),
        await desk.http.post("/v1/files/shared/open", data={"token": "x"}, headers=browser),
        await desk.http.get(onward.headers["location"], headers=browser | cookie),
    ):
        assert (answer.status_code, answer.headers["location"]) == (303, "/files/link?refused=link_not_found")
        assert "set-cookie" not in answer.headers


async def test_a_revoked_link_opens_nothing_and_the_longest_is_bounded(desk: Desk) -> None:
    file = await desk.stored()
    path = f"/v1/files/{file['id']}/links"
    kept, ended = [(await desk.call("POST", path, json={})).json() for _ in range(2)]
    assert (await desk.call("DELETE", f"{path}/{ended['id']}", user="ben")).status_code == 404
    assert (await desk.call("DELETE", f"{path}/{uuid.uuid4()}")).status_code == 404
    assert (await desk.call("DELETE", f"{path}/{ended['id']}")).status_code == 204
    assert [(await desk.by_link(link["url"])).status_code for link in (kept, ended)] == [200, 404]
    too_long = await desk.call("POST", path, json={"expires_in_s": links.LONGEST_S + 1})
    assert (too_long.status_code, too_long.json()["errors"][0]["field"]) == (422, "expires_in_s")


async def test_old_files_go_by_the_organisations_retention(desk: Desk) -> None:
    old, new = await desk.stored("k1"), await desk.stored("k2")
    await desk.sql(
        "UPDATE stored_file SET completed_at = completed_at - interval '31 days' WHERE id = :id", id=old["id"]
    )
    await desk.decide(retention_days=30)
    await desk.work()
    assert [file["file_id"] for file in await desk.published("file.deleted")] == [old["id"]]
    assert ((await desk.content(old)).status_code, (await desk.content(new)).status_code) == (404, 200)
    await desk.sql("UPDATE stored_file SET completed_at = completed_at - interval '31 days'")
    await desk.hurry("keep_retention")
    await desk.work()
    told = {one["file_id"]: one["because"] for one in await desk.published("file.deleted")}
    assert told == dict.fromkeys((old["id"], new["id"]), "retention"), "looked at each day"


async def test_a_hold_keeps_everything_and_says_so(desk: Desk) -> None:
    file = await desk.stored()
    await desk.sql("UPDATE stored_file SET completed_at = completed_at - interval '31 days'")
    held = await desk.decide(retention_days=30, hold=True)
    assert held["hold_since"]
    await desk.work()
    refused = await desk.call("DELETE", f"/v1/files/{file['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "on_hold")
    assert (await desk.content(file)).status_code == 200
    assert await desk.decide(retention_days=30) | {"hold_since": None} == held | {"hold_since": None, "hold": False}
    await desk.work()
    assert (await desk.content(file)).status_code == 404


async def test_another_teams_program_fetches_a_file_by_the_id_of_its_event(desk: Desk) -> None:
    """As docs/how-to/fetch-a-file.md says."""
    await desk.stored()
    (told,) = await desk.published("file.stored")
    token = desk.keys.token("acme", "archive", ("artefacts.read",), client_id="archive")
    headers = {"Authorization": f"Bearer {token}"}
    described = (await desk.http.get(f"/v1/files/{told['file_id']}", headers=headers)).json()
    content = await desk.http.get(f"/v1/files/{told['file_id']}/content", headers=headers)
    assert sha256(content.content) == told["sha256"] == described["sha256"]
    lines = (await desk.call("GET", "/v1/files/audit", params={"actor": "program:archive"}, **ADMIN)).json()["items"]
    assert {line["action"] for line in lines} == {"file.describe", "file.read"}


async def test_an_upload_that_nobody_goes_on_with_is_given_up(desk: Desk, tmp_path: Path) -> None:
    upload = (await desk.begin()).json()
    await desk.send(upload, 0, HALF)
    await desk.sql("UPDATE stored_file SET touched_at = touched_at - interval '31 days'")
    await desk.hurry()
    await desk.work()
    assert (await desk.send(upload, HALF, 2 * HALF)).status_code == 404
    assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []
