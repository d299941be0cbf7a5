"""The tenant looked after each day, and the checks of its readiness board."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from shared.database.unit_of_work import Database
from shared.entra.aadsts import EntraError, EntraMisconfigured, EntraRetry, EntraTenantGone, EntraTenantUnknown
from shared.entra.client import Entra
from shared.entra.tokens import AccessToken
from shared.graph.errors import GraphError, GraphRetry
from shared.jobs import GiveUp, Periodic
from shared.jobs.job import Job, JobWork
from tenant_connector import access, graph, queries, tenant
from tenant_connector.jobs import does
from tenant_connector.readiness import board as readiness
from tenant_connector.readiness import probes, reasons
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.readiness import schedule as watching
from tenant_connector.readiness.contacts import ContactsClient
from tenant_connector.readiness.verdicts import AFFECTS, Evidence, Found, Outcome, Unanswered, unanswered
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow
from tenant_connector.tokens import AppTokens, Connection, acquire, roles_of
from tenant_connector.work import CheckReadiness, LookAfterTenant

__all__ = ["does"]

log = structlog.get_logger(__name__)

CHECK_ATTEMPTS = 6
"""Tries that end unexpectedly, within some minutes; the last one only says so. The next look comes tomorrow."""
_BROKEN = "The check failed because of an error on our side. The operator finds the reason in the log."
_NOT_ASKED = "Microsoft could not be asked: "
_PROVEN = {"consent", "permissions"}
_ASKED_OF_MICROSOFT = ("transcript_access", "licences", "mailbox", "notifications")
_Told = Outcome | probes.Seen[Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A new token from Entra, or the verdict without one. ``gone``: no such tenant."""

    token: AccessToken | None = None
    verdict: Outcome | None = None
    gone: bool = False


@does(LookAfterTenant)
async def look_after_tenant(
    job: Job, _wanted: LookAfterTenant, *, db: Database, entra: Entra, settings: Settings, app_tokens: AppTokens
) -> None:
    """Each day, until it is not connected: is the application still known there? Outages count for nothing."""
    connection = await access.connection_of(db, job.org_id)
    if connection is None:
        return
    asked = await _ask(db, entra, app_tokens, connection)
    if asked is None:
        return
    if asked.gone:
        await _doubt(job, app_tokens, connection, settings)
        return
    async with job.unit_of_work() as work:
        if asked.token is not None:
            await _trust(work, connection)
        if not isinstance(asked.verdict, Unanswered):
            watching.check_soon(work)
    if isinstance(asked.verdict, Unanswered):
        raise Periodic(asked.verdict.reason, after_s=settings.readiness_retry_s)
    spread = random.uniform(0.9, 1.1)  # noqa: S311 - spreading load
    raise Periodic("it is looked at every day", after_s=settings.look_after_every_s * spread)


@does(CheckReadiness, attempts=CHECK_ATTEMPTS)
async def check_readiness(
    job: Job,
    _wanted: CheckReadiness,
    *,
    db: Database,
    entra: Entra,
    settings: Settings,
    app_tokens: AppTokens,
    contacts: ContactsClient,
) -> None:
    """Everything on the board, once; again by itself while something waits for Microsoft, or it could not be asked."""
    connection = await access.connection_of(db, job.org_id)
    if connection is None:
        return
    known = await _known(job, connection, settings)
    if job.attempt >= CHECK_ATTEMPTS:
        await _keep(job, connection, known, unanswered(AFFECTS, _BROKEN), settings)
        raise GiveUp(_BROKEN)
    asked = await _ask(db, entra, app_tokens, connection)
    if asked is None:
        return
    found = [*await _look(connection, known, asked, settings), await contacts.look(job.org_id, known)]
    again_s = await _keep(job, connection, known, found, settings, gone=asked.gone)
    if again_s is not None:
        raise Periodic("something waits for Microsoft, or is to be asked again", after_s=again_s)


async def _ask(db: Database, entra: Entra, tokens: AppTokens, connection: Connection) -> Asked | None:
    """A new token, never the kept one. None when the application is not known there: the tenant is disconnected."""
    try:
        return Asked(await asyncio.to_thread(acquire, entra, connection.tid))
    except EntraTenantGone:
        await access.lose(db, tokens, connection, access.WITHDRAWN)
        return None
    except EntraRetry as error:
        return Asked(verdict=Unanswered("consent", error.message))
    except EntraMisconfigured as error:
        if isinstance(error, EntraTenantUnknown) and await watching.microsoft_is_there(entra):
            return Asked(verdict=reasons.tenant_doubted(), gone=True)
        said = {"number": error.number, "trace_id": error.trace_id, "reason": error.message}
        log.error("registration.refused", **said)  # noqa: TRY400
        return Asked(verdict=reasons.misconfigured(error))
    except EntraError as error:
        return Asked(verdict=reasons.consent_refused(error.message, (_evidence(error),)))


def _evidence(error: EntraError) -> Evidence:
    code = f"AADSTS{error.number}" if error.number else error.error
    return Evidence("POST", "/{tenant}/oauth2/v2.0/token", 0, datetime.now(UTC), code, error.trace_id)


async def _doubt(job: Job, tokens: AppTokens, connection: Connection, settings: Settings) -> None:
    """Microsoft says that there is no such tenant. It is believed when it says so twice, an hour apart."""
    async with job.unit_of_work() as work:
        row = await queries.tenant_for_change(work.session, job.org_id)
        if not _is(row, connection):
            return
        check = await readiness_queries.check_for_change(work.session, job.org_id)
        if check.doubted_at is None:
            check.doubted_at = await readiness_queries.now(work.session)
            tenant.doubt(row, access.TENANT_GONE)
            watching.check_soon(work)
        left_s = settings.gone_confirm_s - await readiness_queries.age_s(work.session, check.doubted_at)
    if left_s > 0:
        raise Periodic("Microsoft does not know the tenant; it is asked once more", after_s=left_s)
    await access.lose(job.db, tokens, connection, access.TENANT_GONE)


async def _trust(work: JobWork, connection: Connection) -> None:
    row = await queries.tenant_for_change(work.session, work.org_id)
    if not _is(row, connection):
        return
    check = await readiness_queries.check_for_change(work.session, work.org_id)
    check.doubted_at = None
    tenant.trust(row, access.TENANT_GONE)


async def _known(job: Job, connection: Connection, settings: Settings) -> probes.Known:
    async with job.unit_of_work() as work:
        began_at = await readiness_queries.now(work.session)
        row = await queries.tenant(work.session, job.org_id)
        check = await readiness_queries.check(work.session, job.org_id)
        people = await readiness_queries.people(work.session, job.org_id, connection.tid, settings.readiness_people)
        mail_permitted = await readiness_queries.mail_permitted(work.session, job.org_id)
    return probes.Known(
        began_at=began_at,
        roles=frozenset(),
        people=people,
        location=row.storage_location if row else None,
        storage=reasons.Place(row.storage_state, row.storage_nearly_full) if row else reasons.Place(),
        storage_on=bool(row and row.features.get("sharepoint_storage")),
        contacts_on=bool(row and row.features.get("contacts_import")),
        names_at=check.names_at if check else None,
        names_seen=check.names_seen if check else None,
        mail_permitted=mail_permitted,
    )


async def _look(connection: Connection, known: probes.Known, asked: Asked, settings: Settings) -> list[_Told]:
    """Without a token, what needs none is looked at all the same."""
    known = replace(known, roles=roles_of(asked.token)) if asked.token else known
    alone = await asyncio.to_thread(probes.without_asking, known, settings)
    if asked.token is None:
        assert asked.verdict is not None  # noqa: S101 - one of the two is there
        needs_token = [*_ASKED_OF_MICROSOFT, "permissions", "storage_write"]
        rest = [one for one in alone if one.capability not in needs_token]
        return [asked.verdict, *rest, *unanswered(needs_token, _NOT_ASKED + asked.verdict.reason)]
    answers: list[graph.Answered] = []
    background = graph.as_application(settings, connection.org_id, asked.token, priority="backfill", answers=answers)
    async with background as caller:
        prober = probes.Prober(caller, answers, settings)
        consent = await prober.look("consent", _describes(connection), known)
        transcripts = await prober.look("transcript_access", probes.transcript_access, known)
        notified = await prober.look("notifications", probes.notifications, known)
        licences = await prober.look("licences", probes.licences, known)
        mailbox = await prober.look("mailbox", probes.mailboxes, known)
    return [consent, *alone, transcripts, notified, licences, mailbox]


def _describes(connection: Connection) -> probes.Probe[Found]:
    async def probe(prober: probes.Prober, _known: probes.Known) -> Found:
        try:
            found = await graph.organisation(prober.caller)
        except GraphRetry:
            raise
        except GraphError as error:
            return reasons.consent_refused(error.message, prober.evidence(error))
        if found is None or found.tid != connection.tid:
            return reasons.consent_refused("it describes another tenant.", prober.evidence())
        return reasons.consent_ready(prober.evidence())

    return probe


async def _keep(
    job: Job,
    connection: Connection,
    known: probes.Known,
    found: Sequence[_Told],
    settings: Settings,
    *,
    gone: bool = False,
) -> float | None:
    """Keep what was found of this connection. When to look again by itself; None when tomorrow will do."""
    async with job.unit_of_work() as work:
        row = await queries.tenant_for_change(work.session, job.org_id)
        if not _is(row, connection):
            return None
        book = await readiness.open_book(work.session, work.outbox, job.org_id)
        people = probes.answers_of([one for one in found if isinstance(one, probes.Seen)])
        await readiness_queries.keep_people(work.session, job.org_id, connection.tid, people)
        tally = await readiness_queries.tally(work.session, job.org_id)
        outcomes = [probes.of_people(one, tally) if isinstance(one, probes.Seen) else one for one in found]
        readiness.keep(book, outcomes, known.began_at)
        ready = {one.capability for one in outcomes if isinstance(one, Found) and one.verdict == "ready"}
        if ready >= _PROVEN and book.check.doubted_at is None:
            tenant.mended(row)
        if gone and book.check.doubted_at is None:
            watching.look_now(work)
        return _again_s(book, outcomes, settings)


def _is(row: TenantRow, connection: Connection) -> bool:
    return row.status == "connected" and row.connected_at == connection.connected_at


def _again_s(book: readiness.Book, outcomes: list[Outcome], settings: Settings) -> float | None:
    ends = [row.until for row in book.rows.values() if row.until is not None]
    if ends:
        return min(settings.readiness_waiting_every_s, _left_s(min(ends), book.now))
    out_of_reach = book.rows["notifications"].verdict == "action_needed"
    if out_of_reach or any(isinstance(one, Unanswered) for one in outcomes):
        return settings.readiness_retry_s
    return None


def _left_s(until: datetime, now: datetime) -> float:
    """A little beyond the end, so that the look that follows finds it over."""
    return max((until - now) + timedelta(seconds=1), timedelta(seconds=1)).total_seconds()
