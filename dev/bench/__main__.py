"""``python -m dev.bench [B1 … T1] [--rounds 5] [--uvloop]``: print one table. Exits 0 unless a benchmark broke."""

import argparse
import asyncio
import contextlib
import os
import platform
from importlib.metadata import version

import structlog
import uvloop

from dev.bench import consume, drain, hop, simulator, tax, tokens
from dev.bench.measuring import Outcome, table
from dev.bench.stage import Stage, raise_stage

BENCHMARKS = {"B1": hop.measure, "B2": drain.measure, "B3": tax.measure, "B4": consume.measure}
WITHOUT_ENGINES = {"S1": simulator.starts, "S2": simulator.serves, "T1": tokens.answers}
EVERY = {**BENCHMARKS, **WITHOUT_ENGINES}
PACKAGES = ("aiokafka", "asyncpg", "sqlalchemy", "uvloop")


async def run(names: list[str], rounds: int) -> list[Outcome]:
    """Engines are brought up only when a benchmark needs them."""
    outcomes: list[Outcome] = []
    async with contextlib.AsyncExitStack() as stack:
        stage = await stack.enter_async_context(raise_stage()) if set(names) & set(BENCHMARKS) else None
        print(_conditions(stage), flush=True)
        for name in names:
            measure = BENCHMARKS.get(name)
            outcomes.append(await (measure(stage, rounds) if measure and stage else WITHOUT_ENGINES[name](rounds)))
            print(f"{name}: load average {os.getloadavg()[0]:.1f}", flush=True)
    return outcomes


def _conditions(stage: Stage | None) -> str:
    loop = type(asyncio.get_running_loop()).__module__.split(".", maxsplit=1)[0]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    engines = "no engines"
    if stage is not None:
        durable = "commits are flushed" if stage.durable else "commits are NOT flushed"
        engines = f"PostgreSQL {stage.postgres_version} ({durable}), {stage.kafka_kind}; all on one machine"
    return "\n".join(
        [
            f"{os.cpu_count()} cores, load average {' '.join(f'{value:.1f}' for value in os.getloadavg())}",
            f"Python {platform.python_version()} on {loop}; {packages}",
            engines,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(EVERY)}; without, all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uvloop", action="store_true", help="both sides on uvloop")
    given = parser.parse_args()
    if unknown := set(given.names) - set(EVERY):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(EVERY)}.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if given.uvloop else None) as runner:
        print(table(runner.run(run(given.names or list(EVERY), given.rounds))))


if __name__ == "__main__":
    main()
