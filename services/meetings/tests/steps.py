"""What tests of the switch and of lost connections have in common."""

from datetime import UTC, datetime
from typing import Any

from shared.events import Features, TenantState, UserState

OID = "0b1f2a66-0000-4000-8000-000000000001"


def tenant(version: int, *, on: bool, connected: bool = True) -> TenantState:
    about = {"org_id": "acme", "aggregate_version": version, "connected": connected, "tid": "t1"}
    return TenantState(**about, changed_at=datetime.now(UTC), features=Features(auto_recording=on))


def person(version: int, *, connected: bool, oid: str = OID) -> UserState:
    about = {"org_id": "acme", "user_id": "anna", "aggregate_version": version, "connected": connected, "tid": "t1"}
    status = "connected" if connected else "disconnected"
    return UserState(**about, changed_at=datetime.now(UTC), status=status, oid=oid, name="Anna", email="a@acme.example")


async def booked(house: Any, count: int = 1, **more: Any) -> list[str]:
    return [(await house.schedule(f"k{number}", **more)).json()["id"] for number in range(count)]


def at_microsoft(house: Any) -> list[bool]:
    return [item["recordAutomatically"] for item in house.microsoft.online.values()]
