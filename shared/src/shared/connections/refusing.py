"""Problem documents for obstacles and for refusals of Graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.connections.obstacles import Obstacle, obstacle_of
from shared.graph.errors import GraphError, GraphRetry
from shared.problems import Conflict, Unavailable


def conflict(found: Obstacle, then: str = "then try again", *, detail: str = "", **extra: Any) -> Conflict:
    """The problem document of an obstacle: its code and sentence, and a link where the person or an Org Admin mends it.

    ``then`` is what the person does once it is mended. ``detail`` replaces the sentence where more is known.
    """
    extra |= {"link": found.path} if found.path else {}
    return Conflict(found.code, detail or found.sentence(then), **extra)


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
            raise conflict(found) from error
        raise Conflict("microsoft_refused", f"Microsoft refused {what}. It says: {error}") from error
