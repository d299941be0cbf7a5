"""Put the platform together: which service hears which settings, in which order parts start and stop."""

import asyncio
import importlib
import json
import os
from pathlib import Path
from typing import Any

from dev.embedded.address import FixedAddress
from dev.embedded.engines import EmbeddedKafka, EmbeddedPostgres
from dev.embedded.gateway import Gateway, InternalDispatcher, PersonaTokens
from dev.embedded.hosting import Listeners
from dev.embedded.keys import make_key_ring, make_service_keys
from dev.services import SERVICES
from m365_simulator import create_simulator
from m365_simulator.serving import serve
from m365_simulator.settings import SimulatorSettings
from shared.hosting.migrate import migrate
from shared.hosting.service import Service

KEEP_SENT_S = 7 * 24 * 3600


class Platform:
    """The embedded platform on four loopback ports from ``port``: gateway, internal, simulator http and https.

    Its Kafka is for any client at ``kafka_port``, which is chosen when none is given; services go to it directly.
    """

    def __init__(self, state: Path, port: int, kafka_port: int | None = None) -> None:
        self.state = state
        self.port = port
        self.kafka_port = kafka_port
        self.url = f"http://localhost:{port}"
        self.simulator_url = f"http://localhost:{port + 2}"
        self.apps: dict[str, Any] = {}
        self.services: list[Service] = []
        self.listeners = Listeners()

    async def start(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self.kafka = EmbeddedKafka()
        self.kafka_address = FixedAddress(self.kafka.bootstrap_servers, self.state / "kafka-port")
        await self.kafka_address.open(self.kafka_port)
        self.postgres = await asyncio.to_thread(EmbeddedPostgres, self.state / "postgres")
        await self._start_simulator()
        self.tokens = PersonaTokens(f"{self.simulator_url}/prospo-issuer")
        await self.listeners.open(Gateway(self.apps, self.tokens, SimulatorSettings().hosts), self.port)
        await self.listeners.open(InternalDispatcher(self.apps), self.port + 1)
        await self._start_services()
        self._write_description()

    async def stop(self) -> None:
        # Side by side: each may wait some seconds until it has left its consumer group.
        await asyncio.gather(*(service.stop() for service in self.services))
        await self.kafka_address.close()
        await self.listeners.close()
        self._simulator_serving.cancel()
        await asyncio.gather(self._simulator_serving, return_exceptions=True)
        await self.simulator.stop()
        await self.tokens.aclose()
        self._description.unlink(missing_ok=True)
        await asyncio.to_thread(self.postgres.stop)

    async def broken(self) -> None:
        """Return when a loop of a service has ended by itself."""
        hosted = [service for service in self.services if isinstance(service, Service)]
        ends = [asyncio.create_task(service.ended.wait()) for service in hosted]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    @property
    def _description(self) -> Path:
        return self.state / "platform.json"

    def _write_description(self) -> None:
        described = {
            "pid": os.getpid(),
            "url": self.url,
            "kafka_bootstrap_servers": self.kafka_address.bootstrap_servers,
            "simulator_url": self.simulator_url,
        }
        written = self._description.with_suffix(".new")
        written.write_text(json.dumps(described, indent=2))
        written.replace(self._description)  # whoever waits for the file reads it whole

    async def _start_simulator(self) -> None:
        settings = SimulatorSettings(
            state_dir=self.state / "simulator",
            http_port=self.port + 2,
            https_port=self.port + 3,
            http_base_url=self.simulator_url,
            https_base_url=f"https://localhost:{self.port + 3}",
            redirect_uris=[
                f"{self.url}/connectors/microsoft365/callback",
                f"{self.url}/integrations/microsoft/callback",
                f"{self.url}/connectors/microsoft365/sign-in/callback",
                f"{self.url}/connectors/microsoft365/storage/browse/callback",
            ],
        )
        self.simulator = create_simulator(settings)
        await self.simulator.start()
        self._simulator_serving = asyncio.create_task(serve(self.simulator, settings), name="simulator")

    async def _start_services(self) -> None:
        key_ring = make_key_ring(self.state / "key-ring")
        private, public = make_service_keys(self.state / "service-keys", SERVICES)
        common = self._common_settings() | {"key_ring_dir": key_ring, "service_public_keys_dir": public}
        for name in SERVICES:
            await self._start_service(name, common | {"service_key_path": private / f"{name}.pem"})
        console = importlib.import_module("console.main").create_service(_settings("console", common))
        self.apps["console"] = console.app
        await console.start(api=True, worker=False)
        self.services.append(console)

    async def _start_service(self, name: str, common: dict[str, Any]) -> None:
        database = await self.postgres.database(name)
        urls = {"database_url": database.url, "request_database_url": database.request_url}
        settings = _settings(name, common | urls | {"migration_database_url": database.owner_url})
        package = name.replace("-", "_")
        await migrate(package, settings)
        service: Service = importlib.import_module(f"{package}.main").create_service(settings)
        self.apps[name] = service.app
        self.services.append(service)
        await service.start(api=True, worker=True)
        await service.relay.replay_sent()

    def _common_settings(self) -> dict[str, Any]:
        simulator_https = f"https://localhost:{self.port + 3}"
        issuer = f"{self.simulator_url}/prospo-issuer"
        return {
            "kafka_bootstrap_servers": self.kafka.bootstrap_servers,
            "jwt_issuer": issuer,
            "jwt_jwks_url": f"{issuer}/jwks",
            "internal_url": f"http://localhost:{self.port + 1}/{{service}}",
            "public_url": self.url,
            "notification_base_url": self.url,
            "graph_base_url": f"{self.simulator_url}/v1.0",
            "graph_hosts": [f"{host}:{self.port + 2}" for host in ("localhost", "127.0.0.1")],  # files: from the second
            "entra_authority": simulator_https,
            "entra_page_authority": self.simulator_url,
            "ca_bundle": self.state / "simulator" / "ca.pem",
            "client_id": SimulatorSettings().client_id,
            "client_secret": SimulatorSettings().client_secret,
            "outbox_keep_sent_s": KEEP_SENT_S,
            "object_store_dir": self.state / "files",
            "reconcile_interval_s": 5,
            "reconcile_after_s": list(range(5, 3600, 5)),
            "notification_retry_s": 1,
            "reconcile_early_interval_s": 5,  # the simulated Microsoft has a clock of its own, mostly ahead of ours
            "simulator_url": self.simulator_url,
        }


def _settings(service: str, values: dict[str, Any]) -> Any:
    """The service's own settings class, given only what it knows."""
    kind = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
    return kind(**{name: value for name, value in values.items() if name in kind.model_fields})
