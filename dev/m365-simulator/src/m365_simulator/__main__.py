"""``python -m m365_simulator``: both listeners until Ctrl-C."""

import asyncio
import contextlib
import signal

from . import SimulatorSettings, create_simulator
from .serving import serve


async def run() -> None:
    settings = SimulatorSettings()
    simulator = create_simulator(settings)
    await simulator.start()
    serving = asyncio.create_task(serve(simulator, settings))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    await simulator.stop()


if __name__ == "__main__":
    asyncio.run(run())
