"""Kafka behind a narrow port. ``shared.bus.kafka`` is imported when a bus is opened, never in an api process."""

from shared.bus.port import Bus, BusConsumer, BusUnavailable, Record

__all__ = ["Bus", "BusConsumer", "BusUnavailable", "Record"]
