"""Talking to Microsoft Graph."""

from shared.graph.client import Download, Graph, GraphCaller

__all__ = ["Download", "Graph", "GraphCaller"]
