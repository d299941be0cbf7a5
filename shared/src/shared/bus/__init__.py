"""Kafka behind a narrow port."""

from collections.abc import Mapping
from typing import Any

from shared.bus.kafka import KafkaBus
from shared.bus.memory import MemoryBus
from shared.bus.port import Bus, BusConsumer, BusUnavailable, Record


def open_bus(bootstrap_servers: str, client_id: str = "prospo", security: Mapping[str, Any] | None = None) -> Bus:
    """The bus of a setting: ``memory:`` for tests, otherwise Kafka."""
    return MemoryBus() if bootstrap_servers == "memory:" else KafkaBus(bootstrap_servers, client_id, security)


__all__ = ["Bus", "BusConsumer", "BusUnavailable", "KafkaBus", "MemoryBus", "Record", "open_bus"]
