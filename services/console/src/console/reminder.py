"""What every page knows of the person's connection: that it has expired, and which switches are off."""

from fastapi import Request

from console.backend import backend_of
from console.person import person_of

TELLS_IT_ITSELF = ("/integrations", "/health", "/help", "/meetings/new")


async def look_at_connection(request: Request) -> None:
    """A dependency of all pages: puts ``connection`` and ``expired`` into the request's state.

    A service that is away delays no page.
    """
    page = request.method == "GET" and not request.url.path.endswith(
        ("/live", "/callback", "/photo", "/problems", "/body")
    )
    if page and person_of(request) and not request.url.path.startswith(TELLS_IT_ITSELF):
        connection = await backend_of(request).look(request, "/v1/connection")
        request.state.connection = connection
        request.state.expired = connection is not None and connection["status"] == "expired"
