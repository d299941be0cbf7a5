"""What a connection that ends makes of meetings that are being scheduled, changed or cancelled, and what mends it."""

from typing import Any

import pytest
from fastapi import HTTPException


@pytest.mark.parametrize("step", ["booked", "looked_up"])
async def test_a_meeting_cancelled_while_microsoft_is_busy_with_it_is_cancelled_there(house: Any, step: str) -> None:
    """The event exists, whether its answer was lost or came; a busy answer is no try that counts."""
    await house.connect()

    async def cancelled_and_busy() -> None:
        (row,) = await house.sql("SELECT id FROM meeting")
        assert (await house.call("DELETE", f"/v1/meetings/{row.id}")).status_code == 200
        raise HTTPException(503, headers={"Retry-After": "90"})

    setattr(house.microsoft, step, cancelled_and_busy)
    assert (await house.schedule()).json()["status"] == "cancelled"
    setattr(house.microsoft, step, None)
    await house.work()
    assert house.microsoft.cancelled == ["event-1"]
    assert await house.sql("SELECT 1 FROM job") == []
