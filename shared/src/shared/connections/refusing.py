"""What Microsoft refuses in the middle of a request, as problem documents."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.connections.obstacles import obstacle_of
from shared.graph.errors import GraphError, GraphRetry
from shared.problems import Conflict, Unavailable


@contextmanager
def refused_by_microsoft(what: str = "this") -> Iterator[None]:
    """Raises ``Conflict`` or ``Unavailable`` for what Graph refuses, with who mends it; ``what`` was asked of it."""
    try:
        yield
    except GraphRetry as error:
        detail = "Microsoft does not answer right now. Try again in a moment."
        raise Unavailable("microsoft_busy", detail, retry_after_s=max(error.after_s, 1)) from error
    except GraphError as error:
        found = obstacle_of(error)
        if found is not None:
            link = {"link": found.path} if found.path else {}
            raise Conflict(found.code, found.sentence("then try again"), **link) from error
        raise Conflict("microsoft_refused", f"Microsoft refused {what}. It says: {error}") from error
