"""Emitted by user-auth. Key: organisation and user."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.base import Direct, Event, Pseudonym, known, personal
from shared.events.leaving import LeftBehind

ConnectionStatus = Literal["connected", "expired", "disconnected"]
ExpiredBecause = Literal["account_not_connected", "admin_required"]
DisconnectedBecause = Literal["by_person", "tenant_left"]


class UserEvent(Event):
    emitter: ClassVar[str] = "user-auth"
    user_id: Pseudonym
    """The person in Prospo, within the organisation."""

    @property
    def key(self) -> str:
        return f"{self.org_id}:{self.user_id}"


class UserConnected(UserEvent):
    """A user connected a Microsoft work account for the first time, or after a disconnect.

    Not emitted when a connection that works is renewed, nor after it expired: that is ``user.reconnected``.
    """

    topic: ClassVar[str] = "user.connected"
    tid: str
    """The Microsoft tenant of the account."""
    oid: Pseudonym
    """The account at Microsoft, within the tenant. ``tid`` and ``oid`` together are the identity, never the address."""
    name: Direct
    """The person's name as Microsoft has it."""
    email: Direct
    """The account's address as Microsoft has it; it may change, and another account may get it later."""


class UserReconnected(UserEvent):
    """A user signed in again after the connection expired; what was missed since ``broken_since`` can be fetched."""

    topic: ClassVar[str] = "user.reconnected"
    tid: str
    """The Microsoft tenant of the account."""
    oid: Pseudonym
    """The account at Microsoft, the same as before."""
    broken_since: datetime | None = None
    """When the connection was found to have expired."""


class UserConnectionExpired(UserEvent):
    """Microsoft refuses the refresh token for good; emitted once per break."""

    topic: ClassVar[str] = "user.connection_expired"
    code: Annotated[str, known(ExpiredBecause)]
    """Who can mend it: the person by connecting again, or first an administrator at Microsoft."""
    reason: str
    """What Microsoft says, for people."""


class UserDisconnected(UserEvent):
    """The user disconnected, or the organisation left the tenant; data is kept.

    What Prospo set at Microsoft is removed next, and the tokens serve for nothing else; ``user.left`` tells the end.
    """

    topic: ClassVar[str] = "user.disconnected"
    code: Annotated[str, known(DisconnectedBecause)]
    """Whether the person did it, or the organisation's tenant was disconnected or changed."""
    reason: str
    """The same as a sentence for people."""


class UserLeft(UserEvent):
    """What was removed at Microsoft after a disconnect, and what stays. The tokens are destroyed.

    Emitted when all services have told, or when the time for it is over; again, whole, when one tells later.
    """

    topic: ClassVar[str] = "user.left"
    ended_in: int
    """The version of the connection (``user.state``) that ended it."""
    removed: int
    """How many subscriptions and automatic recordings are there no more."""
    left: list[LeftBehind]
    """What stays at Microsoft, why, and until when."""
    silent: list[str]
    """Services that have not told what they removed; what they had ends by itself within a week."""


class UserState(UserEvent):
    """The whole current state of a connection after any change; compacted, for late joiners and local copies."""

    topic: ClassVar[str] = "user.state"
    connected: bool
    """Whether the platform can act for this person at Microsoft now; true for the status ``connected`` only."""
    status: Annotated[str, known(ConnectionStatus)]
    """``expired`` waits for the person to connect again; ``disconnected`` was ended on purpose."""
    tid: str | None
    """The Microsoft tenant of the account; null when none is known."""
    oid: Pseudonym | None
    """The account at Microsoft; null when none is known."""
    name: Direct | None
    """The person's name as Microsoft has it."""
    email: Direct | None
    """The account's address as Microsoft has it."""
    changed_at: datetime
    """When this state began."""
    mail_permitted: bool | None = None
    """Whether Microsoft gave the permissions for mail when they were last asked for; null when they were not yet."""
    leaving_until: datetime | None = None
    """Until when, at the latest, what was set at Microsoft for the person is being removed; nothing else is asked of
    Microsoft. Null when nothing is."""
    addresses: Annotated[list[str], personal("direct")] = Field(default_factory=list)
    """Every address that Microsoft's directory gives the account in its tenant, in lower case; none until it said."""
