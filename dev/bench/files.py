"""B6: a recording from Microsoft's download into the default store; against ``curl | curl`` into a store of its kind.

Ours is a worker's transfer with its client of Graph, and storage in a process of its own; its sessions, its ranges, the
whole file put together and announced are in the figure, the job around it is not. The source gives bytes as fast as it
can; the peer's target stores what it is sent as one object.
"""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import Stage
from dev.bench.town import Process, Town, plain_environment, raise_town, script
from m365_simulator.testing import free_port

MIB = 1024 * 1024
SIZES = [int(size) * MIB for size in os.environ.get("BENCH_FILE_MIB", "64 1024").split()]
BAR = 0.5
MEMORY_BAR_MB = 64


async def measure(stage: Stage, count: int) -> list[Outcome]:
    if shutil.which("curl") is None:
        print("B6: curl is not here", flush=True)
        return []
    async with _Yard.opened(stage) as yard:
        return [await yard.outcome(size, count) for size in SIZES]


class _Yard:
    def __init__(self, source: Process, target: Process, mover: asyncio.subprocess.Process, files: list[Path]) -> None:
        self._source = source
        self._target = target
        self._mover = mover
        self._files = files

    @classmethod
    @asynccontextmanager
    async def opened(cls, stage: Stage) -> AsyncIterator["_Yard"]:
        async with AsyncExitStack() as stack:
            town = await stack.enter_async_context(raise_town(stage))
            own, other = town.folder / "files", town.folder / "other"
            other.mkdir()
            source = await stack.enter_async_context(script("dev.bench.peers", "source"))
            target = await stack.enter_async_context(script("dev.bench.peers", "target", str(other)))
            port = free_port()
            town.values |= {"internal_url": f"http://127.0.0.1:{port}", "graph_base_url": f"{source.url}/v1.0"}
            await stack.enter_async_context(town.process("storage", "api", port=port))
            mover = await stack.enter_async_context(_mover(town))
            yield cls(source, target, mover, [own, other])

    async def outcome(self, size: int, count: int) -> Outcome:
        name = f"B6 recording of {size // MIB:,} MiB"
        outcome = Outcome(name, "MiB/s", "ours / curl | curl", BAR, ratio)
        await rounds(outcome, partial(self._ours, size), partial(self._curl, size), count)
        outcome.note = f"the worker's memory grew by {await self._grown_mb():.0f} MB over idle (<= {MEMORY_BAR_MB})"
        return outcome

    async def _ours(self, size: int) -> float:
        begun = time.perf_counter()
        await self._say({"size": size})
        return await self._done(size, begun)

    async def _curl(self, size: int) -> float:
        begun = time.perf_counter()
        pipe = f"curl -sf {self._source.url}/{size} | curl -sf -T - {self._target.url}/whole-{size}"
        made = await asyncio.create_subprocess_shell(pipe)
        assert await made.wait() == 0
        return await self._done(size, begun)

    async def _done(self, size: int, begun: float) -> float:
        """MiB a second; then the files go, so that the disk does not fill."""
        spent = time.perf_counter() - begun
        for folder in self._files:
            for path in folder.iterdir() if folder.exists() else []:
                await asyncio.to_thread(shutil.rmtree if path.is_dir() else Path.unlink, path)
        return size / MIB / spent

    async def _grown_mb(self) -> float:
        return float((await self._say({"memory": True}))["grown_mb"])

    async def _say(self, wanted: dict[str, object]) -> dict[str, float]:
        assert self._mover.stdin is not None
        assert self._mover.stdout is not None
        self._mover.stdin.write(json.dumps(wanted).encode() + b"\n")
        said: dict[str, float] = json.loads(await self._mover.stdout.readline())
        return said


@asynccontextmanager
async def _mover(town: Town) -> AsyncIterator[asyncio.subprocess.Process]:
    await town.migrated("recording-ingest")
    written = town.folder / "mover.json"
    values = town.settings("recording-ingest").model_dump(mode="json", exclude_unset=True)
    written.write_text(json.dumps(values))
    pipe = asyncio.subprocess.PIPE
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.bench.mover", str(written)), env=plain_environment(), stdin=pipe, stdout=pipe
    )
    try:
        yield made
    finally:
        assert made.stdin is not None
        made.stdin.close()
        await made.wait()
