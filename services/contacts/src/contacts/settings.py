"""Every knob of the contacts service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""
