"""What Microsoft refuses in the middle of a request, as problem documents."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.connections import obstacle_of
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.problems import Conflict, NotFound, Unavailable


@contextmanager
def refused_by_microsoft() -> Iterator[None]:
    """Raises ``NotFound``, ``Conflict`` or ``Unavailable`` for what Graph refuses, with who mends it."""
    try:
        yield
    except GraphRetry as error:
        detail = "Microsoft does not answer right now. Try again in a moment."
        raise Unavailable("microsoft_busy", detail, retry_after_s=max(error.after_s, 1)) from error
    except GraphNotFound as error:
        raise NotFound("gone_in_outlook", "This is not in Outlook any more.") from error
    except GraphError as error:
        found = obstacle_of(error)
        if found is not None:
            link = {"link": found.path} if found.path else {}
            raise Conflict(found.code, found.sentence("then try again"), **link) from error
        raise Conflict("microsoft_refused", f"Microsoft refused this. It says: {error}") from error
