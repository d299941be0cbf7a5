"""After the main job, every public route is walked with the real ids by people whom they are not for."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from m365_simulator.client import SimulatorClient

from .conftest import ROOT, RunningPlatform
from .test_main_job import as_persona, demo_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STRANGERS = ["globex-carl", "globex-admin", "acme-ben"]


def routes() -> Iterator[tuple[str, str]]:
    """Method and path template of every public operation that names something by its id."""
    for path in sorted((ROOT / "contracts/openapi").glob("*.json")):
        for template, methods in json.loads(path.read_text())["paths"].items():
            if "{" in template and not template.startswith("/v1/uploads/"):
                yield from ((method.upper(), template) for method in methods)


def ids_of(meeting: dict[str, Any]) -> dict[str, str]:
    """Path parameter → Anna's real id."""
    return {
        "meeting_id": meeting["id"],
        "transcript_id": meeting["transcript"]["content_url"].rsplit("/", 1)[1],
        "file_id": meeting["recording"]["content_url"].split("/")[3],
    }


async def test_nobody_else_finds_the_meeting_its_recording_or_its_transcript(platform: RunningPlatform) -> None:
    described = platform.start()
    await asyncio.to_thread(demo_lines, platform)
    (meeting,) = (await as_persona(described, "acme-anna", "/v1/meetings"))["items"]
    ids = ids_of(meeting)
    walked: set[str] = set()
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        tokens = {persona: await microsoft.prospo_token(persona) for persona in STRANGERS}
    async with httpx.AsyncClient(base_url=described["url"], trust_env=False) as http:
        for method, template in routes():
            path = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], template)
            for token in tokens.values():
                headers = {"Authorization": f"Bearer {token}"}
                answer = await http.request(method, path, headers=headers, json={} if method != "GET" else None)
                assert answer.status_code == 404, f"{method} {template}: {answer.status_code} {answer.text}"
            walked.add(template)
    assert {"/v1/meetings/{meeting_id}", "/v1/transcripts/{transcript_id}", "/v1/files/{file_id}/content"} <= walked


def secrets_at_rest(folder: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))


async def test_the_log_of_the_main_job_holds_no_secret(platform: RunningPlatform) -> None:
    described = platform.start()
    await asyncio.to_thread(demo_lines, platform)
    async with SimulatorClient(described["simulator_url"]) as microsoft:
        state = await microsoft.state()
    secrets = [row["clientState"] for row in state["subscriptions"]]
    assert len(secrets) >= 2
    written = secrets_at_rest(platform.state)
    assert "partitions assigned" in written
    assert [secret for secret in secrets if secret in written] == []
    assert re.search(r"eyJ[\w-]{8,}\.[\w-]+\.", written) is None
    assert re.search(r"[?&]code=1\.", written) is None
