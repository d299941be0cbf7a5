"""What one person may have under way, and how long a request's key is known."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from meetings.main import create_service
from meetings.settings import Settings
from shared.events import Features, TenantState, UserState
from shared.testing.harness import Harness, StartService

BODY = {"subject": "Review", "start": "2030-03-01T10:00:00Z", "end": "2030-03-01T11:00:00Z"}


@pytest.fixture
async def meetings(start_service: StartService, platform_keys: Any) -> Harness:
    limits = {"schedule_wait_s": 0, "meetings_under_way": 2, "request_keys_keep_days": 30}
    harness = Harness(await start_service(create_service, Settings, "meetings", **limits), platform_keys)
    about = {"org_id": "acme", "aggregate_version": 1, "connected": True, "tid": "t1", "changed_at": datetime.now(UTC)}
    tenant = TenantState.model_validate(about | {"features": Features(auto_recording=True)})
    people = [
        UserState.model_validate(
            about | {"user_id": user, "status": "connected", "oid": user, "name": user, "email": user}
        )
        for user in ("anna", "ben")
    ]
    await harness.hear(tenant, *people)
    return harness


async def schedule(meetings: Harness, key: str, user: str = "anna") -> httpx.Response:
    return await meetings.call("POST", "/v1/meetings", user=user, json=BODY, headers={"Idempotency-Key": key})


async def test_a_person_has_so_many_meetings_under_way_and_no_more(meetings: Harness) -> None:
    assert [(await schedule(meetings, key)).status_code for key in "abc"] == [202, 202, 429]
    refused = await schedule(meetings, "c")
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many_under_way", "60")
    assert (await schedule(meetings, "a")).status_code == 202  # the same request again
    assert (await schedule(meetings, "c", "ben")).status_code == 202  # others stay served


async def test_a_requests_key_is_forgotten_after_its_time(meetings: Harness) -> None:
    for user in ("anna", "ben"):
        await schedule(meetings, "old", user)
    await meetings.sql("UPDATE request_key SET created_at = created_at - interval '31 days'")
    assert (await schedule(meetings, "new")).status_code == 202
    assert {(row["user_id"], row["key"]) for row in await meetings.rows("request_key")} == {
        ("anna", "new"),
        ("ben", "old"),
    }
