"""Kafka behind a narrow port. ``shared.bus.kafka`` is loaded by who opens it: an api process never does."""

from collections.abc import Mapping
from typing import Any

from shared.bus.memory import MemoryBus
from shared.bus.port import Bus, BusConsumer, BusUnavailable, Record


def open_bus(bootstrap_servers: str, client_id: str = "prospo", security: Mapping[str, Any] | None = None) -> Bus:
    """The bus of a setting: ``memory:`` for tests, otherwise Kafka."""
    if bootstrap_servers == "memory:":
        return MemoryBus()
    from shared.bus.kafka import KafkaBus

    return KafkaBus(bootstrap_servers, client_id, security)


__all__ = ["Bus", "BusConsumer", "BusUnavailable", "MemoryBus", "Record", "open_bus"]
