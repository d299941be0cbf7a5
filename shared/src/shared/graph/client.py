"""Microsoft Graph over httpx: one client per service, callers for people and for the application."""

from shared.database.work import Priority
from shared.graph.caller import DeltaPage, GraphCaller
from shared.graph.download import Download
from shared.graph.transport import Token, Tokens, Transport

__all__ = ["DeltaPage", "Download", "Graph", "GraphCaller", "Token", "Tokens"]


class Graph(Transport):
    """One per service; ``as_user`` and ``as_app`` give callers.

    ``priority`` is that of the work the calls are part of: somebody waits for it (interactive), it keeps the platform
    current (fresh), or it fetches the past (backfill).
    """

    def as_user(self, org_id: str, user_id: str, priority: Priority = "fresh") -> GraphCaller:
        return GraphCaller(self, org_id, user_id, priority)

    def as_leaver(self, org_id: str, user_id: str | None, priority: Priority = "fresh") -> GraphCaller:
        """A caller for a person, or with None for the application, whose connection has ended: only to remove what was
        set at Microsoft."""
        return GraphCaller(self, org_id, user_id, priority, leaving=True)

    def as_app(self, org_id: str, priority: Priority = "fresh") -> GraphCaller:
        return GraphCaller(self, org_id, None, priority)
