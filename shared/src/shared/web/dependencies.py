"""Typed dependencies for routes of every service. ``provided`` gives objects of one service."""

from typing import Annotated

from fastapi import Depends

from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.secrets import Envelope
from shared.web.routes import provided

Db = Annotated[Database, Depends(provided("db"))]
"""The database, for a route that needs several transactions, or none during a call elsewhere; else use ``Work``."""
Graph_ = Annotated[Graph, Depends(provided("graph"))]
Envelope_ = Annotated[Envelope, Depends(provided("envelope"))]
