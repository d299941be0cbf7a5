"""What a request's address held does not leave with its span."""

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import telemetry


async def test_the_code_and_state_of_a_callback_are_not_in_its_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry.trace, "set_tracer_provider", lambda _: None)
    provider, exporter = telemetry.set_up_traces("console", None), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = FastAPI(telemetry={"tracer_provider": provider})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as http:
        await http.get("/callback", params={"code": "the-code", "state": "the-state"})
    (told,) = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    assert told["url.path"] == "/callback"
    assert told["url.query"] == "[redacted]"
