"""Microsoft tells when calls begin and end, where the tenant lets it: one subscription for each join link that is near.

::

    a meeting comes near, a connection, a new permission ──► FollowCalls: subscribes as the application
    notification with resource data ──► ``told``: a mark of the meeting ──► its calls, and its end

The application asks, for Microsoft takes no person's token here; so an administrator decides by a permission that the
rest of Prospo does without (ADR 36). Where Microsoft refuses, that is kept for people to read, and asked again once a
day. Who came and left is told as well, and not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from meetings import call_data, calls, queries, scheduling, state
from meetings.call_data import call_events_of
from meetings.calls import Call, Mark
from meetings.tables import MeetingRow
from shared.connections import tenant_of
from shared.connections.state import connected_accounts
from shared.database.unit_of_work import UnitOfWork
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphGiveUp, GraphReconnect, GraphTellAdmin
from shared.jobs.job import Job, JobWork
from shared.subscriptions.notifications import Notification
from shared.subscriptions.subscriptions import Subscriptions

log = structlog.get_logger(__name__)
CHANGES = "updated"
BEFORE, AFTER = scheduling.NEAR, timedelta(hours=4)
"""Microsoft tells only of calls that begin after it was asked; and people stay longer than booked."""
LOOK_S = 3_600.0
REFUSALS = 3
"""After so many refusals in a row the organisation's other meetings are not asked for."""
MARGIN = timedelta(minutes=15)
"""People of a series come before the booked start and after the booked end."""
KEPT = timedelta(days=7)
"""Marks of a series are kept so long with the series, to read its calls from."""
NEIGHBOURS = timedelta(hours=36)
MOST_MARKS = 200
_SAYS = {
    "heard": "Microsoft told Prospo when calls of this meeting began and ended.",
    "watched": "Microsoft tells Prospo when calls of this meeting begin and end.",
    "later": "Microsoft is asked to tell of calls a day before the meeting begins.",
    "nothing_heard": "Microsoft told nothing of a call of this meeting.",
    "not_permitted": "Microsoft does not tell Prospo when calls begin and end in your organisation. So the end of a "
    "meeting is known from its recordings and transcripts, else from the booked end.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether Microsoft tells of a meeting's calls, and why not; ``said`` and ``request_id`` are Microsoft's."""

    status: str
    detail: str
    said: str | None = None
    request_id: str | None = None


async def look(job: Job, graph: Graph, subscriptions: Subscriptions) -> float | None:
    """Bring the subscriptions to the meetings that are near.

    After how many seconds to look again; None: no meeting lies ahead.
    """
    now = datetime.now(UTC)
    async with job.unit_of_work() as work:
        tenant = await tenant_of(work.session, job.org_id)
        accounts = await connected_accounts(work.session, job.org_id)
        links = await queries.links_near(work.session, job.org_id, accounts, now - AFTER, now + BEFORE)
        coming = await queries.next_start(work.session, job.org_id, accounts, now + BEFORE)
        refused = await queries.call_refusal(work.session, job.org_id)
    if not tenant.connected:
        return None
    wanted = {call_events_of(link) for link in links}
    caller = graph.as_app(job.org_id, job.priority)
    for resource in await subscriptions.resources_of(job.org_id, ""):
        if resource not in wanted:
            await subscriptions.remove(caller, resource)
    if refused is None or now - refused.refused_at >= timedelta(days=1):
        lasting = await subscriptions.lasting(job.org_id, "", for_s=2 * LOOK_S)
        await _subscribe(job, graph, subscriptions, sorted(wanted - lasting))
    held = await subscriptions.lasting(job.org_id, "", for_s=0)
    async with job.unit_of_work() as work:
        await queries.note_watched(work.session, job.org_id, [one for one in links if call_events_of(one) in held])
    if links:
        return LOOK_S
    return None if coming is None else max(60.0, min((coming - BEFORE - now).total_seconds(), 24 * LOOK_S))


async def _subscribe(job: Job, graph: Graph, subscriptions: Subscriptions, resources: Sequence[str]) -> None:
    """Some organizers may be out of the application's reach, so one refusal is not yet the organisation's."""
    caller, in_a_row, renewed = graph.as_app(job.org_id, job.priority), 0, False
    for resource in resources:
        refusal = await _ask(subscriptions, caller, resource)
        if refusal is not None and not renewed:  # the permission may be newer than the token
            graph.tokens.forget(job.org_id, None, (await graph.tokens.app_token(job.org_id)).value)
            refusal, renewed = await _ask(subscriptions, caller, resource), True
        in_a_row = 0 if refusal is None else in_a_row + 1
        async with job.unit_of_work() as work:
            if refusal is None:
                await queries.forget_call_refusal(work.session, job.org_id)
            else:
                about = {"code": refusal.code, "detail": refusal.message[:500], "request_id": refusal.request_id}
                await queries.note_call_refusal(work.session, job.org_id, about)
        if in_a_row == REFUSALS:
            return


async def _ask(subscriptions: Subscriptions, caller: GraphCaller, resource: str) -> GraphError | None:
    """Subscribe. Returns the error with which Microsoft refuses it, or None."""
    try:
        await subscriptions.ensure(caller, resource, CHANGES, rich=True)
    except (GraphReconnect, GraphTellAdmin, GraphGiveUp) as error:
        log.info("calls.not_told", org_id=caller.org_id, code=error.code, status=error.status,
                 graph_request_id=error.request_id)  # fmt: skip
        return error
    return None


async def allowed(work: UnitOfWork) -> None:
    """An administrator gave the permission: what was refused is asked again."""
    await queries.forget_call_refusal(work.session, work.org_id)
    scheduling.follow_calls(work)


async def told(work: JobWork, notification: Notification, data: dict[str, Any]) -> None:
    """A call began or ended. What is told twice, or late, changes nothing that is known already."""
    event, link = call_data.read(data), call_data.join_url_in(notification.resource)
    tenant = await tenant_of(work.session, work.org_id)
    of_tenant = str(notification.body.get("tenantId") or notification.body.get("organizationId") or "")
    if link is None or of_tenant.lower() != (tenant.tid or "").lower():
        log.warning("calls.of_another_tenant", org_id=work.org_id)
        return
    if not tenant.connected:  # what is told while the subscriptions are being removed
        return
    if event is None:
        return
    kind, at = event
    mark = {"kind": kind, "at": _written(at)}
    head = await queries.behind_link(work.session, work.org_id, link)
    if head is None or mark in head.call_marks:
        return
    if head.repeats is None:
        _keep(head, [*head.call_marks, mark], work)
    else:
        await _keep_of_series(work, head, mark, at)


async def _keep_of_series(work: JobWork, series: MeetingRow, mark: Mark, at: datetime) -> None:
    """All occurrences have one join link, so each call goes to the occurrence in whose time it began, or to none."""
    since = _written(at - KEPT)
    series.call_marks = [*(one for one in series.call_marks if one["at"] > since), mark][-MOST_MARKS:]
    near = await queries.occurrences(work.session, work.org_id, series.id, (at - NEIGHBOURS, at + NEIGHBOURS))
    found: dict[str, list[Mark]] = {row.id: [] for row in near}
    for call in calls.told_calls(series.call_marks):
        if (row := occurrence_of(call, near)) is not None:
            found[row.id] += _marks(call)
    for row in near:
        if found[row.id] != row.call_marks:
            _keep(row, found[row.id], work)


def occurrence_of(call: Call, rows: Sequence[MeetingRow]) -> MeetingRow | None:
    """The one within whose booked time the call began, else within a quarter of an hour around it; None of two."""
    for margin in (timedelta(0), MARGIN):
        fit = [row for row in rows if row.starts_at - margin <= call.began < row.ends_at + margin]
        fit = [row for row in fit if row.status != "cancelled"] or fit
        if fit:
            return fit[0] if len(fit) == 1 else None
    return None


def _marks(call: Call) -> list[Mark]:
    """The marks of a call. Only its end when Microsoft did not tell of its beginning."""
    begun: list[Mark] = [{"kind": "started", "at": _written(call.began)}] if call.began != call.ended else []
    return [*begun, *([{"kind": "ended", "at": _written(call.ended)}] if call.ended else [])]


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _keep(meeting: MeetingRow, marks: list[Mark], work: JobWork) -> None:
    meeting.call_marks = marks[-MOST_MARKS:]
    state.changed(meeting, work.outbox)
    calls.tell_end(meeting, work.outbox)


async def standing(work: UnitOfWork, meeting: MeetingRow) -> Standing:
    """Explain to people how well the end of a meeting is known."""
    if meeting.call_marks:
        return Standing("heard", _SAYS["heard"])
    if meeting.join_url and await queries.is_told_of(work.session, work.org_id, call_events_of(meeting.join_url)):
        return Standing("watched", _SAYS["watched"])
    refused = await queries.call_refusal(work.session, work.org_id)
    if refused is not None:
        return Standing("not_permitted", _SAYS["not_permitted"], refused.detail, refused.request_id or None)
    status = "later" if meeting.starts_at > datetime.now(UTC) + BEFORE else "nothing_heard"
    return Standing(status, _SAYS[status])
