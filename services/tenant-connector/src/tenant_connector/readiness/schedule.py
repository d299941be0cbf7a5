"""Looking after a connected tenant: when it is looked at, and whether Microsoft's sign-in is there at all."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

from shared.database.unit_of_work import UnitOfWork
from shared.entra.aadsts import EntraError
from shared.entra.client import Entra
from tenant_connector.readiness import queries as readiness_queries
from tenant_connector.settings import Settings
from tenant_connector.work import CheckReadiness, LookAfterTenant

_ANY_TENANT = "organizations"


async def begin(work: UnitOfWork, settings: Settings) -> None:
    """A tenant was just connected: a first check soon, and a look each day from some moment of the coming one on."""
    check = await readiness_queries.check_for_change(work.session, work.org_id)
    now = await readiness_queries.now(work.session)
    check.patience_until = now + timedelta(seconds=settings.readiness_propagation_s)
    check.doubted_at = None
    await readiness_queries.forget_mail_refusals(work.session, work.org_id)
    some_time = settings.look_after_every_s * random.uniform(0.1, 1)  # noqa: S311 - spreading load
    work.queue(LookAfterTenant(), run_at=_in(some_time))
    check_soon(work, settings.readiness_first_check_s)


def look_now(work: UnitOfWork) -> None:
    work.queue(LookAfterTenant())


def check_soon(work: UnitOfWork, after_s: float = 0) -> None:
    """One at a time per organisation: a second one only brings the first forward, or follows it."""
    work.queue(CheckReadiness(), run_at=_in(after_s))


def check_now(work: UnitOfWork) -> None:
    """Somebody waits for it."""
    work.queue(CheckReadiness(), priority="interactive")


async def microsoft_is_there(entra: Entra) -> bool:
    """Whether the sign-in answers for tenants at all. When it does not, one it refuses is not gone: we are wrong."""
    return await asyncio.to_thread(_answers, entra)


def _answers(entra: Entra) -> bool:
    try:
        with entra.application(_ANY_TENANT):
            return True
    except EntraError:
        return False


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
