"""Subscriptions that an earlier life of the connection left at Microsoft, of people who are not connected any more.

Whoever connects again has theirs replaced (``Subscriptions``). The others are in the application's own list, as far as
Microsoft puts there what was made with a person's token. Of all services: each writes its own address into them, and
whose they are stands in the resource. Two looks, so that somebody whose connection we have not heard of yet keeps them.
"""

from typing import Any

import structlog

from shared.connections.state import connected_accounts
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphGiveUp, GraphNotFound, GraphReconnect, GraphTellAdmin
from shared.jobs import Periodic
from shared.jobs.job import Job
from shared.subscriptions.subscriptions import Subscriptions

log = structlog.get_logger(__name__)
SECOND_LOOK_S = 120.0
_OURS = "/webhooks/graph"


async def sweep(job: Job, graph: Graph, subscriptions: Subscriptions) -> None:
    """The second look ends what was left at the first one too."""
    caller = graph.as_app(job.org_id, job.priority)
    base = subscriptions.url.removesuffix(f"/{subscriptions.service}{_OURS}")
    try:
        left = await _left(job, caller, base)
        if "left" not in job.checkpoint:
            if left:
                async with job.unit_of_work() as work:
                    await work.save_checkpoint({"left": left})
                raise Periodic("looked at once more before anything is ended", after_s=SECOND_LOOK_S)
            return
        stays = [one for one in left if one in job.checkpoint["left"] and not await _ended(caller, one)]
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.info("leftovers.not_listed", org_id=job.org_id, code=error.code, status=error.status)
        return
    log.info("leftovers.swept", org_id=job.org_id, ended=len(job.checkpoint["left"]) - len(stays), stay=len(stays))


async def _left(job: Job, caller: GraphCaller, base: str) -> list[str]:
    """Ids of those to our address whose account is not connected."""
    found = [one async for one in caller.pages("/subscriptions") if _is_ours(one, base)]
    async with job.unit_of_work() as work:
        connected = await connected_accounts(work.session, work.org_id)
    return [str(one["id"]) for one in found if _whose(one) not in {None, *connected}]


def _is_ours(one: dict[str, Any], base: str) -> bool:
    url = str(one.get("notificationUrl") or "")
    return url.startswith(f"{base}/") and url.endswith(_OURS)


def _whose(one: dict[str, Any]) -> str | None:
    """``users/<oid>/…`` or ``users('<oid>')/…``"""
    parts = str(one.get("resource") or "").replace("('", "/").replace("')", "").strip("/").split("/")
    return parts[1] if len(parts) > 1 and parts[0].lower() == "users" else None


async def _ended(caller: GraphCaller, subscription_id: str) -> bool:
    try:
        await caller.delete(f"/subscriptions/{subscription_id}")
    except GraphNotFound:
        return True
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp):
        return False
    return True
