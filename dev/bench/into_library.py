"""B6: a recording from a download into SharePoint, against ``rclone copyurl`` at the same fragment size, 100 ms a call.

Ours is the automaton with the client of Graph, in a process of its own: session, ranges, hash, look-ups and the rename
are in the figure; storage's database and the job around it are not. The library counts and hashes what it is sent and
keeps none of it. Requests are those that the library was asked, of one file.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from dev.bench.measuring import Outcome, difference, ratio, rounds
from dev.bench.town import Process, ended, microsoft, plain_environment, script
from m365_simulator.client import SimulatorClient
from m365_simulator.clock import Clock
from m365_simulator.directory import CONTOSO
from m365_simulator.signing import Signer, access_token
from m365_simulator.store import Store

MIB = 1024 * 1024
SIZES = [int(size) * MIB for size in os.environ.get("BENCH_LIBRARY_MIB", "64 1024").split()]
LATENCY_MS = 100
CHUNK = 10 * MIB
LARGE = 2048 * MIB
MORE_REQUESTS = 3
RCLONE = Path(sys.executable).with_name("rclone")


async def measure(count: int) -> list[Outcome]:
    if not RCLONE.exists():
        print("B6 into SharePoint: rclone is not here; `make .venv/.sdk` fetches it", flush=True)
        return []
    async with _Yard.opened() as yard:
        return [outcome for size in SIZES for outcome in await yard.sent(size, count)]


class _Yard:
    def __init__(self, graph: str, source: Process, mover: asyncio.subprocess.Process, config: Path) -> None:
        self._graph, self._source, self._mover, self._config = graph, source, mover, config
        self._requests: dict[str, int] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator["_Yard"]:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            simulated = await stack.enter_async_context(microsoft(folder / "microsoft", LATENCY_MS))
            source = await stack.enter_async_context(script("dev.bench.peers", "source"))
            base = simulated.http_base_url
            async with SimulatorClient(base) as client:
                site = await client.do("site_add", tenant="contoso.example", name="Sales")
                await client.do("site_grant", site="/sites/Sales", role="write")
                await client.do("files_rules", keeps_content=False)
            token = token_of(folder / "microsoft", simulated.client_id)
            what = {"graph": f"{base}/v1.0", "source": f"{source.url}/v1.0", "drive": site["drive"], "token": token}
            what |= {"folder": "root", "chunk": CHUNK, "other_host": f"127.0.0.1:{simulated.http_port}"}
            mover = await stack.enter_async_context(_mover(folder / "what.json", what))
            config = folder / "rclone.conf"
            config.write_text(rclone_config(base, site["drive"], token))
            yield cls(base, source, mover, config)

    async def sent(self, size: int, count: int) -> list[Outcome]:
        """A file so large that a pair takes minutes is sent once; what is warm by then are the smaller ones."""
        name = f"B6 {size // MIB:,} MiB into SharePoint"
        speed = Outcome(name, "MiB/s", "ours / rclone copyurl", 1.0, ratio)
        if size < LARGE:
            await rounds(speed, partial(self._timed, self._ours, size), partial(self._timed, self._rclone, size), count)
        else:
            speed.add(await self._timed(self._ours, size), await self._timed(self._rclone, size))
        grown = (await self._say({}))["grown_mb"]
        speed.note = f"our process grew by {grown:.0f} MB over idle, nothing on disk"
        asked = Outcome(f"B6 requests for {size // MIB:,} MiB", "requests", "ours - rclone", MORE_REQUESTS, difference)
        asked.lower_is_better = True
        asked.add(self._requests[self._ours.__name__], self._requests[self._rclone.__name__])
        return [speed, asked]

    async def _timed(self, side: Any, size: int) -> float:
        async with httpx.AsyncClient(base_url=self._graph, trust_env=False) as http:
            await http.delete("/control/calls")
            begun = time.perf_counter()
            await side(size)
            spent = time.perf_counter() - begun
            rows = (await http.get("/control/calls")).json()
        self._requests[side.__name__] = len([row for row in rows if not row["path"].startswith("/control")])
        return size / MIB / spent

    async def _ours(self, size: int) -> None:
        await self._say({"size": size})

    async def _rclone(self, size: int) -> None:
        words = ["copyurl", f"{self._source.url}/{size}", f"sp:{time.time_ns()}.mp4", "--retries", "1"]
        words += ["--onedrive-chunk-size", f"{CHUNK // MIB}Mi", "--config", str(self._config)]
        environment = {"HOME": str(self._config.parent), "PATH": os.environ["PATH"]}
        made = await asyncio.create_subprocess_exec(str(RCLONE), *words, env=environment)
        assert await made.wait() == 0

    async def _say(self, wanted: dict[str, object]) -> dict[str, float]:
        assert self._mover.stdin is not None
        assert self._mover.stdout is not None
        self._mover.stdin.write(json.dumps(wanted).encode() + b"\n")
        said: dict[str, float] = json.loads(await self._mover.stdout.readline())
        return said


def token_of(folder: Path, client_id: str) -> str:
    """The application's, signed with the key that the simulator keeps in its folder."""
    store = Store(folder)
    who = {"tid": CONTOSO, "oid": "sp", "appid": client_id, "idtyp": "app", "roles": ["Sites.Selected"]}
    try:
        return access_token(Signer(store, "entra", Clock(store, None)), "https://sts.windows.net/", who)
    finally:
        store.close()


def rclone_config(base: str, drive: str, token: str) -> str:
    held = {"access_token": token, "token_type": "Bearer", "refresh_token": "", "expiry": "2045-12-31T23:59:59Z"}
    lines = ["[sp]", "type = onedrive", f"tenant_url = {base}/peer", f"drive_id = {drive}"]
    return "\n".join([*lines, "drive_type = documentLibrary", f"token = {json.dumps(held)}"])


@asynccontextmanager
async def _mover(written: Path, what: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    await asyncio.to_thread(written.write_text, json.dumps(what))
    pipe = asyncio.subprocess.PIPE
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.bench.library_mover", str(written)),
        env=plain_environment(),
        stdin=pipe,
        stdout=pipe,
    )
    try:
        yield made
    finally:
        await ended(made)
