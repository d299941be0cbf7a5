"""What the API of imports reads and shows."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StringConstraints

from contacts.graph import Folder
from contacts.tables import ImportRun
from shared.web.routes import StrictModel
from shared.web.words import STORABLE

Action = Literal["new", "changed", "same", "conflict", "invalid", "skipped", "removed"]
FolderId = Annotated[str, StringConstraints(min_length=1, max_length=500), STORABLE]


class NewImport(StrictModel):
    """Which folders of Outlook to import, by the ids that ``GET /v1/contacts/folders`` shows."""

    folders: Annotated[list[FolderId], Field(min_length=1, max_length=200)]
    share: bool = False
    """Whether everybody in the organisation sees the new contacts, and whether shared contacts of others are joined."""


class StartImport(StrictModel):
    confirm_removals: bool = False
    """Needed where the plan ``asks``: many contacts were removed in Outlook."""


class FolderChange(StrictModel):
    keep_in_step: bool = False
    """Whether changes in Outlook come by themselves from now on."""


class FolderKept(BaseModel):
    id: str
    name: str
    keep_in_step: bool


class FolderShown(BaseModel):
    id: str
    name: str
    path: str
    """The names of the folders above it and its own."""
    depth: int
    """0 for a folder at the top."""
    count: int | None
    """Contacts in it, as Microsoft says; null when it does not say."""
    imported_at: datetime | None
    keep_in_step: bool


class Folders(BaseModel):
    items: list[FolderShown]
    complete: bool
    """False when the mailbox has more folders than Prospo lists."""


class RunFolder(BaseModel):
    id: str
    name: str


class Said(BaseModel):
    code: str
    detail: str


class Asks(Said):
    removed: int
    of: int


class Import(BaseModel):
    """An import: its plan in numbers, how far it is, and what came of it."""

    id: str
    status: str
    """``reading``, ``planned`` (look at it and start it), ``running``, ``finished``, ``cancelled``, ``failed``,
    ``undoing`` or ``undone``."""
    by_itself: bool
    """A folder that is kept in step began it."""
    share: bool
    folders: list[RunFolder]
    read_count: int
    """Contacts read from Outlook so far."""
    plan: dict[str, int]
    """Action → contacts: new, changed, same, conflict, invalid, skipped, removed."""
    total: int
    """Contacts that the plan changes."""
    done: int
    per_second: float | None
    """How many of these a second, while it runs."""
    outcome: dict[str, int]
    """created, updated, unchanged, conflicts, removed, archived, kept_back."""
    undone: dict[str, int]
    """After an undo: reversed, kept (changed since) and failed."""
    asks: Asks | None
    """What has to be confirmed before it starts."""
    problem: Said | None
    """What keeps it from going on, or why it failed."""
    remarks: list[Said]
    made_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, run: ImportRun) -> Self:
        shown: dict[str, Any] = run.model_dump(
            include={"id", "status", "by_itself", "share", "folders", "read_count", "total", "done", "outcome"}
            | {"undone", "asks", "problem", "remarks", "made_at", "started_at", "finished_at"}
        )
        return cls.model_validate(shown | {"plan": run.counts, "per_second": _per_second(run)})


def _per_second(run: ImportRun) -> float | None:
    if run.status != "running" or run.started_at is None or not run.done:
        return None
    return round(run.done / max((datetime.now(UTC) - run.started_at).total_seconds(), math.ulp(1)), 1)


class Row(BaseModel):
    """One contact of a plan."""

    id: str
    name: str
    action: str | None
    """What the import does with it; while the import is ``reading``, what is known of that so far."""
    outcome: str | None
    """``done``, or ``kept`` when Prospo kept it as it was; null before the run came to it."""
    contact_id: str | None
    changed: list[str]
    """The fields that the plan changes."""
    code: str | None
    field: str | None
    """Graph's name of the field that the remark is about."""
    sentence: str | None
    """Why it is as it is, for people."""
    undone: str | None
    undone_why: str | None

    @classmethod
    def of(cls, row: Any) -> Self:
        code, sentence = _why(row)
        return cls(
            id=row.source_id,
            name=row.name,
            action=row.action,
            outcome=row.outcome,
            contact_id=row.contact_id,
            changed=row.changed or [],
            code=code,
            field=row.field,
            sentence=sentence,
            undone=row.undone,
            undone_why=row.undone_why or None,
        )


_SENTENCES = {
    "deleted_here": "You deleted this contact in Prospo, so it is not imported again.",
    "removed_in_outlook": "This contact is not in Outlook any more. Prospo keeps it, or archives it, as your "
    "organisation chose.",
    "kept_back": "The contact was deleted in Prospo while the import ran, so it was left alone.",
    "conflict": "You changed this contact in Prospo and it was changed in Outlook too. Your values stay; open the "
    "contact to take Outlook's.",
    "back_in_outlook": "This contact is in Outlook again.",
}


def _why(row: Any) -> tuple[str | None, str | None]:
    if row.outcome == "kept":
        return "kept_back", _SENTENCES["kept_back"]
    if row.action == "skipped" and row.code is None:
        return "deleted_here", _SENTENCES["deleted_here"]
    if row.action == "removed":
        return "removed_in_outlook", _SENTENCES["removed_in_outlook"]
    if row.action == "conflict":
        return "conflict", _SENTENCES["conflict"]
    if row.why == "back_in_outlook":
        return row.why, _SENTENCES[row.why]
    if (row.why or "").startswith("same_email:") and row.code is None:
        address = row.why.partition(":")[2]
        return "same_email", f"Joined with a contact that you have already, because both have the address {address}."
    return row.code, row.sentence


def folder_shown(folder: Folder, count: int | None, kept: Any) -> FolderShown:
    return FolderShown(
        id=folder.id,
        name=folder.name,
        path=folder.path,
        depth=folder.depth,
        count=count,
        imported_at=kept.read_at if kept is not None else None,
        keep_in_step=kept is not None and kept.kept_in_step,
    )
