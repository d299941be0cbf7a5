"""Fixtures of the storage service."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.elsewhere import other_url
from shared.graph import Graph
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.harness import StartService
from shared.testing.serving import serving
from shared.web.identity import ServiceTokens
from storage.automaton import Folder
from storage.main import create_service
from storage.settings import Settings

from .libraries import AppToken, Library
from .office import Office, tenant_connector


@pytest.fixture
def settings(platform_keys: PlatformKeys, simulator: Simulator) -> Settings:
    """For what calls Graph or keeps objects, and has no database."""
    return Settings(
        database_url="postgresql://nobody@localhost/none",
        request_database_url="postgresql://nobody@localhost/none",
        kafka_bootstrap_servers="nowhere:9092",
        key_ring_dir=platform_keys.key_ring_dir,
        service_key_path=platform_keys.private / "storage.pem",
        service_public_keys_dir=platform_keys.public,
        jwt_issuer="https://issuer.example",
        jwt_jwks_url="https://issuer.example/jwks",
        graph_base_url=f"{simulator.settings.http_base_url}/v1.0",
        graph_hosts=[urlsplit(other_url(simulator)).netloc],
    )


@pytest.fixture
async def library(simulator: Simulator, microsoft: SimulatorClient, settings: Settings) -> AsyncIterator[Library]:
    site = await microsoft.do("site_add", tenant="contoso.example", name="Sales")
    await microsoft.do("site_grant", site="/sites/Sales", role="write")
    await microsoft.do("file_put", drive="Sales", path="Prospo/read me.txt", text="not ours")
    items = simulator.store.all(f"items/{site['drive']}")
    folder = Folder(site["drive"], next(row["id"] for row in items if row["name"] == "Prospo"))
    graph = Graph(settings, AppToken(simulator))

    async def at_once(_seconds: float) -> None:
        return None

    graph.sleep = at_once
    yield Library(simulator, microsoft, graph, folder)
    await graph.aclose()


@pytest.fixture
async def office(
    start_service: StartService,
    make_settings: MakeSettings,
    platform_keys: PlatformKeys,
    simulator: Simulator,
    microsoft: SimulatorClient,
    tmp_path: Path,
) -> AsyncIterator[Office]:
    await microsoft.do("site_add", tenant="contoso.example", name="Sales")
    await microsoft.do("file_put", drive="Sales", path="Recordings/read me.txt", text="not ours")
    async with serving(tenant_connector(simulator)) as url:
        more = {"internal_url": url + "/{service}", "graph_base_url": f"{simulator.settings.http_base_url}/v1.0"}
        more |= {"graph_hosts": [urlsplit(other_url(simulator)).netloc], "object_store_dir": tmp_path / "files"}
        service = await start_service(
            create_service, Settings, "storage", client_id=simulator.settings.client_id, **more
        )
        ingest = ServiceTokens(make_settings(Settings, "recording-ingest"), "recording-ingest")
        yield Office(service, platform_keys, ingest, simulator, microsoft)
