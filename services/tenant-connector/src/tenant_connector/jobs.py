"""The jobs of tenant-connector."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from shared.entra.client import Entra
from shared.jobs import Again, Jobs
from shared.jobs.job import Job, JobWork
from tenant_connector import audit, leaving, picks, proof, queries, tenant
from tenant_connector.readiness import schedule as watching
from tenant_connector.settings import Settings
from tenant_connector.tables import TenantRow
from tenant_connector.work import EndLeaving, ForgetPick, ProveTenant

ATTEMPTS = 12
"""Tries that end unexpectedly; waiting for Microsoft is not counted among them."""
LONGEST_PAUSE_S = 15.0
_ELSEWHERE: tenant.Problem = {
    "code": "tenant_connected_elsewhere",
    "detail": "This Microsoft 365 tenant is connected to another organisation in Prospo, and one tenant belongs to one "
    "organisation. Disconnect it there first, or consent with the tenant of your own organisation.",
}
_BROKEN: tenant.Problem = {
    "code": "proof_broken",
    "detail": "Prospo could not verify your tenant because of an error on our side. Connect again later.",
}

does = Jobs()


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim to prove, and since when it is claimed."""

    tid: str
    age_s: float


@does(ProveTenant, attempts=ATTEMPTS)
async def prove(job: Job, wanted: ProveTenant, *, entra: Entra, settings: Settings) -> None:
    """Connect the organisation when the claim holds. A claim that was replaced or dropped is left alone."""
    claim = await _claim(job, wanted)
    if claim is None:
        return
    if job.attempt >= ATTEMPTS:
        await _fail(job, wanted, _BROKEN)
        return
    try:
        display_name = await proof.prove(settings, entra, job.org_id, claim.tid)
    except proof.NotYet as reason:
        left_s = await _wait(job, wanted, reason, settings)
        if left_s <= 0 and not isinstance(reason, proof.NotAnswered):
            await _fail(job, wanted, reason.problem)
            return
        said_s = reason.after_s if isinstance(reason, proof.NotAnswered) else 0
        pause_s = max(settings.proof_retry_s, said_s, min(claim.age_s / 4, LONGEST_PAUSE_S))
        raise Again(str(reason), after_s=min(pause_s, left_s or LONGEST_PAUSE_S), counts=False) from reason
    except proof.Disproven as reason:
        await _fail(job, wanted, reason.problem)
    else:
        await _connect(job, wanted, display_name, settings)


@does(EndLeaving)
async def end_leaving(job: Job, wanted: EndLeaving) -> None:
    """Whoever has not told by now is counted as unknown; a connection that was made meanwhile is left alone."""
    async with job.unit_of_work() as work:
        row = await queries.tenant_for_change(work.session, job.org_id)
        if row.leaving is not None and row.leaving["ended_in"] == wanted.version and not row.leaving["over"]:
            await leaving.end(work, row)


async def _claim(job: Job, wanted: ProveTenant) -> Claim | None:
    async with job.unit_of_work() as work:
        row = await queries.tenant(work.session, job.org_id)
        if row is None or not _is_current(row, wanted) or row.claimed_tid is None or row.claimed_at is None:
            return None
        waited = await queries.now(work.session) - row.claimed_at
        return Claim(row.claimed_tid, waited.total_seconds())


async def _wait(job: Job, wanted: ProveTenant, reason: proof.NotYet, settings: Settings) -> float:
    """Show why it is not proven yet. How much patience is left: it is counted from Microsoft's first such answer on."""
    async with job.unit_of_work() as work:
        row = await _locked(work, wanted)
        if row is not None:
            tenant.wait(row, _of_trip(wanted, reason.problem))
        now = await queries.now(work.session)
        if "not_yet_since" not in job.checkpoint and not isinstance(reason, proof.NotAnswered):
            await work.save_checkpoint({"not_yet_since": now.isoformat()})
        since = datetime.fromisoformat(job.checkpoint.get("not_yet_since", now.isoformat()))
    return max(settings.proof_patience_s - (now - since).total_seconds(), 0)


async def _connect(job: Job, wanted: ProveTenant, display_name: str, settings: Settings) -> None:
    try:
        async with job.unit_of_work() as work:
            row = await _locked(work, wanted)
            if row is not None:
                switched = tenant.connect(row, display_name, work.outbox)
                _note_connected(work, wanted, row)
                if switched:
                    audit.note(work.session, job.org_id, audit.SERVICE, "features.change", changed=switched)
                await watching.begin(work, settings)
                await work.session.flush()
    except IntegrityError as error:
        if "tenant_connected_once" not in str(error.orig):
            raise
        await _fail(job, wanted, _ELSEWHERE)


def _note_connected(work: JobWork, wanted: ProveTenant, row: TenantRow) -> None:
    """Note who connected. With a link that is the administrator who held it; ``connected_by`` made the link."""
    org_id, oid, by = work.job.org_id, wanted.link_oid, row.connected_by
    if oid is None:
        audit.note(work.session, org_id, by or audit.SERVICE, "tenant.connect", tid=row.tid)
    else:
        audit.note(work.session, org_id, audit.LINK, "tenant.connect", tid=row.tid, user_id=by, oid=oid)


async def _fail(job: Job, wanted: ProveTenant, problem: tenant.Problem) -> None:
    async with job.unit_of_work() as work:
        row = await _locked(work, wanted)
        if row is not None:
            problem = _of_trip(wanted, problem)
            details = {"code": problem["code"], "claimed_tid": row.claimed_tid} | tenant.traces(problem)
            audit.note(work.session, job.org_id, audit.SERVICE, "tenant.connect", "failed", **details)
            tenant.fail(row, problem)


def _of_trip(wanted: ProveTenant, problem: tenant.Problem) -> tenant.Problem:
    """The support code is that of the request which claimed the tenant: the trace goes on from there."""
    return problem | ({"support_code": wanted.request_id} if wanted.request_id else {})


async def _locked(work: JobWork, wanted: ProveTenant) -> TenantRow | None:
    """The row, while the claim is still the one this job proves."""
    row = await queries.tenant_for_change(work.session, work.job.org_id)
    return row if _is_current(row, wanted) else None


def _is_current(row: TenantRow, wanted: ProveTenant) -> bool:
    return row.claim_id is not None and row.claim_id == wanted.claim_id


@does(ForgetPick)
async def forget_pick(job: Job, wanted: ForgetPick) -> None:
    """The token of somebody who browsed SharePoint goes when its time is over."""
    await picks.forget_old(job, wanted.user_id)
