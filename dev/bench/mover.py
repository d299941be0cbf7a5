"""``python -m dev.bench.mover <settings>``: a worker's process for B6. Each line says what to move and is answered."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

from dev.bench.town import Process
from recording_ingest.settings import Settings
from recording_ingest.transfers import move
from recording_ingest.uploads import StorageClient, Wanted
from shared.entra.tokens import OneToken
from shared.graph import Graph
from shared.web.identity import ServiceTokens


async def _saved(_checkpoint: dict[str, Any]) -> None:
    """The job's checkpoint is not part of the benchmark."""


async def serve(settings: Settings) -> None:
    graph = Graph(settings, OneToken("bench"))
    storage = StorageClient(settings, ServiceTokens(settings, "recording-ingest"))
    caller, process = graph.as_user("acme", "anna"), Process("self", "")
    idle_mb = process.memory_mb()
    while line := await asyncio.to_thread(sys.stdin.readline):
        wanted = json.loads(line)
        said: dict[str, Any] = {"grown_mb": process.memory_mb("VmHWM") - idle_mb}
        if size := wanted.get("size"):
            one = Wanted("acme", uuid.uuid4().hex, "bench.mp4", "video/mp4", "anna", "bench.mp4")
            stored = await move(_saved, {}, caller, f"/content/{size}", storage, one)
            assert stored.size_bytes == size
        print(json.dumps(said), flush=True)
    await storage.aclose()
    await graph.aclose()


def main() -> None:
    asyncio.run(serve(Settings(**json.loads(Path(sys.argv[1]).read_text()))))


if __name__ == "__main__":
    main()
