"""``python -m dev.bench [B1 … T1] [--rounds 5] [--json FILE]``: print one table, and write its figures.

On real Kafka when ``KAFKA_BOOTSTRAP_SERVERS`` names one. Exits 0 unless a benchmark broke.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import structlog

from dev.bench import (
    addresses,
    claim,
    consume,
    drain,
    files,
    hop,
    hour,
    into_library,
    letters,
    occurrences,
    refresh,
    rest,
    scaling,
    schedule,
    sends,
    simulator,
    tax,
    tokens,
    webhook,
)
from dev.bench.measuring import Outcome, table
from dev.bench.stage import Stage, raise_stage

Found = Outcome | list[Outcome]
BENCHMARKS: dict[str, Callable[[Stage, int], Awaitable[Found]]] = {
    "B1": hop.measure,
    "B2": drain.measure,
    "B3": tax.measure,
    "B4": consume.measure,
    "B5": webhook.measure,
    "B6": files.measure,
    "B7": addresses.measure,
    "B8": refresh.measure,
    "B9": rest.starts,
    "B10": rest.at_rest,
    "B11": scaling.measure,
    "B12": claim.measure,
    "B13": schedule.measure,
    "B14": sends.measure,
    "B16": letters.measure,
}
WITHOUT_ENGINES: dict[str, Callable[[int], Awaitable[Found]]] = {
    "B6L": into_library.measure,
    "B15": occurrences.measure,
    "B17": hour.measure,
    "S1": simulator.starts,
    "S2": simulator.serves,
    "T1": tokens.answers,
}
EVERY = {**BENCHMARKS, **WITHOUT_ENGINES}
PACKAGES = ("aiokafka", "asyncpg", "sqlalchemy")


async def run(names: list[str], rounds: int, written: Path) -> tuple[list[Outcome], list[str]]:
    """The outcomes, and the names of the benchmarks that broke; the others are measured all the same.

    Engines are brought up only when a benchmark needs them. The figures are written after each benchmark.
    """
    outcomes: list[Outcome] = []
    broken: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        stage = await stack.enter_async_context(raise_stage()) if set(names) & set(BENCHMARKS) else None
        conditions = _conditions(stage)
        print(conditions, flush=True)
        for name in names:
            measure = BENCHMARKS.get(name)
            try:
                found: Found = await (measure(stage, rounds) if measure and stage else WITHOUT_ENGINES[name](rounds))
            except Exception:  # noqa: BLE001 - the others are measured all the same
                traceback.print_exc()
                broken.append(name)
                continue
            outcomes += found if isinstance(found, list) else [found]
            print(f"{name}: load average {os.getloadavg()[0]:.1f}", flush=True)
            _write(written, conditions, outcomes)
    return outcomes, broken


def _write(path: Path, conditions: str, outcomes: list[Outcome]) -> None:
    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "conditions": conditions.splitlines()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told | {"outcomes": [outcome.told() for outcome in outcomes]}, indent=2) + "\n")


def _conditions(stage: Stage | None) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    engines = "no engines"
    if stage is not None:
        durable = "commits are flushed" if stage.durable else "commits are NOT flushed"
        engines = f"PostgreSQL {stage.postgres_version} ({durable}), {stage.kafka_kind}; all on one machine"
    return "\n".join(
        [
            f"{os.cpu_count()} cores, load average {' '.join(f'{value:.1f}' for value in os.getloadavg())}",
            f"Python {platform.python_version()}; {packages}",
            engines,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(EVERY)}; without, all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path(".run/bench.json"), help="where the figures are written")
    given = parser.parse_args()
    if unknown := set(given.names) - set(EVERY):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(EVERY)}.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    outcomes, broken = asyncio.run(run(given.names or list(EVERY), given.rounds, given.json))
    print(table(outcomes))
    if broken:
        sys.exit(f"These benchmarks broke, see above: {', '.join(broken)}.")


if __name__ == "__main__":
    main()
