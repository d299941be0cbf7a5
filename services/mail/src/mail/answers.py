"""Problem documents for refusals of Microsoft in the middle of a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from mail.refusals import consent_missing
from shared.connections import obstacle_of
from shared.connections.obstacles import PERMISSION_MISSING
from shared.connections.refusing import conflict, refused_by_microsoft
from shared.graph.errors import GraphNotFound, GraphTellAdmin
from shared.problems import NotFound


@contextmanager
def read_in_outlook() -> Iterator[None]:
    """Raises ``NotFound`` for what is gone at Microsoft, and what ``refused_by_microsoft`` raises."""
    with refused_by_microsoft():
        try:
            yield
        except GraphNotFound as error:
            raise NotFound("gone_in_outlook", "This is not in Outlook any more.") from error
        except GraphTellAdmin as error:
            found = obstacle_of(error)
            if found is None or found.code != PERMISSION_MISSING.code:
                raise
            raise conflict(consent_missing(found)) from error
