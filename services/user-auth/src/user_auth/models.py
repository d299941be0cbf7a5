"""What the API reads and shows."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from shared.web import StrictModel
from user_auth.microsoft import PERMISSIONS
from user_auth.tables import ConnectionRow

# Browsers read a backslash as a slash and skip control characters, so both could lead to another site.
_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f-\x9f]*")

_CHALLENGE = TypeAdapter(dict[str, dict[str, Any]])


def _own_path(value: str) -> str:
    if not _OWN_PATH.fullmatch(value):
        raise ValueError("must be a path on this site, such as /meetings/new")
    return value


def _claims_challenge(value: str) -> str:
    """The JSON of a claims challenge; ``shared.graph`` has taken it out of Graph's base64."""
    try:
        return json.dumps(_CHALLENGE.validate_json(value))
    except ValueError:
        raise ValueError("must be the JSON of a claims challenge") from None


Name = Annotated[str, Field(min_length=1, max_length=255)]
Secret = Annotated[str, Field(min_length=1, max_length=512)]
Answered = Annotated[str, Field(max_length=4096)]


class NewSignIn(StrictModel):
    """``return_to`` is a path on our own site."""

    return_to: Annotated[str, Field(max_length=2048), AfterValidator(_own_path)]


class SignInStarted(BaseModel):
    """Open ``authorize_url``; keep ``browser_key`` in this browser (HttpOnly cookie) for the way back."""

    authorize_url: str
    browser_key: str


class SignInAnswer(BaseModel):
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
    """A Microsoft Graph permission, and what it is used for."""

    scope: str
    use: str


class Connection(BaseModel):
    """The caller's own connection."""

    status: Literal["not_connected", "connected", "expired", "disconnected"]
    account: Account | None
    problem: Problem | None
    permissions: list[Permission]
    connected_at: datetime | None
    broken_since: datetime | None
    version: int

    @classmethod
    def of(cls, row: ConnectionRow | None) -> Self:
        permissions = [{"scope": scope, "use": use} for scope, use in PERMISSIONS.items()]
        shown = row if row is not None and row.version else None
        account = shown if shown is not None and shown.status != "disconnected" else None
        return cls.model_validate(
            {
                "status": shown.status if shown else "not_connected",
                "account": {"name": account.name, "email": account.email} if account else None,
                "problem": shown.problem if shown else None,
                "permissions": permissions,
                "connected_at": shown.connected_at if shown else None,
                "broken_since": shown.broken_since if shown else None,
                "version": shown.version if shown else 0,
            }
        )


class SignInDone(BaseModel):
    return_to: str
    connection: Connection


class TokenRequest(StrictModel):
    """``claims`` is the JSON of Graph's claims challenge; it forces a new token.

    ``refused`` is the SHA-256 (hex) of a token that Graph refused: another one is given. A token of a version of the
    connection before ``known_version`` is not given from memory.
    """

    org_id: Name
    user_id: Name
    claims: Annotated[str, Field(max_length=8192), AfterValidator(_claims_challenge)] | None = None
    refused: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    known_version: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Token(BaseModel):
    access_token: str
    expires_at: datetime
    oid: str
    tid: str
