"""Lobby and presenters: chosen in Prospo, and by the organizer in Teams.

They are the online meeting's, not the event's, and Microsoft tells nobody when they change. So they are read whenever
the meeting is read, and once a day while it is near. ``shown["online"]`` is what Microsoft had at the last reading.
"""

from typing import Any

from meetings import online, state
from meetings.tables import MeetingRow
from shared.database.outbox import Outbox
from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphRetry

Options = dict[str, str]


async def read(caller: GraphCaller, meeting: MeetingRow) -> Options:
    """Empty where they cannot be read."""
    try:
        return await online.options_of(caller, meeting.online_meeting_id or "")
    except GraphRetry:
        raise
    except GraphError:
        return {}


async def bring(caller: GraphCaller, meeting: MeetingRow, known: dict[str, Any]) -> Options | None:
    """Send what was chosen in Prospo. What was changed in Teams as well stays as it is there, and is returned."""
    there, before = await read(caller, meeting), _last_read(meeting, known.get("options") or {})
    chosen = {name: value for name, value in meeting.options.items() if value != (known.get("options") or {}).get(name)}
    if any(there.get(name, value) not in {before.get(name, there.get(name)), value} for name, value in chosen.items()):
        return meeting.options | there
    await online.set_options(caller, meeting.online_meeting_id or "", chosen)
    return None


def take(meeting: MeetingRow, asked: MeetingRow, there: Options, outbox: Outbox) -> bool:
    """Take over what was changed in Teams since it was read last. Whether the record changed.

    ``asked`` is the record as it was then: what was chosen in Prospo meanwhile has its own job.
    """
    before = _last_read(asked, asked.options)
    changed = {name: value for name, value in there.items() if before.get(name, value) != value}
    if there:
        meeting.shown = {**(meeting.shown or {}), "online": there}
    if meeting.options != asked.options or meeting.options | changed == meeting.options:
        return False
    adopt(meeting, meeting.options | changed, outbox)
    return True


def adopt(meeting: MeetingRow, options: Options, outbox: Outbox) -> None:
    """Microsoft has these, and now the record."""
    meeting.options = options
    meeting.shown = {**(meeting.shown or {}), "options": options}
    state.changed(meeting, outbox)


def _last_read(meeting: MeetingRow, chosen: Options) -> Options:
    """Options as they were last read; those not read yet are as they were chosen."""
    found: Options = (meeting.shown or {}).get("online") or chosen
    return found
