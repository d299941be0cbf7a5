"""B3: business transactions a second on eight connections, with an event in each and without."""

import asyncio
import time

from sqlalchemy import text

from dev.bench.measuring import Outcome, ratio, rounds
from dev.bench.stage import LANES, ORG, Stage
from shared.database.unit_of_work import Database
from shared.events import UserDisconnected

TRANSACTIONS = 6000
_WRITE = text("INSERT INTO entry (org_id, words) VALUES (:org_id, :words)")
_CLEAR = "TRUNCATE entry, outbox"


async def measure(stage: Stage, count: int) -> Outcome:
    outcome = Outcome("B3 transactions with an event", "tx/s", "ours / peer", 0.75, ratio)
    return await rounds(outcome, lambda: _run(stage, events=True), lambda: _run(stage, events=False), count)


async def _run(stage: Stage, *, events: bool) -> float:
    db = stage.database()
    await asyncio.gather(*(_work(db, events, LANES) for _ in range(LANES)))  # connections and plans
    start = time.perf_counter()
    await asyncio.gather(*(_work(db, events, TRANSACTIONS // LANES) for _ in range(LANES)))
    spent = time.perf_counter() - start
    await db.close()
    owner = await stage.connect(stage.owner_url)
    await owner.execute(_CLEAR)
    await owner.close()
    return TRANSACTIONS / spent


async def _work(db: Database, events: bool, count: int) -> None:
    for number in range(count):
        async with db.unit_of_work(ORG) as work:
            await work.session.execute(_WRITE, {"org_id": ORG, "words": "a meeting"})
            if events:
                about = {"org_id": ORG, "user_id": f"u{number}", "aggregate_version": 1}
                work.outbox.add(UserDisconnected(**about, code="by_person", reason="asked"))
