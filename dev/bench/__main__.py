"""``python -m dev.bench [B1 …] [--rounds 5] [--uvloop]``: print one table. Exits 0 unless a benchmark broke."""

import argparse
import asyncio
import os
import platform
from importlib.metadata import version

import structlog
import uvloop

from dev.bench import consume, drain, hop, tax
from dev.bench.measuring import Outcome, table
from dev.bench.stage import Stage, raise_stage

BENCHMARKS = {"B1": hop.measure, "B2": drain.measure, "B3": tax.measure, "B4": consume.measure}
PACKAGES = ("aiokafka", "asyncpg", "sqlalchemy", "uvloop")


async def run(names: list[str], rounds: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    async with raise_stage() as stage:
        print(_conditions(stage), flush=True)
        for name in names:
            outcomes.append(await BENCHMARKS[name](stage, rounds))
            print(f"{name}: load average {os.getloadavg()[0]:.1f}", flush=True)
    return outcomes


def _conditions(stage: Stage) -> str:
    loop = type(asyncio.get_running_loop()).__module__.split(".", maxsplit=1)[0]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    durable = "commits are flushed" if stage.durable else "commits are NOT flushed"
    return "\n".join(
        [
            f"{os.cpu_count()} cores, load average {' '.join(f'{value:.1f}' for value in os.getloadavg())}",
            f"Python {platform.python_version()} on {loop}; {packages}",
            f"PostgreSQL {stage.postgres_version} ({durable}), {stage.kafka_kind}; all on one machine",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; without, all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uvloop", action="store_true", help="both sides on uvloop")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if given.uvloop else None) as runner:
        print(table(runner.run(run(given.names or list(BENCHMARKS), given.rounds))))


if __name__ == "__main__":
    main()
