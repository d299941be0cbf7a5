"""Microsoft's words for a tenant. Nobody else sees Graph's JSON."""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shared.entra.tokens import AccessToken, OneToken
from shared.graph import Graph, GraphCaller
from shared.graph.batch import SIZE, BatchAnswer, BatchRequest
from shared.graph.errors import GraphConflict, GraphError, GraphRetry
from shared.graph.paths import template
from shared.graph.words import request_id_of
from shared.jobs import Priority
from shared.settings import ServiceSettings

CANARY = {"resource": "users", "changeType": "deleted"}
"""Watched for a moment: something harmless that no other part of the platform watches."""
CANARY_LIFE = timedelta(minutes=50)
"""Graph raises what is shorter than 45 minutes, and wants an address for lifecycle events beyond 60."""
_LONG_AGO = "startDateTime=2020-01-01T00:00:00Z,endDateTime=2020-01-01T00:00:01Z"


@dataclass(frozen=True, slots=True)
class Organisation:
    """The tenant as Microsoft describes it to whoever holds a token of it."""

    tid: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer of Graph, for evidence; the path is without ids."""

    method: str
    path: str
    status: int
    request_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account: whether it is enabled, a guest's, and the services of the plans that are."""

    enabled: bool
    guest: bool
    services: frozenset[str]


@asynccontextmanager
async def as_application(
    settings: ServiceSettings,
    org_id: str,
    token: AccessToken,
    *,
    priority: Priority = "fresh",
    answers: list[Answered] | None = None,
) -> AsyncIterator[GraphCaller]:
    """Graph with this one token; ``answers`` takes down what it said."""
    graph = Graph(settings, OneToken(token.value))

    async def take_down(answer: httpx.Response) -> None:
        if answers is not None:
            path = template(answer.request.url.path.removeprefix(httpx.URL(graph.base_url).path))
            said = (answer.status_code, request_id_of(answer.headers), datetime.now(UTC))
            answers.append(Answered(answer.request.method, path, *said))

    graph.http.event_hooks["response"].append(take_down)
    try:
        yield graph.as_app(org_id, priority)
    finally:
        await graph.aclose()


async def organisation(caller: GraphCaller) -> Organisation | None:
    """The tenant the token belongs to; None when Graph names none."""
    said = await caller.get("/organization")
    items = [said] if "id" in said else said.get("value") or []  # Microsoft's page shows one entity as well as a list
    if not items:
        return None
    item = items[0] if isinstance(items, list) and isinstance(items[0], dict) else {}
    tid = _id_of(item)
    return Organisation(tid.lower(), str(item.get("displayName") or tid))


async def touch_transcripts(caller: GraphCaller, oid: str) -> None:
    """Ask for the transcripts of one second long ago: permitted or refused, nobody's meeting is read."""
    path = f"/users/{oid}/onlineMeetings/getAllTranscripts(meetingOrganizerUserId='{oid}',{_LONG_AGO})"
    await caller.get(path, {"$top": "1"})


async def accounts(caller: GraphCaller, oids: Sequence[str]) -> dict[str, Account | GraphError]:
    """Object id → account, or Microsoft's error where it gave none."""
    answers = await _of_each(caller, oids, "?$select=id,accountEnabled,userType,assignedPlans")
    return {oid: answer.error or _account(answer) for oid, answer in answers.items()}


async def calendars(caller: GraphCaller, oids: Sequence[str]) -> dict[str, GraphError | None]:
    """Object id → None where there is a calendar, and so a mailbox; else Microsoft's error."""
    answers = await _of_each(caller, oids, "/calendar?$select=id")
    return {oid: answer.error for oid, answer in answers.items()}


def has_no_mailbox(error: GraphError) -> bool:
    """Whether the person has no mailbox in the cloud; only these error codes are certain."""
    return error.code.lower() in {"mailboxnotenabledforrestapi", "mailboxnotsupportedforrestapi"}


def is_failed_handshake(error: GraphError) -> bool:
    """Whether Graph refused a subscription since its address did not answer; it refuses others with the same code."""
    return error.status == 400 and "subscription validation request" in error.message.lower()


async def canary(caller: GraphCaller, url: str) -> None:
    """Subscribe for a moment, so that Graph shakes hands with ``url``; the subscription is taken away at once."""
    until = (datetime.now(UTC) + CANARY_LIFE).isoformat(timespec="seconds").replace("+00:00", "Z")
    secret = secrets.token_urlsafe(32)  # kept nowhere: what comes meanwhile is nobody's, and ignored
    body = CANARY | {"notificationUrl": url, "expirationDateTime": until, "clientState": secret}
    try:
        made = await caller.post("/subscriptions", body)
    except GraphConflict:
        await _remove_canaries(caller, url)
        made = await caller.post("/subscriptions", body)
    await caller.delete(f"/subscriptions/{_id_of(made)}")


async def _remove_canaries(caller: GraphCaller, url: str) -> None:
    """Delete the files of a check that died before it deleted them."""
    async for one in caller.pages("/subscriptions"):
        if all(one.get(name) == value for name, value in (CANARY | {"notificationUrl": url}).items()):
            await caller.delete(f"/subscriptions/{_id_of(one)}")


async def _of_each(caller: GraphCaller, oids: Sequence[str], rest: str) -> dict[str, BatchAnswer]:
    answers: dict[str, BatchAnswer] = {}
    for at in range(0, len(oids), SIZE):
        some = oids[at : at + SIZE]
        said = await caller.batch([BatchRequest("GET", f"/users/{oid}{rest}") for oid in some])
        answers |= dict(zip(some, said, strict=True))
    return answers


def _id_of(said: dict[str, Any]) -> str:
    found = said.get("id")
    if not isinstance(found, str) or not found:
        raise GraphRetry("Microsoft's answer names nothing.", code="no_id")
    return found


def _account(answer: BatchAnswer) -> Account | GraphError:
    """A plan counts while it is enabled, or in the grace before it is lost (``Warning``)."""
    said = answer.body if isinstance(answer.body, dict) else {}
    if not isinstance(said.get("assignedPlans"), list):
        return GraphRetry("Microsoft's answer names no plans.", answer.status, "no_plans")
    plans: Iterable[dict[str, Any]] = [one for one in said["assignedPlans"] if isinstance(one, dict)]
    live = [one for one in plans if one.get("capabilityStatus") in {"Enabled", "Warning"}]
    services = frozenset(str(one.get("service", "")).lower() for one in live)
    return Account(said.get("accountEnabled") is not False, said.get("userType") == "Guest", services)
