"""Microsoft Graph over httpx: one client per service, callers for people and for the application."""

from shared.graph.caller import DeltaPage, GraphCaller
from shared.graph.download import Download
from shared.graph.transport import Token, Tokens, Transport

__all__ = ["DeltaPage", "Download", "Graph", "GraphCaller", "Token", "Tokens"]


class Graph(Transport):
    """One per service; ``as_user`` and ``as_app`` give callers."""

    def as_user(self, org_id: str, user_id: str) -> GraphCaller:
        return GraphCaller(self, org_id, user_id)

    def as_app(self, org_id: str) -> GraphCaller:
        return GraphCaller(self, org_id, None)
