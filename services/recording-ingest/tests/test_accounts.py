"""Whose account a meeting was made with, and what that account is permitted."""

from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from .steps import booked, counts, do_all


async def change_account(house: Any, version: int, account: dict[str, Any]) -> None:
    """The person disconnects and connects another Microsoft account."""
    await house.hear(house.person(version, connected=False))
    await do_all(house)
    house.user_auth.tokens["acme", "anna"] = account
    await house.hear(house.person(version + 1, connected=True))
    await do_all(house)


async def test_another_account_is_not_asked_for_meetings_of_the_former(house: Any) -> None:
    """One recording is known and one meeting's is not; the other account would find neither and call them deleted."""
    known, unseen = await booked(house), await house.book()
    down = Response(status_code=503)
    house.our_wire.instead = lambda _method, path: down if path.startswith("/storage") else None
    await house.happen(known)
    await house.settle()
    house.our_wire.instead = None
    former = house.user_auth.tokens["acme", "anna"]
    await house.hear(house.scheduled(unseen, "m2"))
    await house.microsoft.fault("drop_notifications", times=2)
    await house.happen(unseen)
    calls = len(house.graph_wire.requests)
    await change_account(house, 2, house.user_auth.tokens["globex", "carl"])
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '3 days', resumed_at = NULL")
    await house.sql("UPDATE ledger_meeting SET ends_at = ends_at - interval '3 days'")
    await do_all(house)
    assert [path for _, path, _ in house.graph_wire.requests[calls:] if "/me/onlineMeetings/" in path] == []
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("paused", "another_account")
    assert "connect the former again" in shown["reason"]
    assert (await house.ledger("m2"))["recording"]["code"] == "another_account"
    await change_account(house, 4, former)
    assert (await counts(house))[1] == 2
    assert {one["status"] for one in (await house.ledger("m2")).values()} == {"imported"}


def forbidden(_method: str, path: str) -> Any:
    body = {"error": {"code": "Forbidden", "message": "The application does not have the permission."}}
    return JSONResponse(body, 403) if "/me/onlineMeetings/" in path else None


async def test_a_permission_taken_back_is_named_and_made_up_for_when_allowed(
    house: Any,
) -> None:
    """One recording is known, one meeting's is not, one meeting is to come."""
    known, unseen = await booked(house), await house.book()
    later = await house.book(start=datetime.now(UTC) + timedelta(days=9))
    down = Response(status_code=503)
    house.our_wire.instead = lambda _method, path: down if path.startswith("/storage") else None
    await house.happen(known)
    await house.settle()
    house.our_wire.instead, house.graph_wire.instead = None, forbidden
    just_now = datetime.now(UTC) - timedelta(hours=1)
    past = {"start": just_now, "end": just_now + timedelta(minutes=30)}
    await house.hear(house.scheduled(unseen | past, "m2"), house.scheduled(later, "m3"))
    await house.microsoft.fault("drop_notifications", times=2)
    await house.happen(unseen)
    await do_all(house)
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '3 days'")
    await do_all(house)
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("unavailable", "permission_missing")
    assert "Allow it again" in shown["reason"]
    assert (await house.ledger("m2"))["recording"]["code"] == "permission_missing"
    assert (await house.ledger("m3"))["recording"]["status"] == "expected"
    house.graph_wire.instead = None
    await house.hear(house.person(2, connected=True))
    await house.settle()
    assert (await counts(house))[1] == 2
    assert {one["status"] for one in (await house.ledger("m2")).values()} == {"imported"}
