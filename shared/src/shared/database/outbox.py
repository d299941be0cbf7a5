"""The outbox: an event is a row of the business transaction, so it exists exactly when the change does.

Guarantee: a committed event is published at least once, in commit order per key as far as one transaction follows
another; a rolled-back one never. The relay (``shared.eventing.relay``) publishes, and deletes after the broker's
acknowledgement. A row the broker refuses for good is parked (``parked_at``, ``last_error``) with the later ones of
its key.
A tombstone is a row without payload: on a compacted topic it makes Kafka forget the key.
"""

import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
from opentelemetry.propagate import inject

from shared.events import Event, schema_id

TYPE_PREFIX = "com.prospo.m365."
MAX_PAYLOAD_BYTES = 64 * 1024

DDL = [
    """CREATE TABLE IF NOT EXISTS outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL,
        key text NOT NULL, headers jsonb NOT NULL, payload bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        attempts integer NOT NULL DEFAULT 0, parked_at timestamptz, last_error text,
        CONSTRAINT outbox_payload_size CHECK (octet_length(payload) <= 65536 OR topic LIKE 'dlq.%'))
        WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
              autovacuum_vacuum_cost_delay = 0)""",
    "CREATE INDEX IF NOT EXISTS outbox_parked ON outbox (topic, key) WHERE parked_at IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS outbox_sent (
        id bigint PRIMARY KEY, event_id uuid NOT NULL, topic text NOT NULL, key text NOT NULL, headers jsonb NOT NULL,
        payload bytea NOT NULL, sent_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX IF NOT EXISTS outbox_sent_age ON outbox_sent (sent_at)",
    "CREATE INDEX IF NOT EXISTS outbox_sent_states ON outbox_sent (topic, key, id) WHERE topic LIKE '%.state'",
]

INSERT = """INSERT INTO outbox (event_id, topic, key, headers, payload)
    VALUES ($1::uuid, $2, $3, $4::jsonb, $5)"""
"""For ``Row``, in the driver's own words."""


@dataclass(frozen=True, slots=True)
class EventMeta:
    """Metadata of a consumed record, read from its headers."""

    id: str
    topic: str
    key: str
    time: datetime
    org_id: str
    aggregate_version: int
    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


class Cause(NamedTuple):
    """The cause of a job, kept in its row: the ``ce_id`` of the event, and the correlation id of the chain.

    A notification of Microsoft is no event: what it leads to has the id of the request that brought it, and no cause.
    """

    id: str | None
    correlation_id: str
    traceparent: str | None = None


_TIMED = 7


def uuid7() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, 12 of their fraction (its method 3), then random.

    So ids that one process makes one after another sort in that order, also those of one transaction.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds << 80) | (0x7 << 76) | (rest_ns * 4096 // 1_000_000 << 64)
    digits = f"{value | (0x2 << 62) | (int.from_bytes(os.urandom(8), 'big') >> 2):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def made_at(id_: str) -> datetime | None:
    """When a UUIDv7 was made, to the millisecond; None of an id that is none."""
    try:
        value = uuid.UUID(id_)
    except ValueError:
        return None
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == _TIMED else None


class Row(NamedTuple):
    """A row to insert, in the order of the outbox's columns."""

    event_id: str
    topic: str
    key: str
    headers: str
    payload: bytes


class Outbox:
    """Collects the events of one unit of work; its transaction writes them before it commits."""

    def __init__(self, *, source: str, cause: EventMeta | Cause | None = None) -> None:
        self._source = source
        self._cause = cause
        self.rows: list[Row] = []

    def add(self, event: Event) -> str:
        """Publish ``event`` if this transaction commits. Returns its ``ce_id``. ``ValueError`` above 64 KiB."""
        payload = event.model_dump_json().encode()
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(
                f"{event.topic} is larger than {MAX_PAYLOAD_BYTES} bytes; put ids in events, not contents."
            )
        more = {
            "ce_aggregateversion": str(event.aggregate_version),
            "content-type": "application/json",
            "ce_dataschema": schema_id(event.topic),
        }
        return self._add(event.topic, event.org_id, event.key, more, payload)

    def cause_of(self, event_id: str | None) -> Cause | None:
        """The cause for a job: the event of this unit of work with this ``ce_id``, else the cause of that."""
        cause = self._cause
        if event_id is not None:
            return Cause(event_id, cause.correlation_id if cause else event_id)
        return Cause(cause.id, cause.correlation_id) if cause else None

    def bury(self, kind: type[Event], org_id: str, key: str) -> str:
        """Publish a tombstone for an erased aggregate of a state topic: its key, and null in the place of its state."""
        return self._add(kind.topic, org_id, key, {}, b"")

    def _add(self, topic: str, org_id: str, key: str, more: dict[str, str], payload: bytes) -> str:
        event_id = uuid7()
        headers = orjson.dumps(self._headers(topic, org_id, key, event_id) | more).decode()
        self.rows.append(Row(event_id, topic, key, headers, payload))
        return event_id

    def _headers(self, topic: str, org_id: str, key: str, event_id: str) -> dict[str, str]:
        cause = self._cause
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_type": f"{TYPE_PREFIX}{topic}.v1",
            "ce_source": f"/{self._source}",
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_subject": key,
            "ce_orgid": org_id,
            "ce_partitionkey": key,
            "ce_correlationid": cause.correlation_id if cause else event_id,
        }
        if cause and cause.id is not None:
            headers["ce_causationid"] = cause.id
        inject(headers)
        if cause and cause.traceparent:
            headers.setdefault("traceparent", cause.traceparent)
        return headers
