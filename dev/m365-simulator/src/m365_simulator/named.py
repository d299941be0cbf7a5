"""Whom and what a verb means by a name; who is not there is refused with those who are."""

from .core import Simulator
from .directory import find_tenant, find_user
from .store import Row
from .verbs import Refused


def tenant_row(simulator: Simulator, name: str) -> Row:
    """By GUID or domain."""
    found = find_tenant(simulator.store, name)
    if found is None:
        known = ", ".join(row["domain"] for row in simulator.store.all("tenants"))
        raise Refused(f"There is no tenant '{name}'. Known: {known}.")
    return found


def person_row(simulator: Simulator, name: str) -> Row:
    """By object id or address."""
    found = find_user(simulator.store, name)
    if found is None:
        known = ", ".join(row["address"] for row in simulator.store.all("users"))
        raise Refused(f"There is nobody called '{name}'. Known: {known}.")
    return found
