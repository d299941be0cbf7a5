"""The outbox: an event is a row of the business transaction, so it exists exactly when the change does.

Guarantee: a committed event is published at least once, in commit order per key as far as one transaction follows
another; a rolled-back one never. The relay (``shared.relay``) publishes and deletes after the broker's acknowledgement.
"""

import json
import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opentelemetry.propagate import inject
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from shared.events import Event

TYPE_PREFIX = "com.prospo.m365."
MAX_PAYLOAD_BYTES = 64 * 1024

DDL = [
    """CREATE TABLE IF NOT EXISTS outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL,
        key text NOT NULL, headers jsonb NOT NULL, payload bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    """CREATE TABLE IF NOT EXISTS outbox_sent (
        id bigint PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL, key text NOT NULL, headers jsonb NOT NULL,
        payload bytea NOT NULL, sent_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
]

_INSERT = text(
    """INSERT INTO outbox (event_id, topic, key, headers, payload)
       SELECT CAST(e.row->>'event_id' AS uuid), e.row->>'topic', e.row->>'key', e.row->'headers',
              convert_to(e.row->>'payload', 'UTF8')
       FROM jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY AS e(row, place) ORDER BY e.place"""
)


@dataclass(frozen=True, slots=True)
class EventMeta:
    """What a consumed record's headers say about it."""

    id: str
    topic: str
    key: str
    time: datetime
    org_id: str
    aggregate_version: int
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random; sorts by time."""
    value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    return str(uuid.UUID(int=value & ~(0x3 << 62) | (0x2 << 62)))


class Outbox:
    """Collects the events of one transaction; the unit of work flushes them before it commits."""

    def __init__(self, session: AsyncSession, *, source: str, cause: EventMeta | None = None) -> None:
        self._session = session
        self._source = source
        self._cause = cause
        self._rows: list[dict[str, Any]] = []

    def add(self, event: Event) -> str:
        """Publish ``event`` if this transaction commits. Returns its ``ce_id``. ``ValueError`` above 64 KiB."""
        payload = event.model_dump_json()
        if len(payload.encode()) > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"{event.topic} is larger than {MAX_PAYLOAD_BYTES} bytes; put ids in events, not contents."
            )
        event_id = uuid7()
        headers = self._headers(event, event_id)
        self._rows.append(
            {"event_id": event_id, "topic": event.topic, "key": event.key, "headers": headers, "payload": payload}
        )
        return event_id

    @property
    def pending(self) -> bool:
        return bool(self._rows)

    async def flush(self) -> None:
        """Write the collected rows in one statement."""
        if self._rows:
            rows, self._rows = self._rows, []
            await self._session.execute(_INSERT, {"rows": json.dumps(rows)})

    def _headers(self, event: Event, event_id: str) -> dict[str, str]:
        cause = self._cause
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_type": f"{TYPE_PREFIX}{event.topic}.v1",
            "ce_source": f"/{self._source}",
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_subject": event.key,
            "ce_orgid": event.org_id,
            "ce_partitionkey": event.key,
            "ce_aggregateversion": str(event.aggregate_version),
            "ce_correlationid": cause.correlation_id if cause else event_id,
            "content-type": "application/json",
        }
        if cause:
            headers["ce_causationid"] = cause.id
        inject(headers)
        if cause and cause.traceparent:
            headers.setdefault("traceparent", cause.traceparent)
        return headers
