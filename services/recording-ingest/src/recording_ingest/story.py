"""The history of a meeting's recordings and transcripts, step by step.

Ids, codes, numbers and Microsoft's request ids; no words, names or addresses, so that an Org Admin may read it.
"""

from typing import Any

from recording_ingest.tables import StepRow
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork

MOST_STEPS = 300
"""The newest steps of a meeting that are kept; each comparison with Microsoft's lists deletes older ones."""


def note(work: UnitOfWork, meeting_id: str, what: str, **details: Any) -> None:
    """One step, in the transaction of what it tells. Details without a value are left out."""
    told = {name: value for name, value in details.items() if value is not None}
    work.session.add(StepRow(org_id=work.org_id, id=uuid7(), meeting_id=meeting_id, what=what, details=told))
