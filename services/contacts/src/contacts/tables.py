"""An import run and a contact. Plan rows and source records are written in bulk, by ``row_queries``."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class Table(SQLModel, registry=registry()):
    """Own registry: services hosted in one process may have tables of one name."""


def _moment(*, nullable: bool = True) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


def _json(*, nullable: bool = False) -> Any:
    return Column(JSONB(none_as_null=True), nullable=nullable)


def _texts() -> Any:
    return Column(ARRAY(Text), nullable=False)


class ImportRun(Table, table=True):
    """One import: its folders, its plan in numbers, how far it is, and what came of it."""

    __tablename__ = "import_run"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    account: str
    """The Microsoft account (``oid``) whose address book it reads."""
    status: str = "reading"
    by_itself: bool = False
    """A folder that is kept in step began it, not a person."""
    share: bool = False
    folders: list[dict[str, Any]] = Field(sa_column=_json())
    """``id``, ``name``, and once it was read ``read``, with ``listed`` or ``gone``."""
    removals: str = "keep"
    """What becomes of contacts that were removed in Outlook: the organisation's policy when the plan was made."""
    read_count: int = Field(default=0, sa_type=BigInteger)
    total: int = Field(default=0, sa_type=BigInteger)
    """Rows of the plan that change something."""
    done: int = Field(default=0, sa_type=BigInteger)
    counts: dict[str, int] = Field(default_factory=dict, sa_column=_json())
    """Action → rows of the plan."""
    outcome: dict[str, int] = Field(default_factory=dict, sa_column=_json())
    undone: dict[str, int] = Field(default_factory=dict, sa_column=_json())
    base: int | None = Field(default=None, sa_type=BigInteger)
    """The revision of the person's contacts that the plan was made of."""
    shared_base: int | None = Field(default=None, sa_type=BigInteger)
    asks: dict[str, Any] | None = Field(default=None, sa_column=_json(nullable=True))
    """What the person has to confirm before the plan is carried out."""
    problem: dict[str, Any] | None = Field(default=None, sa_column=_json(nullable=True))
    remarks: list[dict[str, Any]] = Field(default_factory=list, sa_column=_json())
    delta_links: dict[str, str | None] = Field(default_factory=dict, sa_column=_json())
    """Folder → where the next round begins; kept with the folder once the run is over."""
    made_at: datetime = Field(sa_column=_moment(nullable=False))
    started_at: datetime | None = Field(default=None, sa_column=_moment())
    finished_at: datetime | None = Field(default=None, sa_column=_moment())


class Contact(Table, table=True):
    """A person's contact: ``record`` has each value with where it comes from, the other columns are made of it."""

    __tablename__ = "contact"

    org_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    user_id: str
    shared: bool = False
    record: dict[str, Any] = Field(sa_column=_json())
    version: int = Field(default=1, sa_type=BigInteger)
    name: str = ""
    sort_name: str = ""
    company: str = ""
    job_title: str = ""
    emails: list[str] = Field(default_factory=list, sa_column=_texts())
    phones: list[str] = Field(default_factory=list, sa_column=_texts())
    words: str = ""
    """What the search looks at, in lower case."""
    conflicts: int = 0
    """Values in which Outlook and a person of Prospo differ."""
    archived_at: datetime | None = Field(default=None, sa_column=_moment())
    archived_because: str | None = None
    made_at: datetime = Field(sa_column=_moment(nullable=False))
    changed_at: datetime = Field(sa_column=_moment(nullable=False))
