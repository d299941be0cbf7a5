"""A person's subscriptions: made while the connection works, removed when it ends."""

import structlog

from recording_ingest import graph as teams
from recording_ingest.queries import Person
from shared.graph import GraphCaller
from shared.graph.errors import GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.graph.subscriptions import Subscriptions
from shared.jobs.queue import JobQueue

log = structlog.get_logger(__name__)


def queue(jobs: JobQueue, person: Person) -> None:
    """Bring the subscriptions to what this state of the connection asks for; each state has its own job."""
    payload = {"user_id": person.user_id, "state": person.state}
    jobs.add("watch_user", payload, dedupe_key=f"{person.user_id}:{person.state}")


async def bring_about(subscriptions: Subscriptions, caller: GraphCaller, person: Person) -> None:
    """Both subscriptions while connected, none otherwise."""
    wanted = teams.subscribed_resources(person.oid) if person.connected and person.oid else []
    for resource in await subscriptions.resources_of(caller.org_id, person.user_id):
        if resource not in wanted:
            await subscriptions.remove(caller, resource)
    for resource in wanted:
        await _ensure(subscriptions, caller, resource)


async def _ensure(subscriptions: Subscriptions, caller: GraphCaller, resource: str) -> None:
    """One that Microsoft refuses must not keep us from the other; reconciliation finds what it would have told."""
    try:
        await subscriptions.ensure(caller, resource)
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.warning("Graph refuses a subscription", org_id=caller.org_id, code=error.inner_code or error.code,
                    status=error.status, graph_request_id=error.request_id)  # fmt: skip
