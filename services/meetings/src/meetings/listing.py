"""Common parts of lists of meetings: filters and pages."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Query

from meetings.models import Moment
from meetings.queries import Listed
from meetings.tables import MeetingRow
from shared.events.meetings import MeetingStatus
from shared.secrets import KeyRing
from shared.web.cursors import SignedCursor, make_cursor, read_cursor
from shared.web.identity import Identity
from shared.web.routes import Page
from shared.web.words import STORABLE

T = TypeVar("T")


class Asked:
    """The query of such a list."""

    def __init__(
        self,
        cursor: SignedCursor = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        order: Literal["made", "start"] = "made",
        since: Annotated[Moment | None, Query(description="Only meetings that end after this.")] = None,
        until: Annotated[Moment | None, Query(description="Only meetings that start before this.")] = None,
        status: MeetingStatus | None = None,
        series_id: Annotated[str | None, Query(max_length=200), STORABLE] = None,
    ) -> None:
        self.cursor, self.limit = cursor, limit
        self.wanted = Listed(order, since, until, status, series_id)

    async def page(
        self,
        ring: KeyRing,
        caller: Identity,
        name: str,
        find: Callable[[list[str] | None, int], Awaitable[list[MeetingRow]]],
        show: Callable[[MeetingRow], T],
    ) -> Page[T]:
        """``find`` is given the sort key that the page before ended with, and how many rows are wanted."""
        asked = self.wanted
        place = f"{name} {asked.order} {asked.since} {asked.until} {asked.status} {asked.series_id}"
        rows = await find(read_cursor(ring, caller, place, self.cursor), self.limit + 1)
        last = rows[self.limit - 1] if len(rows) > self.limit else None
        key = [last.starts_at.isoformat(), last.id] if last else []
        more = make_cursor(ring, caller, place, key) if last else None
        return Page(items=[show(row) for row in rows[: self.limit]], next_cursor=more)


Asked_ = Annotated[Asked, Depends()]
