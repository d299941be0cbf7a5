"""What a request's address held does not leave with its span."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import telemetry


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch, exporter: InMemorySpanExporter) -> httpx.AsyncClient:
    """A route with a token in its path, with the spans that a service has."""
    monkeypatch.setattr(telemetry.trace, "set_tracer_provider", lambda _: None)
    provider = telemetry.set_up_traces("storage", None)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI(telemetry={"tracer_provider": provider})
    app.add_api_route("/v1/uploads/{token}", lambda token: {})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://storage")


def told(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, Any]]]:
    return [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()]


async def test_the_code_and_state_of_a_callback_are_not_in_its_span(
    http: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    await http.get("/callback", params={"code": "the-code", "state": "the-state"})
    assert [attributes["url.query"] for _, attributes in told(exporter)] == ["[redacted]"]
    assert "the-" not in str(told(exporter))


async def test_a_token_in_a_path_is_not_in_its_span_which_still_names_the_route(
    http: httpx.AsyncClient, exporter: InMemorySpanExporter
) -> None:
    await http.get("/v1/uploads/the-token")
    await http.get("/v1/no-route/the-token")
    assert "the-token" not in str(told(exporter))
    assert "/v1/uploads/{token}" in [attributes.get("http.route") for _, attributes in told(exporter)]
    assert "GET /v1/uploads/{token}" in [name for name, _ in told(exporter)]
