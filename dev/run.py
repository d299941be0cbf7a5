"""``make run``: the whole platform in one process. Ctrl-C stops it; the state stays in ``.run``."""

import argparse
import asyncio
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

STARTED = time.monotonic()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.run", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=Path(".run"), help="where everything is kept")
    parser.add_argument("--port", type=int, default=8365, help="first of four loopback ports")
    parser.add_argument("--kafka-port", type=int, help="Kafka's; default: the last run's, or the next free from 9092")
    return parser.parse_args()


def private() -> None:
    """Recordings, keys and the log are for whoever runs it, and nobody else of the machine."""
    os.umask(0o077)


def take_state(folder: Path) -> object:
    """Lock the state folder for this process, or say who has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(
            f"The platform is already running with {folder}. Stop it first, or give another --state-dir and --port."
        )
    return lock


async def serve(state: Path, port: int, kafka_port: int | None) -> int:
    """Returns the exit status."""
    from dev.embedded.platform import Platform  # after the lock: importing every service takes a second
    from shared.hosting.service import EXIT_BROKEN
    from shared.telemetry import set_up_logs, set_up_traces

    set_up_logs("INFO", (state / "platform.log").open("a", buffering=1))
    set_up_traces("prospo", None)
    platform = Platform(state, port, kafka_port)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await platform.start()
    print(
        f"""
Microsoft 365 for Prospo is ready after {time.monotonic() - STARTED:.1f} s.

  open       {platform.url}          the console; switch between people at the top
  Microsoft  {platform.simulator_url}          the simulated tenant; its meetings have a "Let it happen" button
  Kafka      {platform.kafka_address.bootstrap_servers}                 any client can read the events
  try        make demo                        the main job, printed step by step
  log        {state}/platform.log

Ctrl-C stops it; `make clean-run` forgets everything.""",
        flush=True,
    )
    stopped, broken = asyncio.create_task(stop.wait()), asyncio.create_task(platform.broken())
    await asyncio.wait([stopped, broken], return_when=asyncio.FIRST_COMPLETED)
    failed = broken.done()
    print("a service has failed (see the log); stopping" if failed else "stopping", flush=True)
    for waiting in (stopped, broken):
        waiting.cancel()
    await platform.stop()
    return EXIT_BROKEN if failed else 0


def main() -> None:
    given = arguments()
    private()
    lock = take_state(given.state_dir.resolve())
    status = asyncio.run(serve(given.state_dir.resolve(), given.port, given.kafka_port))
    del lock
    sys.exit(status)


if __name__ == "__main__":
    main()
