"""Faults of this service, matched by what it knows: the tenant by id or domain, and what else is given."""

from m365_simulator.core import Simulator
from m365_simulator.store import Row


def strikes(simulator: Simulator, name: str, tenant: str, **about: str | None) -> Row | None:
    """The fault that strikes, counted, or None."""
    domain = (simulator.store.get("tenants", tenant) or {}).get("domain", "")
    return simulator.faults.due(name, tenant=f"{tenant}\n{domain}", **about)
