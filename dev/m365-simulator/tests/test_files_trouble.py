"""What stands in a file's way in a library: names that sessions keep, aged addresses, locks, rewriting, malware."""

import hashlib
from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO
from m365_simulator.files import quickxor

UNIT = 327_680
SIZE = 2 * UNIT + 5
CONTENT = bytes(range(253)) * (SIZE // 253 + 1)
FAIL = {"item": {"@microsoft.graph.conflictBehavior": "fail"}}


class Library:
    """A site's document library, used by the application that was granted the site."""

    def __init__(self, world: Any, site: dict[str, Any]) -> None:
        self.world, self.control, self.http, self.drive = world, world.control, world.http, site["drive"]
        self.site = site["id"]

    @property
    def app(self) -> httpx.AsyncClient:
        """With a token of now, since tests push the clock that tokens age by."""
        return self.world.graph(self.world.app_token(CONTOSO, "Sites.Selected"))

    async def put(self, path: str, content: bytes = b"mine", behaviour: str = "replace") -> httpx.Response:
        params = {"@microsoft.graph.conflictBehavior": behaviour}
        return await self.app.put(f"/drives/{self.drive}/root:/{path}:/content", content=content, params=params)

    async def session(self, path: str = "a.mp4", body: dict[str, Any] | None = None) -> httpx.Response:
        return await self.app.post(f"/drives/{self.drive}/root:/{path}:/createUploadSession", json=body or FAIL)

    async def send(self, url: str, first: int, last: int) -> httpx.Response:
        headers = {"Content-Range": f"bytes {first}-{last - 1}/{SIZE}"}
        return await self.http.put(url, content=CONTENT[first:last], headers=headers)

    async def item(self, path: str) -> dict[str, Any]:
        return (await self.app.get(f"/drives/{self.drive}/root:/{path}")).json()


@pytest.fixture
async def library(world: Any) -> Library:
    site = await world.control.do("site_add", tenant="contoso.example", name="Sales")
    await world.control.do("site_grant", site="Sales", role="write")
    return Library(world, site)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.behaviour(50)
async def test_an_open_session_keeps_its_name_until_it_ends(library: Library) -> None:
    taken = (409, "nameAlreadyExists")
    url = (await library.session()).json()["uploadUrl"]
    assert code(await library.session("A.mp4")) == taken
    assert (await library.session("b.mp4")).status_code == 200
    assert (await library.http.delete(url)).status_code == 204
    assert (await library.session()).status_code == 200
    assert code(await library.session()) == taken
    await library.control.advance(3601, clock="service")
    assert (await library.session()).status_code == 200
    await library.control.do("files_rules", session_keeps_name=False)
    assert (await library.session()).status_code == 200


@pytest.mark.behaviour(50)
async def test_an_upload_address_ages_out_however_long_its_session_lives(library: Library) -> None:
    await library.control.do("files_rules", session_s=604_800, url_token_s=7200)
    url = (await library.session()).json()["uploadUrl"]
    await library.control.advance(7000, clock="service")
    assert (await library.send(url, 0, UNIT)).status_code == 202
    await library.control.advance(201, clock="service")
    denied = (403, "accessDenied")
    assert code(await library.send(url, UNIT, 2 * UNIT)) == denied
    assert code(await library.http.get(url)) == denied
    assert code(await library.http.delete(url)) == denied


@pytest.mark.behaviour(50, 51)
async def test_a_session_without_conflict_behaviour_replaces_unless_switched(library: Library) -> None:
    before = (await library.put("a.mp4")).json()
    url = (await library.session(body={"item": {"name": "a.mp4"}})).json()["uploadUrl"]
    last = [await library.send(url, 0, 2 * UNIT), await library.send(url, 2 * UNIT, SIZE)][-1]
    assert (last.status_code, last.json()["id"]) == (200, before["id"])
    await library.control.do("files_rules", put_conflict="fail")
    url = (await library.session(body={"item": {"name": "a.mp4"}})).json()["uploadUrl"]
    assert (await library.send(url, 0, 2 * UNIT)).status_code == 202
    assert code(await library.send(url, 2 * UNIT, SIZE)) == (409, "nameAlreadyExists")


@pytest.mark.behaviour(51)
async def test_a_file_that_somebody_has_open_is_423_to_every_write(library: Library) -> None:
    made = (await library.put("a.mp4")).json()
    url = (await library.session(body={"item": {"@microsoft.graph.conflictBehavior": "replace"}})).json()["uploadUrl"]
    await library.send(url, 0, 2 * UNIT)
    await library.control.do("file_lock", drive="Sales", path="a.mp4", by="ben@contoso.example")
    one, locked = f"/drives/{library.drive}/items/{made['id']}", (423, "accessDenied")
    renamed = await library.app.patch(one, json={"name": "b.mp4"})
    assert code(renamed) == locked
    assert "ben@contoso.example" in renamed.json()["error"]["message"]
    assert code(await library.put("a.mp4")) == locked
    assert code(await library.session("A.MP4")) == locked
    assert code(await library.send(url, 2 * UNIT, SIZE)) == locked
    await library.control.do("files_rules", lock_code="resourceLocked")
    assert code(await library.app.delete(one)) == (423, "resourceLocked")
    assert (await library.app.get(one)).status_code == 200
    await library.control.do("file_unlock", drive="Sales", path="a.mp4")
    assert (await library.app.patch(one, json={"name": "b.mp4"})).status_code == 200


@pytest.mark.behaviour(51)
async def test_a_library_rewrites_documents_and_leaves_films_as_they_are(library: Library) -> None:
    text = b"<html>hello</html>"
    for name, kept in {"a.docx": False, "a.HTML": False, "a.mp4": True, "a.vtt": True}.items():
        made = (await library.put(name, text)).json()
        assert (made["size"] == len(text), made["file"]["hashes"]["quickXorHash"] == digest(text)) == (kept, kept), name
        bytes_ = (await library.http.get(made["@microsoft.graph.downloadUrl"])).content
        assert made["file"]["hashes"]["quickXorHash"] == digest(bytes_)
        assert len(bytes_) == len(text) + (0 if kept else 11)
    await library.control.do("files_rules", office_rewrites=False)
    assert (await library.put("b.docx", text)).json()["size"] == len(text)


@pytest.mark.behaviour(51)
async def test_the_hash_of_a_film_sent_in_fragments_is_that_of_its_bytes(library: Library) -> None:
    url = (await library.session()).json()["uploadUrl"]
    assert (await library.send(url, 0, UNIT)).status_code == 202
    made = (await library.send(url, UNIT, SIZE)).json()
    assert made["file"]["hashes"] == {"quickXorHash": digest(CONTENT[:SIZE])}
    bytes_ = (await library.http.get(made["@microsoft.graph.downloadUrl"])).content
    assert hashlib.sha256(bytes_).digest() == hashlib.sha256(CONTENT[:SIZE]).digest()


def digest(content: bytes) -> str:
    found = quickxor.QuickXor()
    found.update(content)
    return found.digest()


@pytest.mark.behaviour(51, 53)
async def test_an_infected_file_is_shown_so_and_gives_no_content(library: Library) -> None:
    url = (await library.put("a.mp4")).json()["@microsoft.graph.downloadUrl"]
    await library.control.do("file_infect", drive="Sales", path="a.mp4", virus="Test:Worm")
    assert (await library.item("a.mp4"))["malware"] == {"description": "Test:Worm"}
    content = await library.app.get(f"/drives/{library.drive}/root:/a.mp4:/content")
    for answer in (content, await library.http.get(url)):
        assert code(answer) == (403, "accessDenied")
        assert answer.headers["x-virus-infected"] == "Test:Worm"


@pytest.mark.behaviour(52)
async def test_a_grant_opens_its_site_by_address_and_can_be_taken_back(library: Library) -> None:
    address = f"/sites/{library.site.partition(',')[0]}:/sites/Sales"
    assert (await library.app.get("/sites", params={"search": "Sales"})).status_code == 403
    assert (await library.app.get(address)).json()["id"] == library.site
    url = (await library.session()).json()["uploadUrl"]
    await library.control.do("site_revoke", site="Sales")
    assert code(await library.app.get(address)) == (403, "accessDenied")
    assert code(await library.put("a.mp4")) == (403, "accessDenied")
    assert (await library.send(url, 0, UNIT)).status_code == 202, "the address is a right of its own"
    await library.control.do("site_grant", site="Sales", role="write")
    assert (await library.put("b.mp4")).status_code == 201


@pytest.mark.behaviour(51)
async def test_a_librarys_rules_hide_a_file_until_it_is_checked_in(library: Library) -> None:
    async def level() -> str:
        return str((await library.item("a.txt")).get("publication", {}).get("level"))

    await library.put("a.txt")
    assert await level() == "None"
    check_in = f"/drives/{library.drive}/root:/a.txt:/checkin"
    for rules, hidden, status in (
        ({"check_out": True}, "checkout", 204),
        ({"required_columns": True, "approval": True}, "checkout", 400),
        ({"approval": True}, "draft", 400),
    ):
        await library.app.delete(f"/drives/{library.drive}/root:/a.txt")
        await library.control.do("library_rules", drive="Sales", **rules)
        await library.put("a.txt")
        assert await level() == hidden
        answer = await library.app.post(check_in, json={"comment": "done"})
        assert answer.status_code == status
        assert await level() == ("published" if status == 204 else hidden)
