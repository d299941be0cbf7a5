"""Every knob of the tenant-connector."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    consent_attempt_life_s: int = 600
    """How long the trip to Microsoft may take, from its start to the end of the administrator's sign-in."""
    consent_link_life_s: int = 7 * 86_400
    """How long a link holds that lets an administrator of Microsoft 365 consent without a Prospo account."""
    administrator_roles: frozenset[str] = frozenset(
        {
            "62e90394-69f5-4237-9190-012177145e10",  # Global Administrator
            "e8611ab8-c189-46e8-94e1-60213ab1f814",  # Privileged Role Administrator
            "158c047a-c907-4556-b7ef-446551a6b5f7",  # Cloud Application Administrator
            "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",  # Application Administrator
        }
    )
    """Directory roles (template ids) of which the person who signs in after the consent must have one."""
    proof_patience_s: float = 600
    """How long a consent may take to be in force at Microsoft before the connection is said to have failed."""
    proof_retry_s: float = 1
    """The first pause before Microsoft is asked again; later ones grow with the time already waited, up to 15 s."""
    required_roles: frozenset[str] = frozenset(
        {"Organization.Read.All", "OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All"}
    )
    """Application permissions the platform cannot do without; the proof looks for them in the token."""
