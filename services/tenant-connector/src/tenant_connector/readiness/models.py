"""The readiness board as the API shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from shared.problems import Conflict
from shared.web.routes import StrictModel
from tenant_connector.readiness import verdicts
from tenant_connector.readiness.queries import Tally
from tenant_connector.readiness.tables import ReadinessCheckRow, ReadinessRow
from tenant_connector.readiness.verdicts import Obstacle


class NewCheck(StrictModel):
    """Nothing to say: everything is checked."""


class RemedyShown(BaseModel):
    """``who`` must act: org_admin, microsoft_admin, teams_admin, operator or nobody; ``command`` is one to paste."""

    who: str
    text: str
    command: str | None


class EvidenceShown(BaseModel):
    """What Microsoft was asked and said; ``request_id`` is what its support asks for."""

    method: str
    path: str
    status: int
    code: str | None
    request_id: str | None
    at: datetime


class PersonShown(BaseModel):
    """Somebody who lacks something: account (enabled), membership, teams, exchange, mailbox. Told to Org Admins."""

    user_id: str
    lacks: list[str]


@dataclass(frozen=True, slots=True)
class Lacking:
    """People who lack something, named where the reader may know them, and their number."""

    people: list[tuple[str, list[str]]]
    tally: Tally

    def counted(self, capability: str) -> int:
        return {"licences": self.tally.unlicensed, "mailbox": self.tally.without_mailbox}.get(capability, 0)

    def named(self, capability: str) -> list[PersonShown]:
        """The people who lack what the capability needs."""
        about = {"licences": {"account", "membership", "teams", "exchange"}, "mailbox": {"mailbox"}}
        mine = about.get(capability, set())
        wanting = [(user_id, [one for one in lacks if one in mine]) for user_id, lacks in self.people]
        return [PersonShown(user_id=user_id, lacks=lacks) for user_id, lacks in wanting if lacks]


class CapabilityShown(BaseModel):
    """One row of the board. ``failure``: why the newest look brought no answer, so that the verdict is an older one.

    ``people_lacking`` are as many as lack what the capability is about; ``people`` names them to Org Admins.
    """

    capability: str
    verdict: str
    reason: str
    remedy: RemedyShown | None
    affects: list[str]
    evidence: list[EvidenceShown]
    details: dict[str, Any]
    people_lacking: int
    people: list[PersonShown]
    checked_at: datetime | None
    since: datetime | None
    until: datetime | None
    failed_at: datetime | None
    failure: str | None

    @classmethod
    def of(cls, row: ReadinessRow, lacking: Lacking) -> Self:
        shown = row.model_dump(exclude={"org_id", "remedy", "since", "patience_until"})
        shown |= {"people": lacking.named(row.capability), "people_lacking": lacking.counted(row.capability)}
        remedy = RemedyShown.model_validate(row.remedy) if row.remedy else None
        affects = verdicts.AFFECTS[row.capability]
        since = row.since if row.checked_at else None
        return cls.model_validate(shown | {"remedy": remedy, "affects": affects, "since": since}, from_attributes=True)


class FeatureShown(BaseModel):
    """Whether a switch can go on. ``warnings``: it can, but not all of it will work.

    ``blocked_by``: the capability that stands in the way, or the code with which it is refused when that is none.
    """

    feature: str
    can_be_switched_on: bool
    blocked_by: str | None
    warnings: list[str]

    @classmethod
    def of(cls, feature: str, refused: Conflict | None, wanting: Mapping[str, Obstacle]) -> Self:
        return cls(
            feature=feature,
            can_be_switched_on=refused is None,
            blocked_by=refused.extra.get("capability", refused.code) if refused else None,
            warnings=[one.reason for one in verdicts.warnings(feature, wanting)],
        )


class Board(BaseModel):
    """What the organisation's Microsoft 365 lets Prospo do, capability by capability."""

    connected: bool
    checking: bool
    asked_at: datetime | None
    checked_at: datetime | None
    capabilities: list[CapabilityShown]
    features: list[FeatureShown]

    @classmethod
    def of(
        cls,
        connected: bool,
        check: ReadinessCheckRow | None,
        rows: Iterable[ReadinessRow],
        lacking: Lacking,
        features: list[FeatureShown],
    ) -> Self:
        known = check or ReadinessCheckRow(org_id="")
        return cls(
            connected=connected,
            checking=known.asked_at is not None and (known.began_at is None or known.began_at < known.asked_at),
            asked_at=known.asked_at,
            checked_at=known.done_at,
            capabilities=[CapabilityShown.of(row, lacking) for row in rows],
            features=features,
        )
