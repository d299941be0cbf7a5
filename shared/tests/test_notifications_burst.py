"""The receiver under load: a batch is a few statements, and a burst is slowed rather than refused."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from shared.subscriptions import notifications as notifications_module

STORING_S = 0.15
PATIENCE_S = 1.5
BURST = 60


def news(state: str, number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"n{number}", "clientState": state, "subscriptionId": "s1", "resource": "r", **more}


async def test_a_batch_and_its_jobs_are_one_statement_to_store(watch: Any) -> None:
    state = await watch.subscribed()
    statements: list[str] = []
    engine = watch.service.db.service_engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    lifecycle = news(state, 3, lifecycleEvent="missed")
    batch = [*(news(state, number) for number in range(3)), lifecycle, news(state, 1), news("a guess", 9)]
    assert (await watch.tell(*batch)).status_code == 202
    assert len(statements) == 4  # the scope, the bounds, whose they are, and all of them with their jobs
    stored = await watch.rows("SELECT n.id::text FROM graph_notification n ORDER BY n.id")
    jobs = await watch.rows("SELECT dedupe_key, kind, payload ->> 'notification_id' FROM job ORDER BY id")
    assert [job[0] for job in jobs] == [job[2] for job in jobs] == [row[0] for row in stored]
    assert sorted(job[1] for job in jobs) == ["process_notification"] * 3 + ["subscription_lifecycle"]


async def test_a_burst_is_slowed_and_not_refused(watch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of it waits longer than the receiver waits for a database that stores nothing."""
    state = await watch.subscribed()
    store = notifications_module._store_all

    async def slowly(*given: Any) -> None:
        await asyncio.sleep(STORING_S)
        await store(*given)

    monkeypatch.setattr(notifications_module, "_store_all", slowly)
    monkeypatch.setattr(notifications_module, "STORE_S", PATIENCE_S)
    assert BURST / notifications_module.AT_A_TIME * STORING_S > PATIENCE_S
    answers = await asyncio.gather(*(watch.tell(news(state, number)) for number in range(BURST)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await watch.rows("SELECT id FROM graph_notification")) == BURST
