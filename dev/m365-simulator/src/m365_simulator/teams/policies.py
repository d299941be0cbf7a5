"""What administrators allow: switches of a tenant, and of a person, which win over the tenant's.

``recordings_alone``: a recording without a transcript is handed out too; by default it is not.

Microsoft's own defaults differ in two places, for the convenience of development: names of speakers are off until an
administrator turns them on, and an application has no access policy until one is granted.
"""

from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row

DEFAULTS = {
    "online_meetings": True,
    "recording": True,
    "transcription": True,
    "speaker_names": True,
    "recordings_alone": False,
    "downloads": True,
    "attendees_download": False,
}
DELIVERY = {"redirect": True, "other_host": False, "ranges": True}
"""How a recording's bytes are handed out. Unproven: pages show 200 with bytes, one project in the field got a link."""
USUAL_DELAY_S = 300
TIMING: Row = {"recordings_s": USUAL_DELAY_S, "transcripts_s": USUAL_DELAY_S, "notify_s": 0, "readable_s": 0}
TIMING["content_s"] = 0
"""Seconds from the end of a call to an artefact, and from there to its notification, its GET and its content.
``None`` is never."""


def allowed(simulator: Simulator, user: Row, name: str) -> bool:
    for key in (user["id"], user["tenant"]):
        row = simulator.store.get("policies", key) or {}
        if row.get(name) is not None:
            return bool(row[name])
    return DEFAULTS[name]


def set_policy(simulator: Simulator, key: str, given: Row) -> Row:
    """``key``: a tenant's or a user's id. None of a switch leaves it as it is."""
    row = simulator.store.get("policies", key) or {"id": key}
    return simulator.store.put("policies", key, row | {k: v for k, v in given.items() if v is not None})


def delivery(simulator: Simulator) -> Row:
    return DELIVERY | (simulator.store.get("settings", "recording_delivery") or {})


def timing(simulator: Simulator, meeting: Row) -> Row:
    everywhere = simulator.store.get("settings", "artefact_timing") or {}
    return {**TIMING, **everywhere, **(meeting.get("timing") or {})}


def grant_access(simulator: Simulator, tenant: str, user: str | None, *, granted: bool, after_s: float) -> Row:
    """An application access policy for everybody or for one person; in force ``after_s`` of the service clock."""
    row = simulator.store.get("access_policies", tenant) or {"id": tenant, "everybody": _always(True), "users": {}}
    since = stamp(simulator.clock.service())
    before = has_access(simulator, tenant, user)
    entry = {"granted": granted, "before": before, "since": since, "after_s": after_s}
    if user is None:
        row["everybody"] = entry
    else:
        row["users"][user] = entry
    return simulator.store.put("access_policies", tenant, row)


def _always(granted: bool) -> Row:
    return {"granted": granted, "before": granted, "since": "2000-01-01T00:00:00Z", "after_s": 0}


def has_access(simulator: Simulator, tenant: str, user: str | None) -> bool:
    row = simulator.store.get("access_policies", tenant) or {"everybody": _always(True), "users": {}}
    return any(_in_force(simulator, entry) for entry in (row["everybody"], row["users"].get(user)) if entry)


def any_access(simulator: Simulator, tenant: str) -> bool:
    """Whether the application has a policy at all, be it for somebody else."""
    row = simulator.store.get("access_policies", tenant) or {"everybody": _always(True), "users": {}}
    return any(_in_force(simulator, entry) for entry in (row["everybody"], *row["users"].values()))


def _in_force(simulator: Simulator, entry: Row) -> bool:
    passed = (simulator.clock.service() - moment_of(entry["since"])).total_seconds()
    return bool(entry["granted"] if passed >= entry["after_s"] else entry["before"])
