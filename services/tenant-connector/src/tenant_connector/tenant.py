"""The connection and how it changes. Every change that others see counts the version up by one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.connections.obstacles import TENANT_NOT_CONNECTED
from shared.connections.refusing import conflict
from shared.database.outbox import Outbox, uuid7
from shared.events import Features, TenantConnected, TenantDisconnected, TenantFeaturesChanged, TenantState
from shared.events.tenant import TenantLeftBecause
from shared.problems import Conflict
from tenant_connector.readiness.verdicts import Obstacle, obstacle
from tenant_connector.tables import TenantRow

Problem = dict[str, Any]


def as_problem(code: str, detail: str, *, support_code: str = "", number: int = 0, trace_id: str = "") -> Problem:
    """A refusal as the row keeps it: code, sentence, and Microsoft's AADSTS number and ids for support, if any."""
    about = {"support_code": support_code, "number": number, "trace_id": trace_id}
    return {"code": code, "detail": detail} | {name: value for name, value in about.items() if value}


def traces(problem: Problem) -> dict[str, Any]:
    """The ids that lead from the audit trail to Microsoft's."""
    return {name: problem[name] for name in ("support_code", "number", "trace_id") if name in problem}


def not_connected() -> Conflict:
    return conflict(TENANT_NOT_CONNECTED)


def claim(row: TenantRow, tid: str, user_id: str, now: datetime) -> str:
    """Remember what is to be proven, in place of any older claim. Returns the claim's id.

    A connected organisation that consents again stays connected meanwhile: nothing is taken from it.
    """
    row.claim_id, row.claimed_tid, row.claimed_by, row.claimed_at = uuid7(), tid, user_id, now
    if row.status != "connected":
        row.status = "proving"
    row.problem = None
    row.version += 1
    return row.claim_id


def connect(row: TenantRow, display_name: str, outbox: Outbox) -> dict[str, bool]:
    """The claim is proven. The features of an earlier connection come back as they were.

    Returns the switches that do not: another tenant does not have the place that was chosen at the last one.
    """
    switched = _leave_place(row) if row.tid not in {None, row.claimed_tid} else {}
    row.tid, row.connected_by, row.display_name = row.claimed_tid, row.claimed_by, display_name
    row.status, row.problem, row.connected_at = "connected", None, datetime.now(UTC)
    row.leaving = None
    _drop_claim(row)
    row.version += 1
    outbox.add(
        TenantConnected(
            org_id=row.org_id,
            aggregate_version=row.version,
            tid=row.tid or "",
            display_name=display_name,
            features=Features.model_validate(row.features),
        )
    )
    if switched:
        _tell_features(row, row.connected_by or "", outbox)
    _tell_state(row, outbox)
    return switched


def wait(row: TenantRow, problem: Problem) -> None:
    """Why the claim is not proven yet, unless a connection is there; the same again is no change."""
    said = row.problem or {}
    if row.status == "proving" and (said.get("code"), said.get("detail")) != (problem["code"], problem["detail"]):
        row.problem = problem
        row.version += 1


def fail(row: TenantRow, problem: Problem) -> None:
    """The claim is not proven. A connection that was there before stays, and shows it until a check finds it mended."""
    _drop_claim(row)
    if row.status != "connected":
        row.status = "failed"
    row.problem = problem
    row.version += 1


def refuse(row: TenantRow, problem: Problem) -> None:
    """A consent did not come about; shown unless a connection or a newer consent is there."""
    if row.status not in {"connected", "proving"}:
        fail(row, problem)


def disconnect(row: TenantRow, reason: str, outbox: Outbox, until: datetime) -> bool:
    """An Org Admin's wish; also ends a proof under way. Whether a connection ended, which is left ``until`` then."""
    if row.status in {"not_connected", "disconnected"}:
        return False
    was_connected = row.status == "connected"
    _drop_claim(row)
    row.status, row.problem = "disconnected", None
    row.version += 1
    if was_connected:
        _tell_disconnected(row, "by_org_admin", reason, outbox, until)
    return True


def lose(row: TenantRow, problem: Problem, outbox: Outbox) -> None:
    """Microsoft does not know us there any more. A new consent under way goes on."""
    row.status, row.problem = "proving" if row.claim_id else "disconnected", problem
    row.version += 1
    _tell_disconnected(row, "unknown_at_microsoft", problem["detail"], outbox)


def doubt(row: TenantRow, problem: Problem) -> None:
    """Microsoft says something that ends the connection when it says it again; until then it is only shown."""
    row.problem = problem
    row.version += 1


def trust(row: TenantRow, problem: Problem) -> None:
    """It did not say it again."""
    if row.problem is not None and row.problem.get("code") == problem["code"]:
        row.problem = None
        row.version += 1


def mended(row: TenantRow) -> None:
    """A check found that consent and permissions are there, so what the last proof lacked is too."""
    if row.claim_id is None and row.problem is not None:
        row.problem = None
        row.version += 1


def switch(
    row: TenantRow, wanted: Mapping[str, bool], user_id: str, outbox: Outbox, red: Mapping[str, Obstacle]
) -> dict[str, bool]:
    """Set the features. Returns what really changed; nothing changes when a switch is refused.

    ``red``: what needs somebody's action at present; what depends on it is not switched on, and off is always possible:
    without a connection it holds from the next one on.
    """
    changed = {name: on for name, on in wanted.items() if row.features[name] != on}
    for name in (name for name, on in changed.items() if on):
        refused = refusal(row, name, red)
        if refused is not None:
            raise refused
    if changed:
        row.features = row.features | changed
        row.version += 1
        _tell_features(row, user_id, outbox)
        _tell_state(row, outbox)
    return changed


def refusal(row: TenantRow | None, feature: str, red: Mapping[str, Obstacle]) -> Conflict | None:
    """Why a feature cannot be switched on; None when it can."""
    if row is None or row.status != "connected":
        return not_connected()
    if feature == "sharepoint_storage" and not row.storage_location:
        return Conflict("storage_location_required", "SharePoint storage needs a place first.")
    found = obstacle(feature, red)
    return _not_ready(feature, found) if found is not None else None


def _not_ready(feature: str, found: Obstacle) -> Conflict:
    remedy = found.remedy or {}
    return Conflict(
        "feature_not_ready",
        f"This cannot be switched on yet. {found.reason} {remedy.get('text', '')}".rstrip(),
        feature=feature,
        capability=found.capability,
        reason=found.reason,
        remedy=found.remedy,
    )


def keep_location(row: TenantRow, location: str, version: int) -> None:
    """Keep the place of files that storage published; older news changes nothing."""
    if version < row.storage_location_version:
        return
    row.storage_location_version = version
    if location != row.storage_location:
        row.storage_location = location
        row.version += 1


def keep_storage_state(row: TenantRow, state: str, nearly_full: bool, version: int) -> bool:
    """Whether the place works, as storage last told it; older news changes nothing. Returns whether this was news."""
    if version <= row.storage_state_version:
        return False
    row.storage_state_version = version
    row.storage_state, row.storage_nearly_full = state, nearly_full
    return True


def _drop_claim(row: TenantRow) -> None:
    row.claim_id = row.claimed_tid = row.claimed_by = row.claimed_at = None


def _leave_place(row: TenantRow) -> dict[str, bool]:
    row.storage_location = row.storage_state = None
    switched = {"sharepoint_storage": False} if row.features["sharepoint_storage"] else {}
    row.features = row.features | switched
    return switched


def _tell_features(row: TenantRow, user_id: str, outbox: Outbox) -> None:
    switches = Features.model_validate(row.features)
    outbox.add(
        TenantFeaturesChanged(org_id=row.org_id, aggregate_version=row.version, features=switches, changed_by=user_id)
    )


def _tell_disconnected(
    row: TenantRow, code: TenantLeftBecause, reason: str, outbox: Outbox, until: datetime | None = None
) -> None:
    """``until`` people's tokens serve to remove what is at Microsoft; None where it knows us no more."""
    about = {"org_id": row.org_id, "aggregate_version": row.version, "tid": row.tid, "leaving_until": until}
    outbox.add(TenantDisconnected.model_validate(about | {"code": code, "reason": reason}))
    _tell_state(row, outbox, until)


def _tell_state(row: TenantRow, outbox: Outbox, leaving_until: datetime | None = None) -> None:
    outbox.add(
        TenantState(
            org_id=row.org_id,
            aggregate_version=row.version,
            connected=row.status == "connected",
            tid=row.tid,
            features=Features.model_validate(row.features),
            changed_at=datetime.now(UTC),
            leaving_until=leaving_until,
        )
    )
