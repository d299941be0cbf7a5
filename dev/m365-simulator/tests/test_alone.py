"""The simulator as a process of its own: it streams what does not fit into memory, and ends when told."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from m365_simulator.clock import Clock
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import Signer, access_token
from m365_simulator.store import Store
from m365_simulator.testing import loopback_settings, until_open

SIZE, READ = 2 << 30, 256 << 20
ALLOWED_KB = 48 * 1024
"""What a transfer may add to the peak: buffers of sockets and the event loop, nowhere near the recording."""
EVENT = {
    "subject": "Long",
    "start": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2030-01-01T11:00:00", "timeZone": "UTC"},
    "isOnlineMeeting": True,
    "onlineMeetingProvider": "teamsForBusiness",
}


@contextlib.asynccontextmanager
async def process(folder: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    settings = loopback_settings(folder)
    environment = {"SIMULATOR_STATE_DIR": str(folder)} | {
        f"SIMULATOR_{name.upper()}": str(getattr(settings, name))
        for name in ("http_port", "https_port", "http_base_url", "https_base_url")
    }
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "m365_simulator", env={**os.environ, **environment}
    )
    try:
        await until_open(settings.http_port)
        yield settings.http_base_url, made
    finally:
        if made.returncode is None:
            made.send_signal(signal.SIGTERM)
        await made.wait()


def token(folder: Path, permissions: str) -> str:
    store = Store(folder)
    anna = find_user(store, "anna@contoso.example") or {}
    claims = {"tid": CONTOSO, "oid": anna["id"], "scp": permissions, "idtyp": "user", "appid": "test"}
    try:
        return access_token(Signer(store, "entra", Clock(store, None)), "https://sts.windows.net/", claims)
    finally:
        store.close()


def peak_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def recording_link(base: str, folder: Path) -> str:
    headers = {"Authorization": f"Bearer {token(folder, RIGHTS)}"}
    async with httpx.AsyncClient(base_url=base, headers=headers) as me:
        booked = (await me.post("/v1.0/me/events", json=EVENT)).json()
        join = booked["onlineMeeting"]["joinUrl"]
        await me.post("/control/do/recording_size", json={"size": SIZE})
        met = (await me.post("/control/do/meeting_happens", json={"meeting": join, "record": True})).json()
        path = f"/v1.0/me/onlineMeetings/{met['id']}/recordings"
        item = (await me.get(path)).json()["value"][0]["id"]
        return str((await me.get(f"{path}/{item}/content")).headers["location"])


RIGHTS = "Calendars.ReadWrite OnlineMeetings.Read OnlineMeetingRecording.Read.All"


@pytest.mark.slow
@pytest.mark.behaviour(34)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc to read the peak memory")
async def test_a_large_recording_streams_in_constant_memory(tmp_path: Path) -> None:
    async with process(tmp_path) as (base, made):
        link = await recording_link(base, tmp_path)
        before = peak_kb(made.pid)
        count, end = 0, {"Range": f"bytes={SIZE - READ}-"}
        async with httpx.AsyncClient() as plain, plain.stream("GET", link, headers=end) as answer:
            async for chunk in answer.aiter_raw():
                count += len(chunk)
        assert count == READ
        assert peak_kb(made.pid) - before < ALLOWED_KB


async def test_it_ends_in_order_when_told(tmp_path: Path) -> None:
    async with process(tmp_path) as (_, made):
        made.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await made.wait() == 0
