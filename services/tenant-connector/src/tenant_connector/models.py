"""What the API reads and shows."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from shared.events import Features, LeftBehind
from shared.web.routes import Asked, StrictModel
from tenant_connector import leaving
from tenant_connector.tables import LeavingRow, TenantRow


class NewConsent(StrictModel):
    """Nothing to say: who and for whom is in the token."""


class ConsentStarted(BaseModel):
    """Send the browser to ``consent_url`` and keep ``browser_key`` in it, out of reach of scripts."""

    consent_url: str
    browser_key: str


class ConsentAnswer(Asked):
    """What Microsoft put on the callback's URL, and the browser's key.

    Fields that Microsoft may add are ignored: refusing them would leave the attempt open.
    """

    model_config = ConfigDict(extra="ignore")

    browser_key: str = ""
    state: str = ""
    tenant: str | None = None
    admin_consent: str | None = None
    scope: str | None = None
    error: str | None = None
    error_description: str | None = None
    error_subcode: str | None = None


class SignInAnswer(Asked):
    """What Microsoft put on the way back from a sign-in, and the browser's key; what it may add is ignored."""

    model_config = ConfigDict(extra="ignore")

    browser_key: str = ""
    state: str = ""
    code: str | None = None
    error: str | None = None
    error_description: str | None = None


class LinkConsentAnswer(ConsentAnswer):
    """The same on a trip that began with a link."""

    token: str = ""


class LinkSignInAnswer(SignInAnswer):
    """The same on a trip that began with a link."""

    token: str = ""


class LinkToken(StrictModel):
    """The part of a link's address that opens it."""

    token: Annotated[str, Field(max_length=1000)]


class NewConsentLink(StrictModel):
    """``tenant`` is a domain of the Microsoft 365 that may be connected with the link, or its tenant id."""

    tenant: Annotated[str, Field(max_length=253, examples=["contoso.com"])]


class ConsentLinkMade(BaseModel):
    """``url`` is told only now; who has it may connect ``tenant`` to this organisation until ``expires_at``, once."""

    url: str
    tenant: str
    expires_at: datetime


class ConsentLinkShown(BaseModel):
    """A link that may still be used, who made it, and the tenant as they named it."""

    made_by: str
    tenant: str
    expires_at: datetime


class Invitation(BaseModel):
    """What a link says to whoever opens it."""

    organisation: str
    invited_by: str
    tenant: str
    expires_at: datetime


class SignInStarted(BaseModel):
    """Send the browser on to ``sign_in_url``; it keeps its key."""

    sign_in_url: str


class Claimed(BaseModel):
    """The administrator has done everything; the proof runs on."""

    status: str


class FeaturesChange(StrictModel):
    """What is left out stays as it is."""

    outlook_email: StrictBool | None = None
    auto_recording: StrictBool | None = None
    contacts_import: StrictBool | None = None
    sharepoint_storage: StrictBool | None = None


class AppTokenWanted(StrictModel):
    """``refused`` is the SHA-256 (hex) of a token that Graph refused: another one is given.

    ``leaving``: of a connection that has ended, to remove what was set at Microsoft; until that is over.
    """

    org_id: Annotated[str, Field(min_length=1, max_length=200)]
    refused: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    leaving: StrictBool = False


class AppToken(BaseModel):
    access_token: str
    expires_at: datetime
    tid: str
    oid: None = None


class FeaturesShown(BaseModel):
    outlook_email: bool
    auto_recording: bool
    contacts_import: bool
    sharepoint_storage: bool


class ProblemShown(BaseModel):
    """``support_code`` is the id of the request that met it; ``number`` is Microsoft's (AADSTS), ``trace_id`` is what
    Microsoft's support finds it by."""

    code: str
    detail: str
    support_code: str | None = None
    number: int | None = None
    trace_id: str | None = None


class Tenant(BaseModel):
    """The organisation's connection to its Microsoft tenant; ``version`` is also the ETag."""

    status: str
    tid: str | None
    display_name: str | None
    features: FeaturesShown
    problem: ProblemShown | None
    connected_at: datetime | None
    connected_by: str | None
    storage_location: str | None
    version: int

    @classmethod
    def of(cls, row: TenantRow | None, org_id: str) -> Self:
        """As shown before anything happened, when there is no row."""
        shown = row or TenantRow(org_id=org_id, status="not_connected", features=Features().model_dump())
        return cls.model_validate(shown.model_dump(exclude={"leaving"}))


class Leaving(BaseModel):
    """What is removed at Microsoft after a disconnect: going on ``until`` then at the latest, or over.

    ``left`` stays there, with the reason and when the last of them ends by itself. Of ``people_unknown`` people not
    everything was told; with ``application_unknown`` not what became of what Prospo made as the application.
    """

    over: bool
    until: datetime
    people: int
    people_unknown: int
    application_unknown: bool
    removed: int
    left: list[LeftBehind]


class TenantNow(Tenant):
    """The connection; ``leaving`` while it is disconnected, after an Org Admin did that."""

    leaving: Leaving | None = None

    @classmethod
    def now(cls, row: TenantRow | None, org_id: str, leavers: list[LeavingRow]) -> Self:
        shown = cls.of(row, org_id)
        if row is not None and row.leaving is not None:
            shown.leaving = Leaving.model_validate(row.leaving | leaving.outcome(row, leavers))
        return shown


class ConsentTaken(Tenant):
    """The tenant, still as it was, and where the browser goes now: to the administrator's own sign-in."""

    sign_in_url: str
