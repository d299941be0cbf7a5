"""JSON logs without secrets, traces and metrics by OTLP.

What sends them is imported where a setting asks for it: the exporters take a tenth of a start.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from shared.problems import ConfigurationError

_SECRET_NAMES = re.compile(
    r"token|secret|password|authorization|cookie|verifier|client_state|upload_url|^code$", re.IGNORECASE
)
_JWT_BEGINS = "eyJ"
_JWT_HEADER_MIN = 11
_MAY_BE_JWT = re.compile(r"[A-Za-z0-9_.-]+")
_REDACTED = "[redacted]"
_DEEPEST = 8
"""Values nested deeper than this in a field are not searched for secrets, so they are not written."""
TALKATIVE = ("httpx", "httpcore", "msal", "aiokafka", "urllib3", "uvicorn.access")  # httpx logs whole URLs


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what is named like a secret or looks like a token, also within a field."""
    for name, value in event.items():
        event[name] = _redacted(name, value, _DEEPEST)
    return event


def _redacted(name: str, value: Any, deeper: int) -> Any:
    if _SECRET_NAMES.search(name):
        return _REDACTED
    if isinstance(value, str):
        return _MAY_BE_JWT.sub(_without_jwt, value) if _JWT_BEGINS in value else value
    if not isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return value
    if deeper == 0:
        return _REDACTED
    if isinstance(value, Mapping):
        return {key: _redacted(str(key), item, deeper - 1) for key, item in value.items()}
    return [_redacted("", item, deeper - 1) for item in value]


def _without_jwt(run: re.Match[str]) -> str:
    """A run of what tokens are made of, up to the token in it: three parts, the first of which begins as JSON does."""
    parts = run[0].split(".")
    for number, part in enumerate(parts[:-2]):
        begins = part.find(_JWT_BEGINS)
        if 0 <= begins <= len(part) - _JWT_HEADER_MIN and parts[number + 1]:
            return ".".join([*parts[:number], part[:begins] + _REDACTED])
    return run[0]


def _trace_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = format(span.trace_id, "032x")
    return event


def set_up_logs(level: str, stream: TextIO | None = None) -> None:
    """One JSON object a line on ``stream`` (standard output unless given), also what libraries log."""
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        _trace_ids,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    render: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    render.append(structlog.processors.JSONRenderer())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=chain, processors=render))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class WithoutAddresses(SpanProcessor):
    """FastAPI notes path and query of every request, and both hold secrets: an upload's token, Microsoft's code.

    ``http.route``, and the span's name, still say which route it was.
    """

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        for name in {"url.path", "url.query"} & (span.attributes or {}).keys():
            span.set_attribute(name, _REDACTED)


def set_up_traces(service: str, endpoint: str | None) -> TracerProvider:
    """A tracer provider of the service; spans leave by OTLP when ``endpoint`` is set."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(WithoutAddresses())
    if endpoint:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider


def set_up_metrics(service: str, port: int | None, endpoint: str | None, host: str = "127.0.0.1") -> MeterProvider:
    """A meter provider of the service: Prometheus reads ``port``, OTLP goes to ``endpoint``, each when it is set.

    Raises ``ConfigurationError`` when the port is taken.
    """
    readers: list[MetricReader] = []
    if port is not None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import start_http_server

        readers.append(PrometheusMetricReader(scope_info_enabled=False))
        try:
            start_http_server(port, host)
        except OSError as error:
            raise ConfigurationError(f"PROSPO_METRICS_PORT {port} cannot be listened on: {error.strerror}.") from error
    if endpoint:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint.rstrip('/')}/v1/metrics")))
    provider = MeterProvider(readers, Resource.create({"service.name": service}))
    metrics.set_meter_provider(provider)
    return provider
