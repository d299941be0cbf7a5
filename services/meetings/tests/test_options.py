"""Lobby and presenters, changed in Teams as well: read back, and never overwritten unseen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.testing.serving import NO_TLS

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=30)


async def in_teams(house: Any, **options: str) -> None:
    """The organizer changes them in the meeting's options."""
    names = {"lobby": "lobbyBypassSettings", "presenters": "allowedPresenters"}
    body = {names[name]: {"scope": value} if name == "lobby" else value for name, value in options.items()}
    (online_id,) = await house.at_microsoft("id")
    headers = {"Authorization": f"Bearer {house.accounts['anna@contoso.example']['access_token']}"}
    async with httpx.AsyncClient(headers=headers, verify=NO_TLS) as graph:
        url = f"{house.service.settings.graph_base_url}/me/onlineMeetings/{online_id}"
        (await graph.patch(url, json=body)).raise_for_status()


async def read_daily(house: Any) -> None:
    await house.sql("UPDATE mailbox_folder SET swept_at = NULL, dirty = true")
    await house.look()


async def at_microsoft(house: Any) -> tuple[str, str]:
    (options,) = await house.at_microsoft("options")
    lobby = (options.get("lobbyBypassSettings") or {}).get("scope", "organization")
    return lobby, options.get("allowedPresenters", "everyone")


async def booked(house: Any, **more: Any) -> str:
    await house.connect(on=False)
    times = {"start": SOON.isoformat(), "end": (SOON + timedelta(hours=1)).isoformat()}
    (meeting_id,) = await house.booked(**times, **more)
    await read_daily(house)
    return str(meeting_id)


BOTH = {"lobby": "invited", "presenters": "organizer"}
CASES: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str], tuple[str | None, str | None], bool]] = {
    # chosen when it was booked | changed in Teams | then in Prospo | what the record has | whether it is a conflict
    "not changed": (BOTH, {}, {}, ("invited", "organizer"), False),
    "never chosen, and not changed": ({}, {}, {}, (None, None), False),
    "in Teams": (BOTH, {"lobby": "everyone"}, {}, ("everyone", "organizer"), False),
    "in Teams, never chosen here": ({}, {"presenters": "organizer"}, {}, (None, "organizer"), False),
    "each another": (BOTH, {"lobby": "everyone"}, {"presenters": "everyone"}, ("everyone", "everyone"), False),
    "both the same": (BOTH, {"lobby": "everyone"}, {"lobby": "everyone"}, ("everyone", "organizer"), False),
    "both another": (BOTH, {"lobby": "everyone"}, {"lobby": "organizer"}, ("everyone", "organizer"), True),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_was_changed_in_teams_is_read_back(house: Any, case: str) -> None:
    chosen, there, here, expected, conflict = CASES[case]
    meeting_id = await booked(house, **chosen)
    if there:
        await in_teams(house, **there)
    if here:
        assert (await house.call("PATCH", f"/v1/meetings/{meeting_id}", json=here)).status_code == 200
        await house.work()
    await read_daily(house)
    shown = await house.record(meeting_id)
    assert (shown["lobby"], shown["presenters"]) == expected
    assert ((shown["problem"] or {}).get("code") == "changed_in_outlook") is conflict
    if conflict:
        assert "lobby" in shown["problem"]["detail"]
    lobby, presenters = await at_microsoft(house)
    assert (lobby, presenters) == (expected[0] or "organization", expected[1] or "everyone")
    assert await house.published("meeting.rescheduled") == [], "others need not know of it"
    version = shown["version"]
    await read_daily(house)
    assert (await house.record(meeting_id))["version"] == version, "nothing changed since"


async def test_what_cannot_be_read_leaves_the_record_as_it_is(house: Any) -> None:
    meeting_id = await booked(house, **BOTH)
    await house.refuse(403, "*/onlineMeetings/*")
    await read_daily(house)
    shown = await house.record(meeting_id)
    assert (shown["lobby"], shown["presenters"], shown["problem"]) == ("invited", "organizer", None)


async def test_all_of_a_series_have_what_was_changed_in_teams(house: Any) -> None:
    await house.connect(on=False)
    body = {"subject": "Daily", "start": SOON.isoformat(), "end": (SOON + timedelta(hours=1)).isoformat()}
    body |= {"repeats": {"every": "day", "count": 3}, "lobby": "invited"}
    made = await house.call("POST", "/v1/meetings/series", json=body, headers={"Idempotency-Key": "s"})
    await house.work()
    await read_daily(house)
    await in_teams(house, lobby="everyone")
    await read_daily(house)
    found = (await house.call("GET", f"/v1/meetings?series_id={made.json()['id']}")).json()["items"]
    assert [one["lobby"] for one in found] == ["everyone"] * 3
