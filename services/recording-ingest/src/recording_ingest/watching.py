"""A person's subscriptions: made while the connection works, forgotten at once when it ends.

A disconnect removes them with the person's token (``leaving``). A connection that expired has none: what came of its
subscriptions is dropped from then on, as their secrets are forgotten; they are not renewed and die within three days.
Where the application itself may, it removes them before.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from recording_ingest import graph as teams
from recording_ingest.work import EndSubscriptions, WatchUser
from shared.connections import Connection, tenant_of
from shared.database.unit_of_work import UnitOfWork
from shared.graph import GraphCaller
from shared.graph.errors import GraphGiveUp, GraphNotFound, GraphReconnect, GraphTellAdmin
from shared.subscriptions.subscriptions import CONNECTION_ENDED, Subscriptions, forget_subscriptions, subscribed

log = structlog.get_logger(__name__)


def state_of(person: Connection) -> str:
    """Changes with every event about the connection."""
    return f"{person.account.version or 0}.{person.tenant.version or 0}"


def queue(work: UnitOfWork, person: Connection) -> None:
    """Bring the subscriptions to what this state of the connection asks for; each state has its own job."""
    work.queue(WatchUser(user_id=person.user_id, state=state_of(person)))


async def follow(work: UnitOfWork, person: Connection) -> None:
    """Queue that for a person who does not have the subscriptions, or has some too many."""
    if set(await subscribed(work.session, work.org_id, person.user_id)) != set(_wanted(person)):
        queue(work, person)


async def forget(work: UnitOfWork, user_id: str | None) -> None:
    """Forget subscriptions when an account, or with None the tenant, ends, in the transaction of that event.

    An account's are removed by the application, which may still ask while the tenant is connected.
    """
    ids = await forget_subscriptions(work.session, work.org_id, user_id)
    if ids and user_id is not None and (await tenant_of(work.session, work.org_id)).connected:
        work.queue(EndSubscriptions(user_id=user_id, ids=ids))


async def end(caller: GraphCaller, subscription_id: str) -> None:
    """End a subscription as the application. When Microsoft does not allow it, the subscription expires by itself."""
    try:
        with contextlib.suppress(GraphNotFound):
            await caller.delete(f"/subscriptions/{subscription_id}")
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.info("subscription.left", org_id=caller.org_id, code=error.code, status=error.status)


async def bring_about(
    subscriptions: Subscriptions, caller: GraphCaller, person: Connection, holds: Callable[[], Awaitable[bool]]
) -> None:
    """Both subscriptions of a connected person and no other, as long as ``holds`` that nothing changed."""
    wanted = _wanted(person)
    for resource in await subscriptions.resources_of(caller.org_id, person.user_id):
        if resource not in wanted and await holds():
            await subscriptions.remove(caller, resource)
    for resource in wanted:
        if await holds():
            await _ensure(subscriptions, caller, resource)


async def take_back(work_of: Callable[[], Any], subscriptions: Subscriptions, caller: GraphCaller) -> None:
    """The connection ended while they were made. What is refused is counted and forgotten by who ends the connection,
    or at once when that is done.
    """
    for resource in await subscriptions.resources_of(caller.org_id, caller.user_id or ""):
        try:
            await subscriptions.end(caller, resource)
        except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
            if error.code in CONNECTION_ENDED:
                async with work_of() as work:
                    await forget(work, caller.user_id)


def _wanted(person: Connection) -> list[str]:
    return teams.subscribed_resources(person.account.oid) if person.works and person.account.oid else []


async def _ensure(subscriptions: Subscriptions, caller: GraphCaller, resource: str) -> None:
    """Make sure of one subscription. A refusal is logged; reconciliation finds what is then missed."""
    try:
        await subscriptions.ensure(caller, resource)
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.warning("subscription.refused", org_id=caller.org_id, code=error.inner_code or error.code,
                    status=error.status, graph_request_id=error.request_id)  # fmt: skip
