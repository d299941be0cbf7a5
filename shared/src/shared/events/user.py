"""Emitted by user-auth. Key: organisation and user."""

from datetime import datetime
from typing import ClassVar

from shared.events.base import Event


class UserEvent(Event):
    emitter: ClassVar[str] = "user-auth"
    user_id: str

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class UserConnected(UserEvent):
    """A user connected a Microsoft work account for the first time (or after a disconnect)."""

    topic: ClassVar[str] = "user.connected"
    tid: str
    oid: str
    name: str
    email: str


class UserReconnected(UserEvent):
    """A user signed in again after the connection broke; what was missed since ``broken_since`` can be fetched."""

    topic: ClassVar[str] = "user.reconnected"
    tid: str
    oid: str
    broken_since: datetime | None = None


class UserConnectionExpired(UserEvent):
    """Microsoft refuses the refresh token for good; emitted once per break."""

    topic: ClassVar[str] = "user.connection_expired"
    reason: str


class UserDisconnected(UserEvent):
    """The user disconnected; the tokens are destroyed, data is kept."""

    topic: ClassVar[str] = "user.disconnected"
    reason: str


class UserState(UserEvent):
    """The whole current state of a connection after any change; compacted, for late joiners and local copies."""

    topic: ClassVar[str] = "user.state"
    connected: bool
    status: str
    tid: str | None
    oid: str | None
    name: str | None
    email: str | None
    changed_at: datetime
