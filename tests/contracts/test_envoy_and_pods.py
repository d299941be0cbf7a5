"""Pods come and go behind the gateway: what it gives to another one, and what it never sends twice."""

import asyncio
import json
from pathlib import Path

import httpx

from shared.testing.engines import free_port
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .test_envoy import PLENTY, Behind, running


async def test_a_service_that_is_away_may_be_asked_again(made_keys: PlatformKeys, tmp_path: Path) -> None:
    nowhere = [free_port()]
    async with running(Behind(made_keys), tmp_path, personas=False, floods=PLENTY, meetings=nowhere) as door:
        lines = ["GET /v1/meetings HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in door.person().items()]
        head, _, body = (await door.send(("\r\n".join(lines) + "\r\n\r\n").encode())).partition(b"\r\n\r\n")
    assert b"\r\nretry-after: 1" in head.lower()
    assert json.loads(body)["status"] == 503


async def test_what_a_pod_had_nothing_of_goes_to_another(made_keys: PlatformKeys, tmp_path: Path) -> None:
    behind = Behind(made_keys)
    async with serving(behind.named("meetings")) as here:
        pods = [free_port(), httpx.URL(here).port or 0]
        async with running(behind, tmp_path, personas=False, floods=PLENTY, meetings=pods) as door:
            answers = [await door.ask("/v1/meetings", "POST", body=b"{}", **door.person()) for _ in range(6)]
    assert answers == [200] * 6
    assert behind.seen == ["meetings: POST /v1/meetings"] * 6


async def test_what_a_pod_may_have_done_is_not_sent_again(made_keys: PlatformKeys, tmp_path: Path) -> None:
    behind = Behind(made_keys)
    had: list[bytes] = []

    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        had.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with serving(behind.named("meetings")) as here, await asyncio.start_server(dies, "127.0.0.1", 0) as pod:
        pods = [pod.sockets[0].getsockname()[1], httpx.URL(here).port or 0]
        async with running(behind, tmp_path, personas=False, floods=PLENTY, meetings=pods) as door:
            answers = [await door.ask("/v1/meetings", "POST", body=b"{}", **door.person()) for _ in range(6)]
    assert sorted(answers) == [200] * 3 + [503] * 3
    assert (len(had), len(behind.seen)) == (3, 3)
