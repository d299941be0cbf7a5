"""Talking to Microsoft Graph."""

from shared.graph.batch import BatchAnswer, BatchRequest
from shared.graph.client import DeltaPage, Download, Graph, GraphCaller
from shared.graph.upload import Upload, UploadSession

__all__ = [
    "BatchAnswer",
    "BatchRequest",
    "DeltaPage",
    "Download",
    "Graph",
    "GraphCaller",
    "Upload",
    "UploadSession",
]
