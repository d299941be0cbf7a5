"""Every knob of the tenant-connector."""

from shared.clouds import ARTEFACT_PERMISSIONS
from shared.settings import PerHour, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    consent_attempt_life_s: int = 600
    """How long an Org Admin has for Microsoft's consent pages."""
    consents_per_hour: PerHour = 60
    """How often an organisation may set out for Microsoft's consent pages."""
    proof_patience_s: float = 600
    """How long a consent may take to be in force at Microsoft before the connection is said to have failed."""
    proof_retry_s: float = 1
    """The first pause before Microsoft is asked again; later ones grow with the time already waited, up to 15 s."""
    required_roles: frozenset[str] = frozenset(
        {"Organization.Read.All", "OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All"}
    )
    """Application permissions the platform cannot do without; the proof looks for them in the token."""

    @property
    def required_roles_there(self) -> frozenset[str]:
        """Without those that the cloud does not have."""
        return self.required_roles if self.microsoft.artefacts else self.required_roles - ARTEFACT_PERMISSIONS
