"""Attendees get the mails that Teams would send, and no other, whatever goes wrong on the way to Microsoft."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

BEN, EVE = "ben@contoso.example", "eve@out.example"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
TIMES = {"start": TOMORROW.isoformat(), "end": (TOMORROW + timedelta(hours=1)).isoformat()}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("slow", {"seconds": 0, "times": 1}),
    "an answer is lost": ("done_but_error", {"times": 1}),
    "the connection breaks after it": ("done_but_reset", {"times": 1}),
    "it fails before": ("server_error", {"times": 2}),
    "the connection breaks before": ("reset", {"times": 1}),
    "it is busy": ("refused", {"status": 429, "code": "TooManyRequests", "times": 1}),
}


async def until_done(house: Any) -> None:
    for _ in range(4):
        await house.try_again()
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL")
    await house.look()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_attendee_is_mailed_once_for_what_concerns_them(house: Any, fault: str, method: str) -> None:
    await house.connect(on=False)
    name, how = FAULTS[fault]

    async def strikes() -> None:
        await house.microsoft.clear_faults()
        await house.microsoft.fault(name, match={"method": method, "path": "*/events*"}, **how)

    async def mailed() -> list[tuple[str, str]]:
        await until_done(house)
        found = [(one["kind"], one["to"]) for one in (await house.microsoft.state())["invitations"]]
        new, house.read = found[getattr(house, "read", 0) :], len(found)
        return sorted(new)

    await strikes()
    made = await house.schedule(**TIMES, attendees=[{"email": BEN}])
    assert await mailed() == [("invitation", BEN)]
    path = f"/v1/meetings/{made.json()['id']}"
    await strikes()
    await house.call("PATCH", path, json={"subject": "Renamed", "body": "Agenda"})
    assert await mailed() == [("update", BEN)]
    await strikes()
    await house.call("PATCH", path, json={"attendees": [{"email": BEN}, {"email": EVE}]})
    assert await mailed() == [("invitation", EVE)]
    await strikes()
    await house.call("DELETE", path)
    assert await mailed() == [("cancellation", BEN), ("cancellation", EVE)]
    told = [len(await house.published(f"meeting.{topic}")) for topic in ("scheduled", "rescheduled", "cancelled")]
    assert told == [1, 2, 1]
