"""What routes of every service are given of what each service provides; ``provided`` gives a service's own."""

from typing import Annotated

from fastapi import Depends

from shared.database.unit_of_work import Database
from shared.graph import Graph
from shared.secrets import Envelope
from shared.web.routes import provided

Db = Annotated[Database, Depends(provided("db"))]
"""For a route that needs more than one transaction, or none while it asks somebody else; else ``Work``."""
Graph_ = Annotated[Graph, Depends(provided("graph"))]
Envelope_ = Annotated[Envelope, Depends(provided("envelope"))]
