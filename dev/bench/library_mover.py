"""``python -m dev.bench.library_mover <what>``: sends files into a library. Each line names a size, and is answered."""

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from dev.bench.town import Process
from recording_ingest.transfers import steady
from shared.entra.tokens import OneToken
from shared.graph import Graph
from shared.graph.quickxor import BothHashes
from shared.settings import ServiceSettings
from shared.telemetry import set_up_logs
from storage.automaton import Folder, State, Upload


def _graph(what: dict[str, Any], base_url: str) -> Graph:
    nowhere = Path("nowhere")
    settings = ServiceSettings(
        database_url="postgresql://nobody@localhost/none",
        request_database_url="postgresql://nobody@localhost/none",
        kafka_bootstrap_servers="nowhere:9092",
        key_ring_dir=nowhere,
        service_key_path=nowhere,
        service_public_keys_dir=nowhere,
        jwt_issuer="https://issuer.example",
        jwt_jwks_url="https://issuer.example/jwks",
        graph_base_url=base_url,
        graph_hosts=[what["other_host"]],
    )
    return Graph(settings, OneToken(what["token"]))


async def serve(what: dict[str, Any]) -> None:
    library, recordings = _graph(what, what["graph"]), _graph(what, what["source"])
    process = Process("self", "")
    idle_mb = process.memory_mb()
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted = json.loads(line)
        if size := wanted.get("size"):
            await _send(library, recordings, Folder(what["drive"], what["folder"]), size, what["chunk"])
        print(json.dumps({"grown_mb": process.memory_mb("VmHWM") - idle_mb}), flush=True)
    await library.aclose()
    await recordings.aclose()


async def _send(library: Graph, recordings: Graph, folder: Folder, size: int, chunk: int) -> None:
    caller = recordings.as_user("acme", "anna")

    def source(position: int) -> AsyncGenerator[bytes, None]:
        return steady(caller, f"/content/{size}", position, size)

    async def kept(_before: State, _now: State) -> None:
        """The row is not part of the benchmark."""

    name = uuid.uuid4().hex
    upload = Upload(library.as_app("acme"), folder, name, f"2026/11/{name}.mp4", size, State(), kept, chunk=chunk)
    item = await upload.deliver(source, BothHashes())
    assert item["size"] == size


if __name__ == "__main__":
    set_up_logs("ERROR")  # what is printed is read as an answer
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
