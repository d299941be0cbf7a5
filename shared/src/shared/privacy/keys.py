"""Commands for the key ring: add a key, wrap the data keys anew, list which key still wraps what."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from shared.database.unit_of_work import Database
from shared.secrets import Envelope, KeyRing

BATCH = 100
_CENSUS = text("SELECT ring_key_id, count(*) AS data_keys FROM data_key GROUP BY ring_key_id")
_FIRST = uuid.UUID(int=0)


@dataclass(slots=True)
class Rewrapped:
    """``unreadable`` are data keys whose own key is missing from the ring, or which were changed; they stay as is."""

    rewrapped: int = 0
    unreadable: list[str] = field(default_factory=list)


async def rewrap(db: Database, envelope: Envelope) -> Rewrapped:
    """Wrap every data key of the service with the ring's current key, a batch a transaction.

    A run that dies has lost nothing: each data key is wrapped by the old key or by the new one, and the next run goes
    on with what the old one still wraps.
    """
    done, after = Rewrapped(), _FIRST
    while True:
        async with db.system_work() as work:
            last, wrapped, lost = await envelope.rewrap(work.session, after, BATCH)
        if last is None:
            return done
        after = last
        done.rewrapped += wrapped
        done.unreadable += lost


async def census(db: Database, ring: KeyRing) -> dict[str, Any]:
    """Every key of the ring, and every one that data keys name, with how many it wraps here."""
    async with db.system_work() as work:
        counts = {row.ring_key_id: row.data_keys for row in await work.session.execute(_CENSUS)}
    names = sorted(counts.keys() | ring.keys.keys())
    keys = [{"id": name, "in_ring": name in ring.keys, "data_keys": counts.get(name, 0)} for name in names]
    return {"current": ring.current, "keys": keys}
