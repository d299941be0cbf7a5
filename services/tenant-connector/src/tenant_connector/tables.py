"""The tenant connection, and consent attempts under way."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


def _moment() -> Any:
    return Column(DateTime(timezone=True))


class TenantRow(Table, table=True):
    """An organisation's connection. ``version`` counts its changes: the ETag, and the events' aggregate version.

    ``claimed_tid`` is what Microsoft's redirect said and nobody has proven yet; ``claim_id`` names that one claim, so
    that a proof under way notices when a newer consent or a disconnect has taken its place.
    """

    __tablename__ = "tenant"

    org_id: str = Field(primary_key=True)
    status: str
    tid: str | None = None
    display_name: str | None = None
    features: dict[str, bool] = Field(sa_column=Column(JSONB, nullable=False))
    version: int = Field(default=0, sa_type=BigInteger)
    problem: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    connected_at: datetime | None = Field(default=None, sa_column=_moment())
    connected_by: str | None = None
    claim_id: str | None = None
    claimed_tid: str | None = None
    claimed_by: str | None = None
    claimed_at: datetime | None = Field(default=None, sa_column=_moment())
    storage_location: str | None = None
    storage_location_version: int = Field(default=0, sa_type=BigInteger)
    storage_state: str | None = None
    storage_nearly_full: bool = False
    storage_state_version: int = Field(default=0, sa_type=BigInteger)
    leaving: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    """The last disconnect by an Org Admin: the version it ``ended_in``, ``until`` when things may be removed at
    Microsoft, whether that is ``over``, and what was told of the ``application``. None while connected."""


class LeavingRow(Table, table=True):
    """A person who was connected at the disconnect; ``told`` is what was removed and what stays, once that is known."""

    __tablename__ = "leaving_person"

    org_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    version: int = Field(default=0, sa_type=BigInteger)
    told: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
