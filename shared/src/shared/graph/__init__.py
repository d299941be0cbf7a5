"""Talking to Microsoft Graph."""

from shared.graph.batch import BatchAnswer, BatchRequest
from shared.graph.caller import Graph, GraphCaller
from shared.graph.download import Download
from shared.graph.upload import UploadSession

__all__ = ["BatchAnswer", "BatchRequest", "Download", "Graph", "GraphCaller", "UploadSession"]
