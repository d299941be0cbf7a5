"""Every knob of the tenant-connector."""

from typing import Annotated

from pydantic import Field

from shared.clouds import ARTEFACT_PERMISSIONS
from shared.settings import PerHour, ServiceSettings


class Settings(ServiceSettings):
    """Environment variables with the prefix ``PROSPO_``."""

    consent_attempt_life_s: int = 600
    """How long the trip to Microsoft may take, from its start to the end of the administrator's sign-in."""
    consent_link_life_s: int = 7 * 86_400
    """How long a link holds that lets an administrator of Microsoft 365 consent without a Prospo account."""
    sign_in_patience_s: float = 30
    """How long after a consent its sign-in is begun again while Microsoft does not know the consent yet."""
    sign_in_pause_s: float = 5
    """Between two such sign-ins; a browser follows about twenty redirects without a page between them."""
    browse_life_s: int = 900
    """How long an Org Admin who signed in for it may browse SharePoint; then its token is deleted."""
    administrator_roles: frozenset[str] = frozenset(
        {
            "62e90394-69f5-4237-9190-012177145e10",  # Global Administrator
            "e8611ab8-c189-46e8-94e1-60213ab1f814",  # Privileged Role Administrator
        }
    )
    """Directory roles (template ids) of which the person who signs in after the consent must have one."""
    consents_per_hour: PerHour = 60
    """How often an organisation may set out for Microsoft's consent pages, and how often it may make a link."""
    browse_calls_per_hour: PerHour = 1200
    """How many lists of teams, sites or folders a person may ask for while choosing a place."""
    link_calls_per_hour: PerHour = 120
    """How often one consent link may be used in any way; each trip to Microsoft and back takes four calls."""
    proof_patience_s: float = 600
    """From Microsoft's first answer on: how long a consent may take to be in force before the connection has failed."""
    proof_retry_s: float = 1
    """The first pause before Microsoft is asked again; later ones grow with the time already waited, up to 15 s."""
    required_roles: frozenset[str] = frozenset(
        {"Organization.Read.All", "OnlineMeetingRecording.Read.All", "OnlineMeetingTranscript.Read.All"}
    )
    """Application permissions the platform cannot do without; the proof looks for them in the token."""
    look_after_every_s: float = 86_400
    """How often each connected tenant is asked whether it still knows the application; spread by a tenth."""
    gone_confirm_s: float = 3_600
    """A tenant that Microsoft's sign-in does not know is disconnected when it says so again after this."""
    leave_within_s: int = 600
    """How long, after a disconnect, people's tokens may serve to remove what Prospo set at Microsoft."""
    readiness_first_check_s: float = 5
    """From the connecting of a tenant, or of its first person, to the first check of the readiness board."""
    readiness_propagation_s: float = 3_000
    """How long what an administrator changed may take until all of Microsoft knows it; about 50 min were observed."""
    readiness_waiting_every_s: float = 240
    """How often the board is checked while something waits for Microsoft."""
    readiness_retry_s: float = 900
    """When a check that brought no answer is made again, or one that found the notification address out of reach."""
    readiness_check_pause_s: float = 30
    """People may ask for a check of the board once in so long."""
    readiness_confirm_s: float = 60
    """A notification address that Microsoft does not reach is red when it is not reached again after this."""
    readiness_people: Annotated[int, Field(ge=2, le=200)] = 20
    """At most so many people's licences and mailboxes are looked at in one check. Half of the places are for those who
    lack something; the longest unseen have the others."""
    readiness_probe_timeout_s: float = 60
    """A probe of the board that lasts longer brought no answer."""
    readiness_notified_service: str = "recording-ingest"
    """The service whose public address for notifications the readiness board tries: recordings are late without it."""
    teams_plans: frozenset[str] = frozenset({"teamspaceapi"})
    """Services of a person's assigned plans that stand for Teams, in lower case. Unproven, hence a setting."""
    exchange_plans: frozenset[str] = frozenset({"exchange"})
    """Services of a person's assigned plans that stand for a mailbox, in lower case."""

    @property
    def required_roles_there(self) -> frozenset[str]:
        """Without those that the cloud does not have."""
        return self.required_roles if self.microsoft.artefacts else self.required_roles - ARTEFACT_PERMISSIONS
