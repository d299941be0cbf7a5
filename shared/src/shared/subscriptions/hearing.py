"""What services do with subscriptions alike: keep to the wanted ones, take a notification as a hint, heed Graph's word.

A notification says that something changed, never what: ``heard`` marks it in the transaction that discards the
notification, and a read of Graph decides. So one that is lost, doubled or forged costs a read at most. Only what brings
resource data says more: it was signed for us, and is opened here (``told``).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from shared.connections import connection_of, tenant_of
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs import Jobs
from shared.jobs.job import Job, JobWork
from shared.subscriptions.notifications import (
    ChangeNotification,
    LifecycleNotification,
    Notification,
    discard,
    load,
)
from shared.subscriptions.rich import Unopenable
from shared.subscriptions.subscriptions import CONNECTION_ENDED, Subscriptions

log = structlog.get_logger(__name__)
Heard = Callable[[JobWork, Notification], Awaitable[None]]
Told = Callable[[JobWork, Notification, dict[str, Any]], Awaitable[None]]
"""With the resource data of a notification."""


async def keep_to(
    subscriptions: Subscriptions, caller: GraphCaller, wanted: Sequence[str], change_types: str
) -> list[str]:
    """The person's subscriptions are those to ``wanted`` and no others. Returns the resources that Graph refuses.

    What is refused has to be looked at now and then all the same. It is asked for again after 15 minutes.
    """
    known = await subscriptions.resources_of(caller.org_id, caller.user_id or "")
    for resource in known:
        if resource not in wanted:
            await subscriptions.remove(caller, resource)
    refused: list[str] = []
    for resource in wanted:
        if known.get(resource):
            refused.append(resource)
            continue
        try:
            await subscriptions.ensure(caller, resource, change_types)
        except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
            refused.append(resource)
            if error.code not in CONNECTION_ENDED:
                await subscriptions.note_refusal(caller, resource)
            log.warning("subscription.refused", org_id=caller.org_id, code=error.inner_code or error.code,
                        status=error.status, graph_request_id=error.request_id)  # fmt: skip
    return refused


def hear(does: Jobs, heard: Heard, told: Told | None = None) -> None:
    """Have the service do both jobs that Graph's notifications become; each is for it a hint that something changed.

    ``told`` is for those with resource data, which nobody can ask Graph for again.
    """

    @does(ChangeNotification)
    async def process_notification(job: Job, wanted: ChangeNotification, *, subscriptions: Subscriptions) -> None:
        async with job.unit_of_work() as work:
            notification = await load(work.session, job.org_id, wanted.notification_id)
        if notification is None:
            return
        rich = told if notification.encrypted_content is not None else None
        data = await _opened(subscriptions, notification) if rich is not None else None
        async with job.unit_of_work() as work:
            if rich is None:
                await heard(work, notification)
            elif data is not None:
                await rich(work, notification, data)
            await discard(work.session, notification.id)

    @does(LifecycleNotification)
    async def subscription_lifecycle(
        job: Job, wanted: LifecycleNotification, *, graph: Graph, subscriptions: Subscriptions
    ) -> None:
        await heed(job, wanted, graph, subscriptions, heard)


async def _opened(subscriptions: Subscriptions, notification: Notification) -> dict[str, Any] | None:
    """None of one that was changed on its way."""
    try:
        return await subscriptions.opened(notification)
    except Unopenable as error:
        log.warning("notification.unopenable", org_id=notification.org_id, reason=str(error))
        return None


async def heed(
    job: Job, wanted: LifecycleNotification, graph: Graph, subscriptions: Subscriptions, heard: Heard
) -> None:
    """Renew or make anew at Graph's word; ``heard`` when changes may have been missed meanwhile.

    One without a person is the application's own: it has no list that could be read for what was missed.
    """
    async with job.unit_of_work() as work:
        notification = await load(work.session, job.org_id, wanted.notification_id)
        if notification is None:
            return
        person = await connection_of(work.session, job.org_id, notification.user_id)
        tenant = await tenant_of(work.session, job.org_id)
    user_id = notification.user_id
    caller = graph.as_user(job.org_id, user_id, job.priority) if user_id else graph.as_app(job.org_id, job.priority)
    missed = False
    if person.works if user_id else tenant.connected:
        missed = await subscriptions.heed(caller, notification)
    async with job.unit_of_work() as work:
        if missed and user_id:
            await heard(work, notification)
        await discard(work.session, notification.id)
