"""Looking at each capability: what the application may ask for, and what needs no asking.

Nothing here is ever sent to a person, and nothing of theirs is read but whether an account has a licence and a mailbox.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.credentials import WARN_DAYS, credentials
from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.problems import ConfigurationError
from tenant_connector import graph, reasons
from tenant_connector.readiness_queries import Person, Tally
from tenant_connector.settings import Settings
from tenant_connector.verdicts import Evidence, Found, Outcome, Unanswered

TRANSCRIPTS_OFF = "graphaccesstotranscriptsdisabled"
PEOPLE_TRIED = 3
"""So many people at most stand for the tenant until one is found whom Microsoft knows."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the service knows of a tenant when it begins to look."""

    roles: frozenset[str]
    people: Sequence[Person]
    location: str | None
    storage_on: bool
    names_at: datetime | None
    names_seen: bool | None


@dataclass(frozen=True, slots=True)
class PeopleSeen:
    """What each person lacks, by user id; ``licences`` and ``mailboxes`` say whether that could be asked for."""

    lacks: dict[str, list[str]]
    licences: bool
    mailboxes: bool
    evidence: tuple[Evidence, ...] = ()


Probe = Callable[["Prober", Known], Awaitable[Found]]


class Prober:
    """Graph as the application, in the background, taking down what it says."""

    def __init__(self, caller: GraphCaller, answers: list[graph.Answered], settings: Settings) -> None:
        self.caller = caller
        self.settings = settings
        self._answers = answers
        self._read = 0

    def evidence(self, error: GraphError | None = None) -> tuple[Evidence, ...]:
        """What was said since the last look; the code of a refusal stands with the last of it."""
        fresh = self._answers[self._read :][-5:]
        self._read = len(self._answers)
        said = [Evidence(one.method, one.path, one.status, one.at, "", one.request_id) for one in fresh]
        if error is not None and said:
            last, code = said[-1], error.inner_code or error.code
            said[-1] = Evidence(last.method, last.path, last.status, last.at, code, last.request_id)
        return tuple(said)

    async def look(self, capability: str, probe: Probe, known: Known) -> Outcome:
        """The probe's finding, in time, or that there was no answer."""
        try:
            async with asyncio.timeout(self.settings.readiness_probe_timeout_s):
                return await probe(self, known)
        except (GraphRetry, TimeoutError) as error:
            self.evidence()
            return Unanswered(capability, _no_answer(error))
        except GraphError as error:
            return Found(capability, "unknown", reasons.refused(error), evidence=self.evidence(error))

    async def people(self, known: Known) -> "PeopleSeen | str":
        """What people lack, or why that could not be asked."""
        try:
            async with asyncio.timeout(self.settings.readiness_probe_timeout_s):
                return await people(self, known)
        except (GraphError, TimeoutError) as error:
            self.evidence()
            return _no_answer(error)


def _no_answer(error: Exception) -> str:
    said = error.message if isinstance(error, GraphError) else "there was no answer in time."
    return f"Microsoft could not be asked just now: {said}"


async def transcript_access(prober: Prober, known: Known) -> Found:
    """The Teams administrator's switch, which nobody can read: a refused read shows that it is off."""
    if reasons.TRANSCRIPTS not in known.roles:
        return Found("transcript_access", "unknown", reasons.cannot_ask(reasons.TRANSCRIPTS))
    for person in known.people[:PEOPLE_TRIED]:
        try:
            await graph.touch_transcripts(prober.caller, person.oid)
        except GraphNotFound:
            continue
        except GraphError as error:
            if TRANSCRIPTS_OFF in {error.inner_code.lower(), error.code.lower()}:
                return reasons.transcripts_off(prober.evidence(error))
            raise
        return Found("transcript_access", "ready", reasons.TRANSCRIPTS_ON, evidence=prober.evidence())
    return Found("transcript_access", "unknown", reasons.NOBODY_CONNECTED, evidence=prober.evidence())


async def notifications(prober: Prober, known: Known) -> Found:
    """Whether Microsoft reaches the public address: it shakes hands with it before it makes a subscription."""
    if reasons.USERS not in known.roles:
        return Found("notifications", "unknown", reasons.cannot_ask(reasons.USERS))
    settings = prober.settings
    base = (settings.notification_base_url or settings.public_url).rstrip("/")
    url = f"{base}/{settings.readiness_notified_service}/webhooks/graph"
    try:
        await graph.canary(prober.caller, url)
    except GraphRetry:
        raise
    except GraphError as error:
        if error.status == 400:
            return reasons.not_reached(url, error, prober.evidence(error))
        raise
    return Found("notifications", "ready", reasons.REACHED, evidence=prober.evidence())


async def people(prober: Prober, known: Known) -> PeopleSeen:
    """Licences and mailboxes of some of the people, in batches of twenty."""
    if reasons.USERS not in known.roles or not known.people:
        return PeopleSeen({}, licences=reasons.USERS in known.roles, mailboxes=reasons.CALENDARS in known.roles)
    oids = [person.oid for person in known.people]
    accounts = await graph.accounts(prober.caller, oids)
    may_ask = reasons.CALENDARS in known.roles
    without = await graph.mailboxes(prober.caller, oids) if may_ask else dict.fromkeys(oids, False)
    lacks = {
        person.user_id: _lacks(accounts[person.oid], without[person.oid], prober.settings)
        for person in known.people
        if person.oid in accounts and person.oid in without
    }
    return PeopleSeen(lacks, True, may_ask, prober.evidence())


def _lacks(account: graph.Account | None, without_mailbox: bool, settings: Settings) -> list[str]:
    if account is None:
        return ["account"]
    wanting = {
        "account": not account.enabled,
        "membership": account.guest,
        "teams": not account.services & settings.teams_plans,
        "exchange": not account.services & settings.exchange_plans,
        "mailbox": without_mailbox,
    }
    return [name for name, is_wanting in wanting.items() if is_wanting]


def of_people(seen: PeopleSeen, tally: Tally) -> list[Outcome]:
    """The verdicts over everybody who was ever looked at, not over the last few only."""
    return [
        reasons.licences(seen.licences, tally, seen.evidence),
        reasons.mailboxes(seen.mailboxes, tally, seen.evidence),
    ]


def without_asking(known: Known, settings: Settings) -> list[Outcome]:
    """What follows from the token, from what others told us, and from our own settings; blocks."""
    return [
        reasons.permissions(known.roles, settings.required_roles_there),
        reasons.speaker_names(known.names_at, known.names_seen),
        Found("application_access_policy", "not_needed", reasons.NO_POLICY_NEEDED),
        reasons.storage(known.location, known.storage_on, known.roles),
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
