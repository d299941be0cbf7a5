"""The other host: upload and download URLs, whose secret is the URL itself and which take no Authorization."""

from urllib.parse import urlsplit

from fastapi import Request

from .core import Simulator
from .store import Row
from .wire import GraphError

OTHER_NAME = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}


def other_url(simulator: Simulator) -> str:
    """Where upload and download URLs begin: the other host of the settings, else this machine's other loopback name."""
    if simulator.settings.other_base_url:
        return simulator.settings.other_base_url
    parts = urlsplit(simulator.settings.graph_url)
    host = OTHER_NAME.get(parts.hostname or "", parts.hostname or "")
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def refuse_token(request: Request, *, answers: bool = False) -> Simulator:
    """401 and a finding when an Authorization header comes along; 404 on Graph's own host.

    With ``answers`` there is the finding alone: what only tells something is answered with a token too.
    """
    simulator: Simulator = request.scope["simulator"]
    if request.headers.get("authorization"):
        row: Row = {"host": request.url.netloc, "method": request.method, "path": request.url.path}
        row["status"] = 200 if answers else 401
        says = "A token was sent to a host that is not Graph's; the URL alone is the secret there."
        simulator.calls.find("authorization_on_foreign_host", says, row)
    if request.headers.get("authorization") and not answers:
        raise GraphError(401, "unauthenticated", "This URL is pre-authenticated; it takes no Authorization header.")
    if request.url.hostname != urlsplit(other_url(simulator)).hostname:
        raise GraphError(404, "itemNotFound", "The resource could not be found on this host.")
    return simulator
