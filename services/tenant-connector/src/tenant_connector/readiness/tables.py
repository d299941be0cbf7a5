"""The readiness board's rows, and what is remembered between two looks at a tenant."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from tenant_connector.tables import Table


def _moment(*, nullable: bool = True) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


class ReadinessRow(Table, table=True):
    """The verdict on one capability. ``since`` is when the verdict last changed, ``until`` how long it may wait.

    ``failed_at`` and ``failure`` say that the newest look brought no answer, so that the verdict is the one before.
    ``patience_until``: so long a refusal is not final, since somebody who asked for a check has likely just mended it.
    """

    __tablename__ = "readiness"

    org_id: str = Field(primary_key=True)
    capability: str = Field(primary_key=True)
    verdict: str
    reason: str
    remedy: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    evidence: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    details: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    checked_at: datetime | None = Field(default=None, sa_column=_moment())
    since: datetime = Field(sa_column=_moment(nullable=False))
    until: datetime | None = Field(default=None, sa_column=_moment())
    failed_at: datetime | None = Field(default=None, sa_column=_moment())
    failure: str | None = None
    patience_until: datetime | None = Field(default=None, sa_column=_moment())


class ReadinessCheckRow(Table, table=True):
    """One per organisation. ``version`` counts its changes of verdicts: the events' aggregate version.

    ``began_at`` and ``done_at`` are those of the newest check that ended. ``patience_until``: so long a refusal may
    only mean that not all of Microsoft knows of the consent yet. ``doubted_at``: since then Microsoft's sign-in does
    not know the tenant. ``names_seen``: whether the newest transcript named its speakers.
    """

    __tablename__ = "readiness_check"

    org_id: str = Field(primary_key=True)
    version: int = Field(default=0, sa_type=BigInteger)
    asked_at: datetime | None = Field(default=None, sa_column=_moment())
    began_at: datetime | None = Field(default=None, sa_column=_moment())
    done_at: datetime | None = Field(default=None, sa_column=_moment())
    patience_until: datetime | None = Field(default=None, sa_column=_moment())
    doubted_at: datetime | None = Field(default=None, sa_column=_moment())
    names_at: datetime | None = Field(default=None, sa_column=_moment())
    names_seen: bool | None = None
