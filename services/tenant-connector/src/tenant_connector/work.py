"""The jobs of the tenant-connector; ``jobs.py`` and ``readiness_jobs.py`` do them."""

from typing import ClassVar

from shared.jobs import Priority, Work


class ProveTenant(Work):
    """Prove that the claimed tenant is the organisation's, then connect it.

    ``request_id`` is that of the request that claimed it; ``link_oid`` the administrator who came by a link.
    """

    kind = "prove"
    priority: ClassVar[Priority] = "interactive"
    keyed_by = ("claim_id",)
    claim_id: str
    request_id: str = ""
    link_oid: str | None = None


class OfTenant(Work):
    """One at a time per organisation."""

    priority: ClassVar[Priority] = "backfill"

    @property
    def key(self) -> str:
        return "tenant"


class LookAfterTenant(OfTenant):
    """Each day: is the application still known in the tenant?"""

    kind = "look_after_tenant"


class EndLeaving(Work):
    """The time is over for what is removed at Microsoft after the disconnect of ``version``."""

    kind = "end_leaving"
    keyed_by = ("version",)
    version: int


class CheckReadiness(OfTenant):
    """Probe everything on the readiness board once."""

    kind = "check_readiness"


class ForgetPick(Work):
    """Delete a person's sign-in for browsing when its time is over."""

    kind = "forget_pick"
    keyed_by = ("user_id",)
    user_id: str
