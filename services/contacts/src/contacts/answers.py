"""What is in the way in the middle of a request, as problem documents."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.jobs import Again
from shared.problems import Conflict


@contextmanager
def busy() -> Iterator[None]:
    """Raises ``Conflict`` where a job would try again: another import writes to the same contacts."""
    try:
        yield
    except Again as error:
        detail = "Another import writes to the same contacts right now. Start this one when that is finished."
        raise Conflict("another_import_runs", detail) from error
