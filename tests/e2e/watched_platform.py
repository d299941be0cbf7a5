"""The embedded platform with everything written down: logs from DEBUG on, spans, metrics, and on "dump" every table.

Beside it, what no reader may find there: each secret that went to the simulated Microsoft or came from it.
"""

import asyncio
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from sqlalchemy import text

import dev.embedded.platform as embedded
from dev.embedded.platform import Platform
from m365_simulator import create_simulator
from shared.hosting.service import Service
from shared.telemetry import set_up_logs, set_up_traces

IN_QUERY = {"code", "state", "nonce", "code_verifier", "client_secret", "client_assertion", "refresh_token"}
IN_JSON = re.compile(rb'"(access_token|refresh_token|id_token|clientState|uploadUrl|browser_key)"\s*:\s*"([^"]{12,})"')
IN_ADDRESS = {"upload_url": re.compile(rb"/v1/uploads/([\w-]{12,})"), "link": re.compile(rb"/grant#([\w.-]{12,})")}
"""The token in an address of our own, wherever it is told: what is seen may hold it without the address around it."""


class Witness:
    """ASGI, in front of Microsoft, the gateway and the services: keeps the secrets of every request and answer."""

    def __init__(self, app: Any, kept: Path) -> None:
        self.app = app
        self.kept = kept.open("a", buffering=1)

    def keep(self, name: str, value: str) -> None:
        self.kept.write(json.dumps([name, value]) + "\n")

    def keep_query(self, query: str) -> None:
        for name, value in parse_qsl(query):
            if name in IN_QUERY and len(value) >= 12:
                self.keep(name, value)

    def keep_body(self, body: bytes) -> None:
        for name, value in IN_JSON.findall(body):
            self.keep(name.decode(), json.loads(b'"' + value + b'"'))
        for kind, pattern in IN_ADDRESS.items():
            for token in pattern.findall(body):
                self.keep(kind, token.decode())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        self.keep_query(scope["query_string"].decode())
        if headers.get(b"authorization", b"").startswith(b"Bearer "):
            self.keep("access_token", headers[b"authorization"].decode().removeprefix("Bearer "))
        form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")

        async def received() -> Any:
            message = await receive()
            body = message.get("body", b"")
            self.keep_query(body.decode()) if form else self.keep_body(body[:100_000])
            return message

        async def sent(message: Any) -> None:
            for name, value in message.get("headers", []):
                if name == b"location":
                    self.keep_query(urlsplit(value.decode()).query)
                    if b"/download" in value:
                        self.keep("download", value.decode())
            self.keep_body(message.get("body", b"")[:100_000])
            await send(message)

        return await self.app(scope, received, sent)


def watch(kept: Path) -> None:
    """Everything that the platform puts a listener before from now on has a witness before it."""

    def simulator(settings: Any) -> Any:
        made = create_simulator(settings)
        made.app = Witness(made.app, kept)  # type: ignore[assignment]
        return made

    embedded.create_simulator = simulator
    for name in ("Gateway", "InternalDispatcher"):
        kind = getattr(embedded, name)
        setattr(embedded, name, lambda *args, kind=kind: Witness(kind(*args), kept))


async def dump(service: Service, into: Path) -> None:
    """Every row of every table, as text; bytes are hexadecimal."""
    async with service.db.system_work() as work:
        tables = await work.session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        with into.open("a") as written:
            for (table,) in tables:
                rows = await work.session.execute(text(f'SELECT t::text FROM "{table}" t'))
                written.writelines(f"{service.name} {table} {row}\n" for (row,) in rows)


async def main(state: Path, port: int, leak: str) -> None:
    set_up_logs("DEBUG", (state / "seen-log.txt").open("a", buffering=1))
    spans, figures = ((state / f"seen-{name}.txt").open("a", buffering=1) for name in ("spans", "metrics"))
    set_up_traces("platform", None).add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=spans)))
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=figures), export_interval_millis=2000)
    metrics.set_meter_provider(MeterProvider([reader]))
    watch(state / "secrets.jsonl")
    platform = Platform(state, port)
    await platform.start()
    print("done", flush=True)  # noqa: T201 - what the parent waits for
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if line == "leak":
            secrets = [json.loads(kept) for kept in (state / "secrets.jsonl").read_text().splitlines()]
            found = next(value for name, value in secrets if name == leak)
            logging.getLogger("planted").warning("Microsoft said %s.", found)
        for service in platform.services:
            if hasattr(service, "db") and service.name != "console":
                await dump(service, state / "seen-rows.txt")
        print("done", flush=True)  # noqa: T201 - what the parent waits for
    await platform.stop()
    metrics.get_meter_provider().shutdown()  # type: ignore[attr-defined]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), "refresh_token"))
