"""The embedded platform: engines, services, simulator and gateway in one process."""
