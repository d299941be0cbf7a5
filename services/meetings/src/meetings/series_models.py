"""What the API reads and shows of series."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, model_validator

from meetings.models import Agenda, Lobby, MeetingChange, NewMeeting, People, Presenters, ProblemShown, Subject
from meetings.tables import MeetingRow
from shared.web.routes import StrictModel

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MOST = 500
_LONGEST_DAYS = 5 * 366


class Repeats(StrictModel):
    """Every so many days, weeks or months, until a day or so many times; a series without end is not taken."""

    every: Literal["day", "week", "month"]
    interval: Annotated[int, Field(ge=1, le=99)] = 1
    weekdays: Annotated[list[Weekday], Field(max_length=7)] = Field(default_factory=list)
    """For a weekly series only; the weekday of its start unless given."""
    until: date | None = None
    """The last day on which an occurrence may start."""
    count: Annotated[int, Field(ge=1, le=MOST)] | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if (self.until is None) == (self.count is None):
            raise ValueError("needs either until or count: a series has an end")
        if self.weekdays and self.every != "week":
            raise ValueError("has weekdays only where it repeats every week")
        return self


class NewSeries(NewMeeting):
    """``start`` and ``end`` are those of the first occurrence; the days are those of ``time_zone``."""

    repeats: Repeats

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        until = self.repeats.until
        if until is not None and not 0 <= (until - self.start.date()).days <= _LONGEST_DAYS:
            raise ValueError("repeats.until must be a day from the start on, at most five years later")
        if self.repeats.weekdays and self._weekday() not in self.repeats.weekdays:
            raise ValueError("must start on one of its weekdays, in its time zone")
        return self

    def _weekday(self) -> Weekday:
        return get_args(Weekday)[self.start.astimezone(ZoneInfo(self.time_zone)).weekday()]  # type: ignore[no-any-return]

    def rule(self) -> dict[str, Any]:
        """How it repeats, as it is kept and as it is read back."""
        found = self.repeats.model_dump(mode="json")
        if self.repeats.every == "week" and not self.repeats.weekdays:
            found["weekdays"] = [self._weekday()]
        return found


class SeriesChange(StrictModel):
    """What is left out stays as it is. Times of all occurrences are changed in Outlook."""

    subject: Subject | None = None
    attendees: People | None = None
    body: Agenda | None = None
    lobby: Lobby | None = None
    presenters: Presenters | None = None
    auto_recording: bool | None = None
    shared_with_attendees: bool | None = None
    """Applies to all its meetings, past and to come. Each may be set otherwise afterwards."""

    def as_meeting(self) -> MeetingChange:
        return MeetingChange.model_validate(self.model_dump())


class RepeatsShown(BaseModel):
    every: str
    """day, week or month; other for a rule that was made in Outlook and has no such form."""
    interval: int = 1
    weekdays: list[str] = []
    until: date | None = None
    count: int | None = None


class Series(BaseModel):
    """A series. Its occurrences are meetings: ``GET /v1/meetings?series_id=``."""

    id: str
    subject: str
    start: datetime
    """The start of the first occurrence; ``end`` is its end."""
    end: datetime
    time_zone: str
    repeats: RepeatsShown
    status: str
    body: str | None
    attendees: list[dict[str, Any]]
    join_url: str | None
    auto_recording: bool
    auto_recording_wanted: bool
    shared_with_attendees: bool
    """Whether new meetings of the series are shared with attendees."""
    problem: ProblemShown | None
    version: int

    @classmethod
    def of(cls, row: MeetingRow) -> Self:
        shown = row.model_dump(
            include={"id", "subject", "repeats", "status", "body", "attendees", "join_url", "auto_recording", "problem"}
            | {"shared_with_attendees"}
            | {"version"}
        )
        shown |= {"start": row.starts_at, "end": row.ends_at, "time_zone": row.zone}
        return cls.model_validate(shown | {"auto_recording_wanted": row.recording_wanted})
