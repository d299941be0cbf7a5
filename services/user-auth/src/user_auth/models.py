"""What the API reads and shows."""

import json
import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, model_validator

from shared.connections import Tenant
from shared.events import Features, LeftBehind
from shared.web.routes import Asked, Page, StrictModel
from user_auth import challenges, connections, leaving, permissions
from user_auth.permissions import FEATURES, PERMISSIONS, USES
from user_auth.tables import ConnectionRow

# Browsers read a backslash as a slash and skip control characters, so both could lead to another site.
_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f-\x9f]*")


def _own_path(value: str) -> str:
    if not _OWN_PATH.fullmatch(value):
        raise ValueError("must be a path on this site, such as /meetings/new")
    return value


def _claims_challenge(value: str) -> str:
    """The JSON of a claims challenge; ``shared.graph`` has taken it out of Graph's base64."""
    try:
        return json.dumps(challenges.read(value))
    except ValueError:
        raise ValueError("must be the JSON of a claims challenge") from None


Name = Annotated[str, Field(min_length=1, max_length=255)]
Secret = Annotated[str, Field(min_length=1, max_length=512)]
Answered = Annotated[str, Field(max_length=4096)]


FeatureName = Literal["outlook_email", "contacts_import", "auto_recording"]


class NewSignIn(StrictModel):
    """``return_to`` is a path on our own site; ``features`` are those to allow more for than the five permissions."""

    return_to: Annotated[str, Field(max_length=2048), AfterValidator(_own_path)]
    features: Annotated[list[FeatureName], Field(max_length=8, default_factory=list)]


class SignInStarted(BaseModel):
    """Open ``authorize_url``; keep ``browser_key`` in this browser (HttpOnly cookie) for the way back."""

    authorize_url: str
    browser_key: str


class SignInAnswer(Asked):
    """What Microsoft put on the callback's URL; what it may add one day is left alone."""

    model_config = ConfigDict(extra="ignore")

    browser_key: Annotated[str, Field(max_length=512)] = ""
    state: Secret
    code: Answered | None = None
    client_info: Answered | None = None
    session_state: Answered | None = None
    error: Answered | None = None
    error_description: Answered | None = None
    error_subcode: Answered | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.code or self.error):
            raise ValueError("there must be a code or an error")
        return self

    def given(self) -> dict[str, str]:
        """Microsoft's part, as MSAL takes it."""
        return self.model_dump(exclude={"browser_key"}, exclude_none=True)


class Account(BaseModel):
    name: str | None
    email: str | None


class Problem(BaseModel):
    code: str
    detail: str


class Permission(BaseModel):
    """A permission of Microsoft Graph (``scope``), our name for it, what it is used for, and whether it is given."""

    scope: str
    name: str
    use: str
    granted: bool


class Notice(BaseModel):
    """Something that keeps a feature from working with this account, and who does what about it."""

    code: Literal["no_teams_licence", "not_checked", "guest_account", "no_mailbox"]
    detail: str
    remedy: str


class Feature(BaseModel):
    """What a feature needs of this connection. ``on`` is the Org Admin's switch; ``ready`` if nothing is missing.

    ``given_by`` says who gives what is missing: the person at a sign-in, or an administrator for everybody.
    ``refused``: Microsoft was asked for what is missing and did not give it. Until then nobody has anything to do.
    """

    name: FeatureName
    given_by: Literal["person", "microsoft_admin"]
    on: bool
    ready: bool
    refused: bool
    missing: list[str]
    permissions: list[Permission]


class Leaving(BaseModel):
    """What is removed at Microsoft after a disconnect: going on ``until`` then at the latest, or over.

    ``left`` stays there, with the reason and when the last of them ends by itself. ``silent`` are the services
    that have not told what they removed.
    """

    over: bool
    until: datetime | None
    removed: int
    left: list[LeftBehind]
    silent: list[str]


class Connection(BaseModel):
    """The caller's own connection.

    ``permissions`` are the five that everybody is asked for, and what else was given.
    """

    status: Literal["not_connected", "connected", "expired", "disconnected"]
    account: Account | None
    problem: Problem | None
    notices: list[Notice]
    permissions: list[Permission]
    features: list[Feature]
    connected_at: datetime | None
    broken_since: datetime | None
    leaving: Leaving | None
    version: int

    @classmethod
    def of(cls, row: ConnectionRow | None, tenant: Tenant) -> Self:
        shown = row if row is not None and row.version else None
        connected = shown is not None and shown.status == "connected"
        granted = permissions.in_force(shown.granted_scopes) if shown is not None and connected else ()
        account = shown if shown is not None and shown.status != "disconnected" else None
        return cls.model_validate(
            {
                "status": shown.status if shown else "not_connected",
                "account": {"name": account.name, "email": account.email} if account else None,
                "problem": connections.problem_of(shown, tenant_connected=tenant.connected) if shown else None,
                "notices": shown.notices if shown else [],
                "permissions": _permissions([*PERMISSIONS, *(s for s in USES if s in granted)], granted),
                "features": _features(tenant.features, granted, shown),
                "connected_at": shown.connected_at if shown else None,
                "broken_since": shown.broken_since if shown else None,
                "leaving": _leaving(shown) if shown else None,
                "version": shown.version if shown else 0,
            }
        )


def _leaving(row: ConnectionRow) -> dict[str, Any] | None:
    if row.leaving is None:
        return None
    return {"over": row.leaving["over"], "until": row.leaving_until} | leaving.outcome(row)


def _permissions(scopes: Iterable[str], granted: Collection[str]) -> list[dict[str, Any]]:
    return [{"scope": scope, "granted": scope in granted} | USES[scope]._asdict() for scope in dict.fromkeys(scopes)]


def _features(switches: Features, granted: Collection[str], row: ConnectionRow | None) -> list[dict[str, Any]]:
    shown = []
    mail_refused = row is not None and row.status == "connected" and connections.mail_permitted(row) is False
    for name, feature in FEATURES.items():
        missing = permissions.missing(granted, feature.scopes)
        known = {
            "name": name,
            "given_by": feature.given_by,
            "on": getattr(switches, name),
            "ready": not missing,
            "refused": bool(missing) and (feature.given_by == "person" or mail_refused),
        }
        shown.append(known | {"missing": missing, "permissions": _permissions(feature.scopes, granted)})
    return shown


class Person(BaseModel):
    """A person of the organisation and how their connection is; nothing of their account's content.

    ``name`` and ``email`` are Microsoft's, of an account that is connected or expired.
    """

    user_id: str
    status: Literal["connected", "expired", "disconnected", "never_connected"]
    name: str | None
    email: str | None
    problem: Problem | None
    connected_at: datetime | None
    broken_since: datetime | None

    @classmethod
    def of(cls, row: ConnectionRow, tenant: Tenant) -> Self:
        account = row if row.status != "disconnected" else None
        return cls.model_validate(
            {
                "user_id": row.user_id,
                "status": row.status if row.version else "never_connected",
                "name": account and account.name,
                "email": account and account.email,
                "problem": connections.problem_of(row, tenant_connected=tenant.connected) if row.version else None,
                "connected_at": row.connected_at,
                "broken_since": row.broken_since,
            }
        )


class People(Page[Person]):
    """``counts``: how many of the organisation are in each status."""

    counts: dict[str, int]


class SignInDone(BaseModel):
    return_to: str
    connection: Connection


class TokenRequest(StrictModel):
    """``claims`` is the JSON of Graph's claims challenge; it forces a new token.

    ``refused`` is the SHA-256 (hex) of a token that Graph refused: another one is given. A token of a version of the
    connection before ``known_version`` is not given from memory. ``leaving``: of a connection that has ended, to remove
    what was set at Microsoft and for nothing else, while there is time for it.
    """

    org_id: Name
    user_id: Name
    claims: Annotated[str, Field(max_length=8192), AfterValidator(_claims_challenge)] | None = None
    refused: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    known_version: Annotated[int, Field(ge=0, lt=2**63)] = 0
    leaving: StrictBool = False


class Token(BaseModel):
    access_token: str
    expires_at: datetime
    oid: str
    tid: str
