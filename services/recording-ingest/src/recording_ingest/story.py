"""What happened to a meeting's recordings and transcripts, step by step, for whoever asks why.

Ids, codes, numbers and Microsoft's request ids; no words, names or addresses, so that support may read it.
"""

from typing import Any

from recording_ingest import queries
from shared.database.outbox import uuid7
from shared.database.unit_of_work import UnitOfWork

MOST_STEPS = 300
"""Of one meeting; a meeting with more is of a thousand calls, and the first tell enough."""


async def note(work: UnitOfWork, meeting_id: str, what: str, **details: Any) -> None:
    """One step, in the transaction of what it tells."""
    await queries.add_step(work.session, work.org_id, uuid7(), meeting_id, what, details, MOST_STEPS)
