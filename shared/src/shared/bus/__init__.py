"""Kafka behind a narrow port. ``shared.bus.kafka`` is imported when a bus is opened, never in an api process."""

from collections.abc import Mapping
from typing import Any

from shared.bus.memory import MemoryBus
from shared.bus.port import Bus, BusConsumer, BusUnavailable, Record


def open_bus(bootstrap_servers: str, client_id: str = "prospo", security: Mapping[str, Any] | None = None) -> Bus:
    """Open the bus that a setting names: ``memory:`` for tests, otherwise Kafka."""
    if bootstrap_servers == "memory:":
        return MemoryBus()
    from shared.bus.kafka import KafkaBus

    return KafkaBus(bootstrap_servers, client_id, security)


__all__ = ["Bus", "BusConsumer", "BusUnavailable", "MemoryBus", "Record", "open_bus"]
