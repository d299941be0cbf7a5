"""What the Org Admin's switch does to meetings: booked, switched off, held, switched on again, disconnected."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from dev.demo import Demo, Json

from .conftest import ask

OFF = "feature_off"
LISTENING = ("meetings", "recording_ingest")
IDLE = """SELECT NOT EXISTS (SELECT FROM graph_notification)
    AND NOT EXISTS (SELECT FROM job WHERE state = 'running' OR state = 'waiting' AND run_at <= clock_timestamp())"""
"""Whatever Microsoft told has been acted on or dropped, and nothing is left to do now."""
DUE = "UPDATE job SET run_at = clock_timestamp() WHERE kind = 'reconcile' AND state = 'waiting' RETURNING true"
"""Its time has come for every comparison of the ledger with what Microsoft has."""
FORGOTTEN = "SELECT NOT EXISTS (SELECT FROM graph_subscription)"


async def until(demo: Demo, look: Callable[[], Awaitable[bool]], what: str) -> None:
    async def true() -> Json | None:
        return {"yes": True} if await look() else None

    await demo.until(true, what)


async def switch(demo: Demo, *, on: bool) -> None:
    etag = (await demo.call("acme-admin", "GET", "/v1/tenant")).headers["etag"]
    body, headers = {"auto_recording": on}, {"If-Match": etag}
    await demo.call("acme-admin", "PATCH", "/v1/tenant/features", json=body, headers=headers)


async def book(demo: Demo) -> Json:
    start: datetime = (await demo.latest_now() + timedelta(minutes=30)).replace(second=0, microsecond=0)
    body = {"subject": "Review", "start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    request = {"key": str(uuid.uuid4()), "body": body | {"attendees": []}}
    booked: Json = await demo.until(lambda: demo.post_meeting(request), "meetings knows Anna's connection")
    made: Json = await demo.until(lambda: demo.meeting_if(booked["id"], "join_url"), "the join link is there")
    return made


async def record(demo: Demo, meeting: Json) -> Json:
    found: Json = (await demo.call("acme-anna", "GET", f"/v1/meetings/{meeting['id']}")).json()
    return found


async def ledger(demo: Demo, meeting: Json) -> dict[str, Json]:
    found = (await demo.call("acme-anna", "GET", f"/v1/ledger/{meeting['id']}")).json()
    return {item["kind"]: item for item in found["artefacts"]}


async def holds(demo: Demo, service: str, question: str) -> bool:
    """Whether the database says so. Nothing else tells that a service has decided to do nothing."""
    return bool(await ask(demo.state, service, question))


async def all_idle(demo: Demo) -> bool:
    return all([await holds(demo, service, IDLE) for service in LISTENING])


async def compared(demo: Demo) -> None:
    """What Microsoft told is acted on or dropped, and the ledger is compared once more."""
    await until(demo, partial(all_idle, demo), "what Microsoft told is dealt with")
    assert await holds(demo, "recording_ingest", DUE)
    await until(demo, partial(all_idle, demo), "the ledger is compared")


async def switched_off(demo: Demo, meeting: Json) -> bool:
    """In the ledger."""
    found = await ledger(demo, meeting)
    return all(found[kind]["status"] == "not_expected" and found[kind]["code"] == OFF for kind in found)


async def artefacts(demo: Demo) -> int:
    """How many Microsoft has."""
    return len((await demo.microsoft.state())["artefacts"])


async def records_by_itself(demo: Demo, meeting: Json) -> bool:
    rows = (await demo.microsoft.state())["meetings"]
    return bool(next(row for row in rows if row["join_url"] == meeting["join_url"])["recordAutomatically"])


async def imported(demo: Demo, meeting: Json) -> bool:
    shown = await record(demo, meeting)
    return all((shown[kind] or {}).get("status") == "imported" for kind in ("recording", "transcript"))


async def recording_by_itself(demo: Demo, meeting: Json) -> bool:
    """At Microsoft and in the record; a meeting booked as the switch moves follows a moment later."""
    return await records_by_itself(demo, meeting) and (await record(demo, meeting))["auto_recording"]


async def not_recording(demo: Demo, meeting: Json) -> bool:
    """At Microsoft and in the record."""
    return not await records_by_itself(demo, meeting) and not (await record(demo, meeting))["auto_recording"]


async def cannot_be_changed(demo: Demo, meeting: Json) -> bool:
    told = (await record(demo, meeting))["problem"] or {}
    return told.get("code") in {"tenant_not_connected", "account_not_connected"}


async def hold_while_off(demo: Demo) -> None:
    first = await book(demo)
    await until(demo, partial(recording_by_itself, demo, first), "the switch has reached the meeting")
    await switch(demo, on=False)
    await until(demo, lambda: not_recording(demo, first), "Microsoft and the record have it")
    assert "switched off" in (await record(demo, first))["auto_recording_reason"]
    await until(demo, partial(switched_off, demo, first), "the ledger has it")
    before = await artefacts(demo)
    await demo.microsoft.let_meeting_happen(first["join_url"])
    assert await artefacts(demo) == before
    await compared(demo)
    assert (await ledger(demo, first))["recording"]["code"] == OFF


async def hold_when_on_again(demo: Demo) -> None:
    await switch(demo, on=True)
    second = await book(demo)
    await until(demo, partial(recording_by_itself, demo, second), "the switch has reached the meeting")
    await demo.microsoft.let_meeting_happen(second["join_url"])
    await until(demo, lambda: imported(demo, second), "recording and transcript of the next meeting arrive")


async def record_by_hand_while_off(demo: Demo) -> Json:
    """Left at Microsoft until the switch is on again. Returns another meeting, which is still to come."""
    third, later = await book(demo), await book(demo)
    await switch(demo, on=False)
    for meeting in (third, later):
        await until(demo, partial(not_recording, demo, meeting), "Microsoft and the record have it")
        await until(demo, partial(switched_off, demo, meeting), "the ledger has it")
    await until(demo, partial(all_idle, demo), "all is done that the switch asks for")
    calls, before = len(await demo.microsoft.calls()), await artefacts(demo)
    await demo.microsoft.let_meeting_happen(third["join_url"], record=True)
    await demo.microsoft.settle()
    assert await artefacts(demo) == before + 2
    await compared(demo)
    assert (await ledger(demo, third))["recording"]["code"] == OFF
    asked = [call["path"] for call in (await demo.microsoft.calls())[calls:]]
    # Calendar and mailbox are followed all the same.
    assert [path for path in asked if "onlinemeetings" in path.lower()] == []
    await switch(demo, on=True)
    await until(demo, lambda: imported(demo, third), "what was recorded by hand is fetched")
    await until(demo, lambda: records_by_itself(demo, later), "the booked meeting records again")
    return later


async def at_microsoft_of(demo: Demo, tid: str) -> list[Json]:
    """The organisation's subscriptions there."""
    return [one for one in (await demo.microsoft.state())["subscriptions"] if one["tenant"] == tid]


async def has_left(demo: Demo) -> bool:
    leaving = (await demo.call("acme-admin", "GET", "/v1/tenant")).json()["leaving"]
    return bool(leaving and leaving["over"])


async def leave_microsoft(demo: Demo, later: Json) -> None:
    """What Prospo set there is removed while it still may, and the Org Admin reads that nothing stays."""
    tid = (await demo.call("acme-admin", "GET", "/v1/tenant")).json()["tid"]
    before = await at_microsoft_of(demo, tid)
    assert before
    assert await records_by_itself(demo, later)
    await demo.call("acme-admin", "DELETE", "/v1/tenant")
    await until(demo, partial(has_left, demo), "everything is removed that Prospo set at Microsoft")
    leaving = (await demo.call("acme-admin", "GET", "/v1/tenant")).json()["leaving"]
    assert (leaving["left"], leaving["people_unknown"]) == ([], 0)
    assert leaving["removed"] >= len(before) + 1
    assert (await at_microsoft_of(demo, tid), await records_by_itself(demo, later)) == ([], False)
    assert await holds(demo, "user_auth", "SELECT bool_and(sealed_cache IS NULL) FROM connection WHERE org_id = 'acme'")


async def leave_microsoft_alone(demo: Demo, later: Json) -> None:
    """After that nothing is asked any more, whatever happens there."""
    await until(demo, lambda: cannot_be_changed(demo, later), "the record says that it cannot be changed")
    await until(demo, partial(holds, demo, "recording_ingest", FORGOTTEN), "recording-ingest listens to nothing")
    await until(demo, partial(all_idle, demo), "all is done that the disconnect asks for")
    calls = len(await demo.microsoft.calls())
    await demo.microsoft.let_meeting_happen(later["join_url"])
    await demo.microsoft.settle()
    await compared(demo)
    assert [call["path"] for call in (await demo.microsoft.calls())[calls:]] == []
