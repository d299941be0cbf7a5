"""CloudEvents 1.0 on Kafka: binary mode out (the outbox writes its headers), both modes in."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from shared.bus.port import Record
from shared.database.outbox import EventMeta
from shared.events import Event

STRUCTURED = "application/cloudevents+json"


class Undecodable(Exception):
    """The record is not an event of the expected type; the message says why. It goes to the dead letters."""


def decode(record: Record, kind: type[Event]) -> tuple[Any, EventMeta]:
    """Read the event and its metadata. Raises ``Undecodable``."""
    try:
        attributes, data = _parts(record)
        event = kind.model_validate(data)
        return event, _meta(record, attributes, event)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Undecodable(f"{record.topic}: {error}"[:1000]) from error


def _parts(record: Record) -> tuple[dict[str, str], Any]:
    if record.headers.get("content-type", "").startswith(STRUCTURED):
        whole = json.loads(record.value)
        return {name: str(value) for name, value in whole.items() if name != "data"}, whole["data"]
    attributes = {name[3:]: value for name, value in record.headers.items() if name.startswith("ce_")}
    return attributes, json.loads(record.value)


def _meta(record: Record, attributes: dict[str, str], event: Event) -> EventMeta:
    identity = attributes["id"]
    return EventMeta(
        id=identity,
        topic=record.topic,
        key=record.key,
        time=datetime.fromisoformat(attributes["time"]) if "time" in attributes else datetime.now(UTC),
        org_id=event.org_id,
        aggregate_version=event.aggregate_version,
        correlation_id=attributes.get("correlationid", identity),
        causation_id=attributes.get("causationid"),
        traceparent=record.headers.get("traceparent") or attributes.get("traceparent"),
    )
