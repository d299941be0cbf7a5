"""The receiver under load: a batch is a few statements, and a burst is slowed rather than refused."""

import asyncio
from typing import Any

import pytest

from shared.subscriptions import notifications as notifications_module
from shared.testing.statements import statements_of

STORING_S = 0.1
PATIENCE_S = 3.0
"""Far more than a single store takes on a busy machine."""
BURST = 60


def news(state: str, number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"n{number}", "clientState": state, "subscriptionId": "s1", "resource": "r", **more}


async def test_a_batch_and_its_jobs_are_one_statement_to_store(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state = await watch.subscribed()
    statements = statements_of(watch.service.db, monkeypatch)
    lifecycle = news(state, 3, lifecycleEvent="missed")
    batch = [*(news(state, number) for number in range(3)), lifecycle, news(state, 1), news("a guess", 9)]
    assert (await watch.tell(*batch)).status_code == 202
    assert [one.split()[0] for one in statements] == ["BEGIN", "SELECT", "WITH", "COMMIT"]  # the bounds; all of them
    stored = await watch.rows("SELECT n.id::text FROM graph_notification n ORDER BY n.id")
    jobs = await watch.rows("SELECT dedupe_key, kind, payload ->> 'notification_id' FROM job ORDER BY id")
    assert [job[0] for job in jobs] == [job[2] for job in jobs] == [row[0] for row in stored]
    assert sorted(job[1] for job in jobs) == ["process_notification"] * 3 + ["subscription_lifecycle"]


async def test_a_large_batch_is_not_compared_row_by_row(watch: Any) -> None:
    """PostgreSQL plans the statement once for batches of any size; a join filter compares each row with each."""
    db = watch.service.db
    driver = await db.connect(server_settings={"plan_cache_mode": "force_generic_plan"})
    await driver.execute(f"PREPARE store AS {notifications_module._STORE.compile(dialect=db.engine.dialect)}")
    plan = "\n".join(row[0] for row in await driver.fetch(f"EXPLAIN EXECUTE store ({', '.join(7 * ['NULL'])})"))
    await driver.close()
    assert "Insert on graph_notification" in plan
    assert "Join Filter" not in plan


async def test_a_burst_is_slowed_and_not_refused(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch for each transaction: the last one waits longer than the receiver waits for one that stores nothing."""
    state = await watch.subscribed()
    store = notifications_module._store_all

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(STORING_S)
        await store(*given)

    monkeypatch.setattr(notifications_module, "_store_all", slowly)
    monkeypatch.setattr(notifications_module, "STORE_S", PATIENCE_S)
    monkeypatch.setattr(notifications_module, "STATEMENT_MS", 1000 * PATIENCE_S)
    monkeypatch.setattr(notifications_module, "MAX_NOTIFICATIONS", 1)
    monkeypatch.setattr(notifications_module, "AT_A_TIME", 1)
    assert BURST * STORING_S > PATIENCE_S
    answers = await asyncio.gather(*(watch.tell(news(state, number)) for number in range(BURST)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await watch.rows("SELECT id FROM graph_notification")) == BURST


async def test_batches_that_wait_together_share_a_transaction(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess that names a notification of ours takes nothing from it, and each job keeps its own request."""
    state = await watch.subscribed()
    store, groups = notifications_module._store_all, []

    async def counted(db: Any, rows: list[Any]) -> None:
        groups.append(len(rows))
        await store(db, rows)

    monkeypatch.setattr(notifications_module, "_store_all", counted)
    told = [news(given, number) for number in range(BURST) for given in (state, "a guess")]
    answers = await asyncio.gather(*(watch.tell(one) for one in told))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(groups) == 2 * BURST
    assert len(groups) < BURST
    requests = {answer.headers["x-request-id"] for answer in answers}
    causes = {row[0] for row in await watch.rows("SELECT cause ->> 1 FROM job")}
    assert len(causes) == BURST
    assert causes <= requests


async def test_a_batch_that_cannot_be_stored_fails_by_itself(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state = await watch.subscribed()
    storable = notifications_module._storable
    monkeypatch.setattr(
        notifications_module, "_storable", lambda value: value if value == "\0" else storable(value)
    )  # the next character that PostgreSQL turns out not to store
    told = [news(state, number, **({"odd": "\0"} if number == 7 else {})) for number in range(BURST)]
    answers = await asyncio.gather(*(watch.tell(one) for one in told))
    assert [number for number, answer in enumerate(answers) if answer.status_code != 202] == [7]
    assert len(await watch.rows("SELECT id FROM graph_notification")) == BURST - 1
