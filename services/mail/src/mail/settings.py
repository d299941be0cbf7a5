"""Every knob of the mail service."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""
