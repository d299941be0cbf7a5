"""What Microsoft's pages show of recordings and transcripts is understood."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_ingest.graph import Artefact, Kind, artefact, artefacts
from recording_ingest.transcripts import parse
from shared.graph import Graph, GraphCaller
from shared.testing.samples import Sample, samples
from shared.testing.scripted import CountedTokens, Reply, ScriptedServer, client_settings, scripted_server

JSON_TOPICS = ("callRecording", "callTranscript list", "callTranscript get", "getAll")
TEXT_TOPICS = ("callTranscript content", "callTranscript metadataContent")


def described(*topics: str) -> list[Any]:
    """Samples whose answer is a JSON object."""
    found = samples(*topics, responses=True)
    return [one for one in found if one.values[0] is None or isinstance(one.values[0].response.get("body"), dict)]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def anna(server: ScriptedServer, platform_keys: Any) -> AsyncIterator[GraphCaller]:
    graph = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    yield graph.as_user("acme", "anna")
    await graph.aclose()


def kind_of(body: dict[str, Any]) -> Kind:
    return "recording" if "recording" in json.dumps(body).lower() else "transcript"


def expected(item: dict[str, Any], found: Artefact) -> None:
    assert (found.graph_id, found.call_id) == (item["id"], item.get("callId"))
    assert found.content_correlation_id == item.get("contentCorrelationId")
    for name, moment in (("createdDateTime", found.created_at), ("endDateTime", found.ended_at)):
        if item.get(name):
            assert moment is not None
            assert moment.astimezone(UTC).isoformat(timespec="microseconds")[:23] == _padded(item[name])


def _padded(text: str) -> str:
    """To the millisecond, in UTC."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{re.sub('[^0-9].*', '', fraction):0<3}"[:23]


@pytest.mark.parametrize("sample", described(*JSON_TOPICS))
async def test_descriptions_are_read(server: ScriptedServer, anna: GraphCaller, sample: Sample) -> None:
    body = sample.response["body"]
    body = {name: value for name, value in body.items() if "Link" not in name}
    server.otherwise = Reply(json=body)
    kind = kind_of(body)
    if "value" in body:
        found = await artefacts(anna, "MSo1", kind)
        assert len(found) == len(body["value"])
        for item, one in zip(body["value"], found, strict=True):
            expected(item, one)
    else:
        expected(body, await artefact(anna, "MSo1", kind, body["id"]))


@pytest.mark.parametrize("sample", samples(*TEXT_TOPICS))
def test_what_was_said_is_read(sample: Sample) -> None:
    text = sample.text
    if sample.document:
        text = str((sample.response or {}).get("body") or "")
    found = parse(text)
    assert len(found) >= text.count("-->") > 0
    for line in found:
        assert line.text
        assert not re.search(r"-->|</?v\b|spokenText", line.text)
        assert line.start_ms <= line.end_ms
    if "<v " in text or '"speakerName"' in text:
        assert {line.speaker for line in found} - {None}


async def test_a_time_without_a_zone_is_utc(server: ScriptedServer, anna: GraphCaller) -> None:
    server.otherwise = Reply(json={"id": "1", "createdDateTime": "2026-03-01T10:00:00.1234567", "endDateTime": None})
    found = await artefact(anna, "MSo1", "recording", "1")
    assert found.created_at == datetime(2026, 3, 1, 10, 0, 0, 123456, UTC)
    assert found.ended_at is None
