"""Every query of the dashboards, put to a real Prometheus that reads the services while they do the main job."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from m365_simulator import Simulator
from shared.database import watch
from shared.telemetry import set_up_metrics
from shared.testing.databases import Databases
from shared.testing.engines import free_port
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .in_process import InProcess, Journey

PROMETHEUS = shutil.which("prometheus")
CHART = Path(__file__).resolve().parents[2] / "deploy/helm/prospo-m365"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROMETHEUS is None, reason="needs Prometheus on the path (Debian's package prometheus)"),
]
LABELS = {"namespace": "there", "app_kubernetes_io_name": "all", "app_kubernetes_io_component": "worker"}
VARIABLES = {"$namespace": "there", "$service": ".*"}
PATIENCE_S = 60


class Measured(InProcess):
    """The services of the main job with their gauges; one process stands for all of them."""

    def __init__(self, *given: Any, port: int) -> None:
        super().__init__(*given)
        self.port = port

    def settings(self, name: str) -> Any:
        return super().settings(name).model_copy(update={"metrics_port": self.port})


@asynccontextmanager
async def prometheus(folder: Path, target: int) -> AsyncIterator[httpx.AsyncClient]:
    """Reads ``target`` twice a second."""
    scraped = {"targets": [f"127.0.0.1:{target}"], "labels": LABELS}
    jobs = [{"job_name": "prospo", "scrape_interval": "500ms", "scrape_timeout": "400ms", "static_configs": [scraped]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": jobs}))
    port = free_port()
    options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(str(PROMETHEUS), *options, cwd=folder, stdout=quiet, stderr=quiet)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


async def answer(http: httpx.AsyncClient, query: str) -> list[Any]:
    """The series of a query. Raises where Prometheus cannot read it."""
    said = await http.get("/api/v1/query", params={"query": query})
    assert said.status_code == 200, f"{query}: {said.text}"
    found: list[Any] = said.json()["data"]["result"]
    return found


async def until_answered(http: httpx.AsyncClient, query: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if await answer(http, query):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def queries() -> dict[str, str]:
    """By dashboard and panel."""
    found: dict[str, str] = {}
    for path in sorted((CHART / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                found[f"{path.stem}: {panel['title']} {target['refId']}"] = expression
    return found


async def test_prometheus_answers_every_query_of_the_dashboards(
    databases: Databases, platform_keys: PlatformKeys, simulator: Simulator, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0.5)
    port = free_port()
    set_up_metrics("prospo", port, None)
    place = Measured(databases, platform_keys, simulator, tmp_path, port=port)
    async with AsyncExitStack() as stack:
        place.url = await stack.enter_async_context(serving(place.gateway))
        place.internal_url = await stack.enter_async_context(serving(place.internal))
        await place.open()
        stack.push_async_callback(place.aclose)
        stack.push_async_callback(place.stop)
        http = await stack.enter_async_context(prometheus(tmp_path, port))
        await place.start()
        await Journey(place).run()
        await until_answered(http, 'connections{status="connected"} == 1')
        await until_answered(http, "rate(ingested_bytes_total[5m])")
        empty = [name for name, query in queries().items() if not await answer(http, query)]
        assert empty == []
        for rule in yaml.safe_load((CHART / "files/alerts.yaml").read_text()).values():
            await answer(http, rule["expr"].replace("OF", 'namespace="there"').replace("LIMIT", "1"))
