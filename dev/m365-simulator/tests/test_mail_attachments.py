"""Attachments: inline ones, and upload sessions on another host."""

import base64
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
SIZE = 5 * 1024 * 1024
CHUNK = 4 * 1024 * 1024
CONTENT = bytes(range(256)) * (SIZE // 256)


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Mail.ReadWrite Mail.Send"))


async def draft(anna: httpx.AsyncClient) -> str:
    people = [{"emailAddress": {"address": BEN}}]
    got = await anna.post("/me/messages", json={"subject": "With", "toRecipients": people})
    return f"/me/messages/{got.json()['id']}"


async def session(anna: httpx.AsyncClient, size: int = SIZE) -> tuple[str, str]:
    """The message's path and the upload URL."""
    path = await draft(anna)
    body = {"AttachmentItem": {"attachmentType": "file", "name": "film.bin", "size": size}}
    got = await anna.post(f"{path}/attachments/createUploadSession", json=body)
    assert got.status_code == 201, got.text
    assert got.json()["nextExpectedRanges"] == ["0-"]
    return path, got.json()["uploadUrl"]


def part(first: int, size: int = CHUNK, total: int = SIZE) -> dict[str, Any]:
    content = CONTENT[first : first + size]
    return {"content": content, "headers": {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{total}"}}


@pytest.mark.behaviour(49)
async def test_an_attachment_comes_inline_only_under_three_megabytes(anna: httpx.AsyncClient) -> None:
    path = await draft(anna)

    def attachment(size: int) -> dict[str, Any]:
        content = base64.b64encode(CONTENT[:size]).decode()
        return {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.png", "contentBytes": content}

    limit = 3 * 1024 * 1024
    made = await anna.post(f"{path}/attachments", json=attachment(limit - 1))
    assert (made.status_code, made.json()["size"], made.json()["contentType"]) == (201, limit - 1, "image/png")
    assert (await anna.post(f"{path}/attachments", json=attachment(limit))).status_code == 413
    assert (await anna.post(f"{path}/attachments", json={"name": "x", "contentBytes": "AA=="})).status_code == 400
    assert (await anna.get(path)).json()["hasAttachments"]
    one = f"{path}/attachments/{made.json()['id']}"
    assert base64.b64decode((await anna.get(one)).json()["contentBytes"]) == CONTENT[: limit - 1]
    named = (await anna.get(f"{path}/attachments", params={"$select": "name"})).json()["value"]
    assert set(named[0]) >= {"id", "name"}
    assert "contentBytes" not in named[0]
    assert (await anna.delete(one)).status_code == 204
    assert not (await anna.get(path)).json()["hasAttachments"]


@pytest.mark.behaviour(49)
async def test_a_large_attachment_is_uploaded_on_another_host_of_odd_answers(
    world: Any, anna: httpx.AsyncClient
) -> None:
    path, url = await session(anna)
    assert urlsplit(url).hostname != urlsplit(world.base_url).hostname
    first = await world.http.put(url, **part(0))
    assert first.status_code == 200
    assert first.json()["NextExpectedRanges"] == [str(CHUNK)]
    assert "ExpirationDateTime" in first.json()
    last = await world.http.put(url, **part(CHUNK))
    assert (last.status_code, last.content) == (201, b"")
    key = last.headers["location"].rpartition("Attachments('")[2].removesuffix("')")
    assert (await anna.get(f"{path}/attachments/{key}/$value")).content == CONTENT
    assert (await world.http.put(url, **part(CHUNK))).status_code == 404


async def test_the_upload_url_is_the_only_key_and_takes_no_token(world: Any, anna: httpx.AsyncClient) -> None:
    _, url = await session(anna)
    refused = await anna.put(url, **part(0))
    assert refused.status_code == 401
    assert [found["kind"] for found in await world.control.findings()] == ["authorization_on_foreign_host"]
    assert (await world.http.put(url.partition("?")[0], **part(0))).status_code == 403
    assert (await world.http.put(url.replace("127.0.0.1", "localhost"), **part(0))).status_code == 404


async def test_chunks_are_in_order_whole_and_at_most_four_megabytes(world: Any, anna: httpx.AsyncClient) -> None:
    _, url = await session(anna)
    assert (await world.http.put(url, **part(327_680))).status_code == 416
    assert (await world.http.put(url, **part(0, CHUNK + 1))).status_code == 413
    assert (await world.http.put(url, **part(0, 1000, SIZE + 1))).status_code == 400
    short = {**part(0, 1000), "content": b"x"}
    assert (await world.http.put(url, **short)).status_code == 400
    assert (await world.http.put(url, content=b"x")).status_code == 400
    assert (await world.http.put(url, **part(0, 1000))).status_code == 200
    assert (await world.http.get(url)).json()["NextExpectedRanges"] == ["1000"]


async def test_a_session_expires_on_the_service_clock_and_can_be_cancelled(world: Any, anna: httpx.AsyncClient) -> None:
    _, url = await session(anna)
    await world.control.advance(3 * 3600)
    assert (await world.http.get(url)).status_code == 200, "the world's time is another"
    await world.control.advance(3 * 3600, clock="service")
    assert (await world.http.get(url)).status_code == 404
    renewed = world.graph(world.token(ANNA, "Mail.ReadWrite"))
    _, url = await session(renewed)
    assert (await world.http.delete(url)).status_code == 204
    assert (await world.http.get(url)).status_code == 404


@pytest.mark.parametrize(("size", "code"), [(1000, "Minimum"), (151 * 1024 * 1024, "Limit"), (None, "Minimum")])
async def test_a_session_is_for_three_to_a_hundred_and_fifty_megabytes(
    anna: httpx.AsyncClient, size: int | None, code: str
) -> None:
    item = {"attachmentType": "file", "name": "x", **({"size": size} if size else {})}
    got = await anna.post(f"{await draft(anna)}/attachments/createUploadSession", json={"AttachmentItem": item})
    assert got.status_code == 400
    assert code in got.json()["error"]["code"]


async def test_the_tenants_message_size_counts_attachments(world: Any, anna: httpx.AsyncClient) -> None:
    path, url = await session(anna)
    await world.http.put(url, **part(0))
    await world.http.put(url, **part(CHUNK))
    await world.control.do("outlook_rules", message_bytes=6 * 1024 * 1024)
    assert (await anna.post(f"{path}/send")).status_code == 413
    await world.control.do("outlook_rules", message_bytes=35 * 1024 * 1024)
    assert (await anna.post(f"{path}/send")).status_code == 202
