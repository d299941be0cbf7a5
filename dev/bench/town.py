"""Services as processes of their own on the stage's engines, with what they talk to."""

import asyncio
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import httpx
from packaging.utils import canonicalize_name

from dev.bench.stage import Stage
from dev.embedded.engines import ServiceDatabase
from dev.embedded.keys import make_key_ring, make_service_keys
from dev.services import ROOT, SERVICES
from m365_simulator.client import SimulatorClient
from m365_simulator.settings import SimulatorSettings
from m365_simulator.testing import free_port, until_open
from shared.hosting.migrate import migrate
from shared.testing.serving import NO_TLS
from shared.testing.waiting import until

PATIENCE_S = 60
NOWHERE = "https://issuer.example"
AS_IN_ITS_IMAGE = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split()))
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""A service without what its image has not; libraries load some of that where it is, 6 MB of memory."""


class Town:
    """A run's keys and settings. Each service has one database; ``values`` are settings that all of them take."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self._private, public = make_service_keys(folder / "keys", SERVICES)
        self.values: dict[str, Any] = {
            "kafka_bootstrap_servers": stage.kafka,
            "key_ring_dir": make_key_ring(folder / "ring"),
            "service_public_keys_dir": public,
            "jwt_issuer": NOWHERE,
            "jwt_jwks_url": f"{NOWHERE}/jwks",
            "object_store_dir": folder / "files",
            "log_level": "ERROR",
        }
        self.databases: dict[str, ServiceDatabase] = {}

    async def migrated(self, service: str) -> ServiceDatabase:
        """The service's database, made and migrated at the first time."""
        if service not in self.databases:
            self.databases[service] = await self.stage.postgres.database(service)
            await migrate(service.replace("-", "_"), self.settings(service))
        return self.databases[service]

    def settings(self, service: str, **more: Any) -> Any:
        """The settings of a service in this process."""
        kind = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
        return kind(**self._of(service, **more))

    def key_of(self, service: str) -> Path:
        """The private key with which it says who it is."""
        return self._private / f"{service}.pem"

    def _of(self, service: str, **more: Any) -> dict[str, Any]:
        database = self.databases[service]
        own = {"database_url": database.url, "request_database_url": database.request_url}
        own |= {"migration_database_url": database.owner_url}
        return self.values | own | {"service_key_path": self.key_of(service)} | more

    @asynccontextmanager
    async def process(
        self, service: str, command: str, *, port: int | None = None, **more: Any
    ) -> AsyncIterator["Process"]:
        """``api`` or ``worker`` of a service, ready: its health says so."""
        await self.migrated(service)
        port = port or free_port()
        given = self._of(service, **more) | {"http_port" if command == "api" else "health_port": port}
        environment = {f"PROSPO_{name.upper()}": str(value) for name, value in given.items()}
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", AS_IN_ITS_IMAGE, not_in_the_image(service), service.replace("-", "_"), command),
            env=plain_environment() | environment,
        )
        process = Process(made.pid, f"http://127.0.0.1:{port}")
        try:
            await process.ready()
            yield process
        finally:
            await ended(made)


class Process:
    """What is seen of it from outside."""

    def __init__(self, pid: int | str, url: str) -> None:
        self.pid = pid
        self.url = url

    async def ready(self) -> None:
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
            await until(partial(_answers, http, f"{self.url}/health/ready"), PATIENCE_S)

    def memory_mb(self, figure: str = "VmRSS") -> float:
        """Resident now, or ``VmHWM``: the most it ever was."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(figure)).split()[1]) / 1024

    def processor_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.TransportError:
        return False


def not_in_the_image(service: str) -> str:
    """The top modules here of distributions that its locked dependencies do not name."""
    lock = (ROOT / "services" / service / "requirements.lock").read_text()
    locked = {canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    own = {"shared", service.replace("-", "_")}
    modules = packages_distributions()
    return " ".join(
        module
        for module, names in modules.items()
        if module.isidentifier() and module not in own and locked.isdisjoint(map(canonicalize_name, names))
    )


def plain_environment() -> dict[str, str]:
    """Compiled modules are used, whatever this machine is set to."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


async def ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Peer:
    """A reader of somebody else's in a process of its own, for all rounds, so that none of them pays for imports.

    ``asked`` is what ``module`` reads of each line: among others how ``many`` things it reads in a round.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str, asked: dict[str, Any]) -> None:
        self._process = process
        self._name = name
        self._asked = asked

    @classmethod
    @asynccontextmanager
    async def invited(cls, module: str, name: str, asked: dict[str, Any]) -> AsyncIterator["Peer"]:
        pipe = asyncio.subprocess.PIPE
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, name), stdin=pipe, stdout=pipe, env=plain_environment()
        )
        try:
            yield cls(made, name, asked)
        finally:
            await ended(made)

    async def rate(self) -> float:
        """Things a second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._asked).encode() + b"\n")
        spent, count = json.loads(await self._process.stdout.readline())
        assert count >= self._asked["many"] * 0.99, f"{self._name} read {count} of {self._asked['many']}"
        return float(count / spent)


@asynccontextmanager
async def raise_town(stage: Stage) -> AsyncIterator[Town]:
    with tempfile.TemporaryDirectory(prefix="prospo-town-", ignore_cleanup_errors=True) as folder:
        yield Town(stage, Path(folder))


@asynccontextmanager
async def script(module: str, *arguments: str) -> AsyncIterator[Process]:
    """``python -m <module> <port> …``: a peer or a source that listens on its port."""
    port = free_port()
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(port), *arguments, env=plain_environment()
    )
    try:
        await until_open(port)
        yield Process(made.pid, f"http://127.0.0.1:{port}")
    finally:
        await ended(made)


@asynccontextmanager
async def microsoft(folder: Path, latency_ms: int = 0) -> AsyncIterator[SimulatorSettings]:
    """The simulated Microsoft in a process of its own."""
    http, https = free_port(), free_port()
    settings = SimulatorSettings(
        state_dir=folder,
        http_port=http,
        https_port=https,
        http_base_url=f"http://localhost:{http}",
        https_base_url=f"https://localhost:{https}",
    )
    names = ("state_dir", "http_port", "https_port", "http_base_url", "https_base_url")
    given = {f"SIMULATOR_{name.upper()}": str(getattr(settings, name)) for name in names}
    given["SIMULATOR_LATENCY_MS"] = str(latency_ms)
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "m365_simulator", env=plain_environment() | given, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await until_open(http)
        async with SimulatorClient(settings.http_base_url) as client:
            await client.state()
        yield settings
    finally:
        await ended(made)
