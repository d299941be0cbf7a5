"""The jobs of the meetings service; ``jobs.py`` does them."""

from datetime import datetime
from typing import ClassVar

from shared.connections import FollowConnections
from shared.events.meetings import Origin
from shared.jobs import Priority, Work


class OfMeeting(Work):
    """A job for one meeting. One job of each kind lives at a time."""

    keyed_by: ClassVar[tuple[str, ...] | None] = ("meeting_id",)
    meeting_id: str


class ScheduleMeeting(OfMeeting):
    """Make the event and the online meeting at Microsoft; undo them when the meeting was cancelled meanwhile."""

    kind = "schedule"
    priority: ClassVar[Priority] = "interactive"


class RescheduleMeeting(OfMeeting):
    """Bring the record and Microsoft's event together: send what changed here, take over what changed in Outlook."""

    kind = "reschedule"
    priority: ClassVar[Priority] = "interactive"


class CancelMeeting(OfMeeting):
    """Cancel Microsoft's event, which tells the attendees."""

    kind = "cancel"
    priority: ClassVar[Priority] = "interactive"


class SetRecording(OfMeeting):
    """Bring automatic recording of a booked meeting to the organisation's switch."""

    kind = "set_recording"


class FollowCalendar(Work):
    """Look what changed in a person's calendar, and have the meetings read that it concerns."""

    kind = "follow_calendar"
    keyed_by = ("user_id",)
    user_id: str


class RefreshSeries(Work):
    """Bring a series and its occurrences to what Outlook has; ``origin`` is whose change it follows."""

    kind = "refresh_series"
    keyed_by = ("series_id",)
    series_id: str
    origin: Origin = "outlook"


class FollowCalls(Work):
    """Have Microsoft tell of the calls of the organisation's meetings that are near, where it may."""

    kind = "follow_calls"
    keyed_by = ("kind",)


class FollowSwitch(FollowConnections):
    """``FollowConnections`` as version 0.1 queued it."""

    kind = "follow_switch"


class BookedEnd(OfMeeting):
    """After the booked end: say that the meeting ended, if nothing better told so. Each booked end has its own job."""

    kind = "booked_end"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("meeting_id", "ends_at")
    ends_at: datetime
