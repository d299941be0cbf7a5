"""Uploads where connections matter: one that breaks in the middle, two at once, and the two host names."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from m365_simulator import Simulator
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token

ANNA = "anna@contoso.example"
UNIT = 327_680
CONTENT = bytes(range(256)) * (2 * UNIT // 256)


def headers(simulator: Simulator) -> dict[str, str]:
    user = find_user(simulator.store, ANNA) or {}
    claims = {"tid": CONTOSO, "oid": user["id"], "idtyp": "user", "scp": "Files.ReadWrite", "appid": "app"}
    return {"Authorization": f"Bearer {access_token(simulator.entra, 'https://sts.windows.net/', claims)}"}


async def session(http: httpx.AsyncClient, simulator: Simulator) -> str:
    path = f"{simulator.settings.graph_url}/v1.0/me/drive/root:/film.mp4:/createUploadSession"
    got = await http.post(path, json={}, headers=headers(simulator))
    assert got.status_code == 200, got.text
    return str(got.json()["uploadUrl"])


def fragment(first: int) -> dict[str, Any]:
    content = CONTENT[first : first + UNIT]
    return {"content": content, "headers": {"Content-Range": f"bytes {first}-{first + UNIT - 1}/{2 * UNIT}"}}


@pytest.mark.behaviour(50)
async def test_a_connection_broken_in_a_fragment_leaves_the_session_as_it_was(simulator: Simulator) -> None:
    async with httpx.AsyncClient() as http:
        url = await session(http, simulator)
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1"
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
        head = f"PUT {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {UNIT}\r\n"
        writer.write(f"{head}Content-Range: bytes 0-{UNIT - 1}/{2 * UNIT}\r\n\r\n".encode() + CONTENT[: UNIT // 2])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await http.get(url)).json()["nextExpectedRanges"] == ["0-"]
        assert (await http.put(url, **fragment(0))).status_code == 202
        made = (await http.put(url, **fragment(UNIT))).json()
        assert (await http.get(made["@microsoft.graph.downloadUrl"])).content == CONTENT


async def test_of_two_equal_fragments_one_is_taken_and_the_hash_stays_right(world: Any) -> None:
    anna = world.graph(world.token(ANNA, "Files.ReadWrite"))
    url = (await anna.post("/me/drive/root:/film.mp4:/createUploadSession", json={})).json()["uploadUrl"]
    begun, done = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield CONTENT[: UNIT // 2]
        begun.set()
        await done.wait()
        yield CONTENT[UNIT // 2 : UNIT]

    one = asyncio.create_task(world.http.put(url, **{**fragment(0), "content": slowly()}))
    await begun.wait()
    other = await world.http.put(url, **fragment(0))
    done.set()
    assert (other.status_code, (await one).status_code) == (202, 416)
    made = (await world.http.put(url, **fragment(UNIT))).json()
    small = (await anna.put("/me/drive/root:/small:/content", content=CONTENT)).json()
    assert made["file"]["hashes"] == small["file"]["hashes"]


async def test_graph_and_the_upload_host_do_not_answer_for_each_other(simulator: Simulator) -> None:
    async with httpx.AsyncClient() as http:
        url = await session(http, simulator)
        there = url.replace("127.0.0.1", "localhost")
        assert (await http.get(there)).status_code == 404
        assert (await http.get(url)).status_code == 200
