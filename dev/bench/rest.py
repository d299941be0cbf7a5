"""B9: from nothing to ready, of an api and of the embedded platform; against importing the stack.
B10: what a process at rest holds in memory, asks of its database, and takes of the processor.
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from dev.bench.measuring import Outcome, difference, ours_alone, rounds
from dev.bench.stage import Stage
from dev.bench.town import Process, Town, ended, plain_environment, raise_town
from dev.services import SERVICES
from m365_simulator.testing import free_port

IMPORTS = "import aiokafka, asyncpg, cryptography.x509, fastapi, httpx, opentelemetry.sdk.trace, sqlmodel, uvicorn"
FLOOR = f"import asyncio; {IMPORTS}; print('ready', flush=True); asyncio.run(asyncio.sleep(600))"
SETTLE_S, WATCH_S = 3.0, 60.0  # the slowest loop of a service at rest passes once a minute
EMBEDDED_BAR_S, API_BAR_S = 4.0, 1.5
MEMORY_BAR_MB, ASKED_BAR, PROCESSOR_BAR_S = 36, 2.0, 3.0
_ASKED = "SELECT datname, xact_commit FROM pg_stat_database WHERE datname = ANY($1)"


async def starts(stage: Stage, count: int) -> list[Outcome]:
    async with raise_town(stage) as town:
        await town.migrated("meetings")
        api = Outcome("B9 api ready", "s", "ours, s", API_BAR_S, ours_alone, lower_is_better=True)
        await rounds(api, lambda: _api(town), _imports, count)
    embedded = Outcome("B9 embedded platform ready again", "s", "ours, s", EMBEDDED_BAR_S, ours_alone, True)
    with tempfile.TemporaryDirectory(prefix="prospo-embedded-", ignore_cleanup_errors=True) as folder:
        await rounds(embedded, lambda: _embedded(Path(folder)), _imports, count)
    return [api, embedded]


async def _imports() -> float:
    begun = time.perf_counter()
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", IMPORTS, env=plain_environment())
    await made.wait()
    return time.perf_counter() - begun


async def _api(town: Town) -> float:
    begun = time.perf_counter()
    async with town.process("meetings", "api"):
        return time.perf_counter() - begun


async def _embedded(folder: Path) -> float:
    """The first round, which makes everything, is the one that warms up."""
    port, begun = free_port(), time.perf_counter()
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dev.run", "--state-dir", str(folder), "--port", str(port)),
        env=plain_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert made.stdout is not None
        async with asyncio.timeout(120):
            while b"is ready" not in await made.stdout.readline():
                assert made.returncode is None
        return time.perf_counter() - begun
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.send_signal(signal.SIGINT)
        await made.communicate()


async def at_rest(stage: Stage, count: int) -> list[Outcome]:
    """All services, api and worker, at the same time, beside a process that has only imported the stack."""
    async with raise_town(stage) as town, _all_running(town) as processes, _floor() as floor:
        await asyncio.sleep(SETTLE_S)
        memory = []
        for name in ("api", "worker"):
            ours = processes[name]
            outcome = Outcome(f"B10 memory, {name}", "MB", "ours - libraries, MB", MEMORY_BAR_MB, difference, True)
            await rounds(outcome, _largest(ours), _largest([floor]), count)
            outcome.note = f"from {min(process.memory_mb() for process in ours):.0f} MB"
            memory.append(outcome)
        asked = Outcome("B10 asked of a database", "tx/s", "the most, tx/s", ASKED_BAR, ours_alone, True)
        taken = Outcome("B10 processor of all", "s/min", "ours, s/min", PROCESSOR_BAR_S, ours_alone, True)
        for _ in range(min(count, 3)):
            await _watch(stage, [*processes["api"], *processes["worker"]], asked, taken)
        return [*memory, asked, taken]


def _largest(processes: list[Process]) -> Any:
    async def now() -> float:
        return max(process.memory_mb() for process in processes)

    return now


async def _watch(stage: Stage, processes: list[Process], asked: Outcome, taken: Outcome) -> None:
    names = [service.replace("-", "_") for service in SERVICES]
    before, processor = await _asked(stage, names), sum(process.processor_s() for process in processes)
    begun = time.perf_counter()
    await asyncio.sleep(WATCH_S)
    spent, after = time.perf_counter() - begun, await _asked(stage, names)
    asked.add(max((after[name] - before[name]) / spent for name in names), 0.0)
    taken.add((sum(process.processor_s() for process in processes) - processor) / spent * 60, 0.0)


async def _asked(stage: Stage, names: list[str]) -> dict[str, int]:
    """Commits, single statements among them, so far; backends tell theirs once a second."""
    connection = await stage.connect()
    rows = await connection.fetch(_ASKED, names)
    await connection.close()
    return {row["datname"]: row["xact_commit"] for row in rows}


@asynccontextmanager
async def _all_running(town: Town) -> AsyncIterator[dict[str, list[Process]]]:
    async with AsyncExitStack() as stack:
        running: dict[str, list[Process]] = {"api": [], "worker": []}
        for service in SERVICES:
            for command, processes in running.items():
                processes.append(await stack.enter_async_context(town.process(service, command)))
        yield running


@asynccontextmanager
async def _floor() -> AsyncIterator[Process]:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FLOOR, env=plain_environment(), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert made.stdout is not None
        assert await made.stdout.readline() == b"ready\n"
        yield Process(made.pid, "")
    finally:
        await ended(made)
