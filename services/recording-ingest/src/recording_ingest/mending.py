"""Resumes imports when the organisation mends something: a switch, a permission, a licence."""

from recording_ingest import ledger, queries
from recording_ingest.settings import Settings
from shared.jobs.job import Job

_REFUSED = frozenset({"admin_required", "download_blocked", "microsoft_refused", "permission_missing"})
MENDS: dict[str, frozenset[str]] = {
    "transcript_access": frozenset({"transcripts_disabled"}),
    "permissions": _REFUSED,
    "consent": _REFUSED,
    "application_access_policy": _REFUSED,
    "licences": _REFUSED | {"meeting_gone"},
}
"""A capability of the readiness board, and the reasons that are over when it is ready."""
KEPT_DAYS = 60
"""Microsoft forgets an online meeting so long after its end; nothing can be fetched then."""
_BATCH = 20


async def look_again(job: Job, capability: str, settings: Settings) -> None:
    """Every meeting of the organisation with such a reason, some at a time; doing it twice does no harm."""
    after: str | None = ""
    while after is not None:
        async with job.unit_of_work() as work:
            codes = sorted(MENDS.get(capability, ()))
            ids = await queries.absent_because(work.session, work.org_id, codes, KEPT_DAYS, after, _BATCH)
            await ledger.check_again(work, ids, settings)
        after = ids[-1] if len(ids) == _BATCH else None
