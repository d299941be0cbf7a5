"""Looking at each capability: what the application may ask for, and what needs no asking.

Nothing here is ever sent to a person, and nothing of theirs is read but whether an account has a licence and a mailbox.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeVar

from shared.entra.credentials import WARN_DAYS, credentials
from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.problems import ConfigurationError
from tenant_connector import graph
from tenant_connector.readiness import reasons
from tenant_connector.readiness.queries import Answers, Person, Tally
from tenant_connector.readiness.verdicts import Evidence, Found, Outcome, Unanswered
from tenant_connector.settings import Settings

T = TypeVar("T")
TRANSCRIPTS_OFF = "graphaccesstotranscriptsdisabled"
PEOPLE_TRIED = 3
"""Most people who are tried for the tenant until Microsoft answers for one of them."""
EVIDENCE_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Known:
    """Known facts about a tenant at the start of a check. ``roles``: permissions in the token."""

    began_at: datetime
    roles: frozenset[str]
    people: Sequence[Person]
    location: str | None
    storage: reasons.Place
    storage_on: bool
    contacts_on: bool
    names_at: datetime | None
    names_seen: bool | None
    mail_permitted: bool | None = None


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """Microsoft's answers about people, by user id; None without an answer. A verdict considers more people."""

    capability: str
    found: dict[str, T | None]
    evidence: tuple[Evidence, ...]


Probe = Callable[["Prober", Known], Awaitable[T]]


class Prober:
    """Graph as the application, in the background, taking down what it says."""

    def __init__(self, caller: GraphCaller, answers: list[graph.Answered], settings: Settings) -> None:
        self.caller = caller
        self.settings = settings
        self._answers = answers
        self._read = 0

    def evidence(self, error: GraphError | None = None) -> tuple[Evidence, ...]:
        """The evidence since the last call; the code of a refusal is with its answer."""
        fresh = self._answers[self._read :][-EVIDENCE_AT_MOST:]
        self._read = len(self._answers)
        said = [Evidence(one.method, one.path, one.status, one.at, "", one.request_id) for one in fresh]
        if error is None:
            return tuple(said)
        return tuple(replace(one, code=code_of(error)) if one.request_id == error.request_id else one for one in said)

    def evidence_of_items(self, path: str, refused: Iterable[GraphError]) -> tuple[Evidence, ...]:
        """The same of a batch, with one refusal of each kind among its items."""
        kinds = {code_of(error): error for error in refused}
        now = datetime.now(UTC)
        items = [Evidence("GET", path, one.status, now, code, one.request_id) for code, one in kinds.items()]
        return (*self.evidence(), *items)[-EVIDENCE_AT_MOST:]

    async def look(self, capability: str, probe: Probe[T], known: Known) -> T | Outcome:
        """The probe's finding, in time, or that there was no answer."""
        try:
            async with asyncio.timeout(self.settings.readiness_probe_timeout_s):
                return await probe(self, known)
        except (GraphRetry, TimeoutError) as error:
            self.evidence()
            return Unanswered(capability, _no_answer(error))
        except GraphError as error:
            return reasons.refused(capability, error, self.evidence(error))


def code_of(error: GraphError) -> str:
    return error.inner_code or error.code


def _no_answer(error: Exception) -> str:
    said = error.message if isinstance(error, GraphError) else "there was no answer in time."
    return f"Microsoft could not be asked just now: {said}"


async def transcript_access(prober: Prober, known: Known) -> Found:
    """The Teams administrator's switch, which nobody can read: a refused read shows that it is off."""
    if reasons.TRANSCRIPTS not in known.roles:
        return reasons.cannot_ask("transcript_access", reasons.TRANSCRIPTS)
    refused: GraphError | None = None
    for person in sorted(known.people, key=lambda one: one.lacking)[:PEOPLE_TRIED]:
        try:
            await graph.touch_transcripts(prober.caller, person.oid)
        except GraphRetry:
            raise
        except GraphError as error:  # one person's, unless it is the switch's
            if TRANSCRIPTS_OFF in {error.inner_code.lower(), error.code.lower()}:
                return reasons.transcripts_off(prober.evidence(error))
            refused = error
        else:
            return Found("transcript_access", "ready", reasons.TRANSCRIPTS_ON, evidence=prober.evidence())
    if refused is None:
        return reasons.nobody("transcript_access")
    raise refused


async def notifications(prober: Prober, known: Known) -> Found:
    """Whether Microsoft reaches the public address: it shakes hands with it before it makes a subscription."""
    if reasons.USERS not in known.roles:
        return reasons.cannot_ask("notifications", reasons.USERS)
    settings = prober.settings
    base = (settings.notification_base_url or settings.public_url).rstrip("/")
    url = f"{base}/{settings.readiness_notified_service}/webhooks/graph"
    try:
        await graph.canary(prober.caller, url)
    except GraphError as error:
        if graph.is_failed_handshake(error):
            return reasons.not_reached(url, error, prober.evidence(error), settings.readiness_confirm_s)
        raise
    return Found("notifications", "ready", reasons.REACHED, evidence=prober.evidence())


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """A question about people, and its permission; ``read`` returns None without an answer."""

    capability: str
    role: str
    path: str
    ask: Callable[[GraphCaller, Sequence[str]], Awaitable[Mapping[str, Any]]]
    read: Callable[[Any], T | None]


async def licences(prober: Prober, known: Known) -> Seen[list[str]] | Found:
    """The accounts of some of the people, in batches of twenty."""
    read = partial(_lacks, settings=prober.settings)
    return await _of_each(prober, known, _Question("licences", reasons.USERS, "/users/{id}", graph.accounts, read))


async def mailboxes(prober: Prober, known: Known) -> Seen[bool] | Found:
    """Whether they have a calendar, and so a mailbox."""
    path, read = "/users/{id}/calendar", _without_mailbox
    return await _of_each(prober, known, _Question("mailbox", reasons.CALENDARS, path, graph.calendars, read))


async def _of_each(prober: Prober, known: Known, question: _Question[T]) -> Seen[T] | Found:
    if question.role not in known.roles:
        return reasons.cannot_ask(question.capability, question.role)
    if not known.people:
        return reasons.nobody(question.capability)
    said = await question.ask(prober.caller, [person.oid for person in known.people])
    found = {person.user_id: question.read(said[person.oid]) for person in known.people}
    refused = [one for one in said.values() if isinstance(one, GraphError)]
    if any(one is not None for one in found.values()):
        return Seen(question.capability, found, prober.evidence_of_items(question.path, refused))
    for error in refused:
        if isinstance(error, GraphRetry):
            raise error
    return reasons.refused(question.capability, refused[0], prober.evidence_of_items(question.path, refused))


def _lacks(said: graph.Account | GraphError, settings: Settings) -> list[str] | None:
    if isinstance(said, GraphError):
        return ["account"] if isinstance(said, GraphNotFound) else None
    wanting = {
        "account": not said.enabled,
        "membership": said.guest,
        "teams": not said.services & settings.teams_plans,
        "exchange": not said.services & settings.exchange_plans,
    }
    return [name for name, is_wanting in wanting.items() if is_wanting]


def _without_mailbox(said: GraphError | None) -> bool | None:
    if said is None:
        return False
    return True if graph.has_no_mailbox(said) else None


def answers_of(seen: Iterable[Seen[Any]]) -> dict[str, Answers]:
    """User id → answers."""
    told = {one.capability: one.found for one in seen}
    lacks, without_mailbox = told.get("licences", {}), told.get("mailbox", {})
    return {name: Answers(lacks.get(name), without_mailbox.get(name)) for name in {*lacks, *without_mailbox}}


def of_people(seen: Seen[Any], tally: Tally) -> Found:
    verdict = {"licences": reasons.licences, "mailbox": reasons.mailboxes}[seen.capability]
    return verdict(tally, seen.evidence)


def without_asking(known: Known, settings: Settings) -> list[Outcome]:
    """Outcomes that follow from the token, from events and from our settings, without a call to Microsoft. Blocks."""
    return [
        reasons.permissions(known.roles, settings.required_roles_there),
        reasons.mail(known.mail_permitted),
        reasons.speaker_names(known.names_at, known.names_seen),
        reasons.call_events(known.roles),
        Found("application_access_policy", "not_needed", reasons.NO_POLICY_NEEDED),
        reasons.storage(known.location, known.storage, known.storage_on, known.roles),
        credential_expiry(settings),
    ]


def credential_expiry(settings: Settings) -> Found:
    """When the last of the application's credentials ends."""
    try:
        live = credentials(settings)
    except ConfigurationError as error:
        return reasons.no_credential(str(error))
    left = [one.left_s() for one in live]
    if any(seconds is None for seconds in left):
        return Found("credential_expiry", "unknown", reasons.EXPIRY_UNKNOWN)
    longest = max(live, key=lambda one: one.left_s() or 0)
    days = int((longest.left_s() or 0) / 86_400)
    return reasons.expiry(longest.expires_at or datetime.now(UTC), days, soon=days < WARN_DAYS)
