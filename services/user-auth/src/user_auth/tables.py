"""A person's connection to a Microsoft account."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


def _moment() -> Any:
    return Column(DateTime(timezone=True), nullable=True)


class ConnectionRow(Table, table=True):
    """One person's connection. ``version`` counts its changes (a refresh is none) and leaves with every event."""

    __tablename__ = "connection"

    org_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    status: str
    version: int = Field(sa_type=BigInteger)
    tid: str | None = None
    oid: str | None = None
    name: str | None = None
    email: str | None = None
    addresses: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    """Addresses that Microsoft's directory gave the account when it was last asked, in lower case."""
    addresses_at: datetime | None = Field(default=None, sa_column=_moment())
    """When that was; None when it did not say yet."""
    sealed_cache: bytes | None = None
    """MSAL's token cache of this one account; none unless connected, or leaving."""
    token_expires_at: datetime | None = Field(default=None, sa_column=_moment())
    renewed_for_refusal_at: datetime | None = Field(default=None, sa_column=_moment())
    """When a token was last renewed because Graph had refused the one before."""
    answered_challenge: str | None = None
    """SHA-256 of the claims challenge that the stored token answers; None when it answers none."""
    unanswered_challenge: str | None = None
    """The claims challenge (JSON) that Microsoft wants a new sign-in for; only while the connection is expired."""
    doubted_since: datetime | None = Field(default=None, sa_column=_moment())
    """Since when Microsoft refuses a refresh in words that it has not published."""
    connected_at: datetime | None = Field(default=None, sa_column=_moment())
    broken_since: datetime | None = Field(default=None, sa_column=_moment())
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    granted_scopes: list[str] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """Our permissions that the last token had; None when that was before they were recorded."""
    silent_refused_at: datetime | None = Field(default=None, sa_column=_moment())
    """When Microsoft last refused what the organisation's consent was to hold; None when it does."""
    silent_refused_in: int | None = Field(default=None, sa_type=BigInteger)
    """The version of the tenant at that refusal: another version may have another consent."""
    leaving_until: datetime | None = Field(default=None, sa_column=_moment())
    """Until then the tokens of an ended connection serve to remove what Prospo set at Microsoft."""
    leaving: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """The last end: the version it ``ended_in``, whether it is ``over``, and what each service ``told``."""
    notices: list[dict[str, str]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    """Findings of the account check that block a feature."""
