"""The right occurrence, or unassigned until a person says which; never guessed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dev.histories import History, histories
from m365_simulator.clock import stamp
from recording_ingest.graph import Artefact
from shared.events import Event, MeetingCancelled, MeetingRescheduled

WEEK = timedelta(weeks=1)
START = (datetime.now(UTC) - 8 * WEEK).replace(minute=0, second=0, microsecond=0)
"""Microsoft keeps recordings for some months."""


def at_microsoft(house: Any, booked: dict[str, Any], found: Artefact) -> None:
    """Microsoft has it, and tells nobody: the lists show it."""
    meeting = house.simulator.store.get("meetings", booked["online_id"])
    made = {"id": found.graph_id, "kind": f"{found.kind}s", "meeting": meeting["id"], "tenant": meeting["tenant"]}
    made |= {"organizer": meeting["organizer"], "callId": found.call_id, "came": [], "deleted": False}
    made |= {"contentCorrelationId": found.content_correlation_id, "createdDateTime": stamp(found.created_at)}
    made |= {"endDateTime": stamp(found.ended_at) if found.ended_at else None}
    made |= dict.fromkeys(("available", "readable_from", "content_from"), stamp(START - timedelta(days=365)))
    house.simulator.store.put("artefacts", found.graph_id, made)


async def notify(house: Any, online_id: str, graph_id: str) -> None:
    """Microsoft tells of it after all."""
    row, kind = house.simulator.store.all("subscriptions")[0], house.simulator.store.get("artefacts", graph_id)["kind"]
    resource = f"communications/onlineMeetings('{online_id}')/{kind}('{graph_id}')"
    item = {"subscriptionId": row["id"], "clientState": row["clientState"], "changeType": "created"}
    answer = await house.http.post("/webhooks/graph", json={"value": [item | {"resource": resource}]})
    assert answer.status_code == 202


def artefact(id_: str, began: datetime, minutes: float = 30, call: str | None = None) -> Artefact:
    return Artefact("transcript", id_, call or f"call-{id_}", f"pair-{id_}", began, began + timedelta(minutes=minutes))


async def look(house: Any) -> None:
    await house.hurry("reconcile")
    await house.settle()


async def placed(house: Any) -> dict[str, str]:
    return {row["graph_id"]: row["meeting_id"] for row in await house.rows("artefact")}


async def weekly(house: Any, count: int = 3) -> dict[str, Any]:
    """Occurrences m1, m2, … of one series."""
    await house.connect()
    booked: dict[str, Any] = await house.book()
    for number in range(count):
        times = {"start": START + number * WEEK, "end": START + number * WEEK + timedelta(minutes=30)}
        about = {"series_id": "s1", "original_start": times["start"]}
        await house.hear(house.scheduled(booked, f"m{number + 1}", **times, **about))
    return booked


async def unassigned(house: Any, **who: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.read("/v1/ledger/unassigned", **who)).json()
    return found


async def play(house: Any, history: History) -> list[Event]:
    """What the meetings service says of it; what was recorded is at Microsoft."""
    booked = await house.book(auto=False)
    names = {one.meeting_id: f"{history.name}-{one.meeting_id}" for one in history.booked}
    told: list[Event] = []
    for one in history.booked:
        series = history.series[one.meeting_id]
        more = {
            "start": one.start,
            "end": one.end,
            "series_id": series,
            "original_start": one.start if series else None,
        }
        told.append(house.scheduled(booked, names[one.meeting_id], **more))
    for version, change in enumerate(history.changes, 3):
        about = {"org_id": "acme", "meeting_id": names[change.meeting_id], "aggregate_version": version}
        if change.start is None or change.end is None:
            told.append(MeetingCancelled(**about))
        else:
            times = {"start": change.start, "end": change.end}
            told.append(MeetingRescheduled(**about, subject="Review", attendees=[], **times))
    for found, _ in history.artefacts:
        at_microsoft(house, booked, found)
    return told


async def test_forty_histories_put_nothing_into_a_wrong_occurrence(house: Any) -> None:
    """Through the events, Microsoft's lists and the ledger. Nothing is imported here: that has tests of its own."""
    await house.connect()
    await house.hear(*[event for history in histories() for event in await play(house, history)])
    await look(house)
    unlisted = [row for row in house.simulator.store.all("artefacts") if row["id"].startswith("single_cancelled")]
    for row in unlisted:  # nothing is expected of a cancelled meeting, so only Microsoft's notification tells
        await notify(house, row["meeting"], row["id"])
    await house.settle()
    where, left = await placed(house), {row["graph_id"] for row in await house.rows("unassigned")}
    wrong, count = [], 0
    for history in histories():
        for found, belongs in history.artefacts:
            count += 1
            if found.graph_id not in left and where.get(found.graph_id) != f"{history.name}-{belongs}":
                wrong.append((found.graph_id, where.get(found.graph_id)))
    assert len(histories()) == 40
    assert wrong == []
    assert 0 < len(left) <= count * 0.05


async def test_the_transcript_of_the_fifth_goes_to_the_fifth(house: Any) -> None:
    booked = await weekly(house, 6)
    at_microsoft(house, booked, artefact("t5", START + 4 * WEEK))
    await look(house)
    assert await placed(house) == {"t5": "m5"}


async def test_leave_and_rejoin_is_one_occurrence_in_order(house: Any) -> None:
    booked = await weekly(house)
    at_microsoft(house, booked, artefact("later", START + WEEK + timedelta(minutes=14), 10))
    at_microsoft(house, booked, artefact("first", START + WEEK, 12))
    await look(house)
    assert await placed(house) == {"first": "m2", "later": "m2"}
    (shown,) = [(await house.read("/v1/ledger/m2")).json()["artefacts"]]
    times = [one["created_at"] for one in shown if one["kind"] == "transcript"]
    assert times == sorted(times)
    assert len(times) == 2


async def test_what_fits_no_meeting_is_assigned_by_its_organizer(house: Any) -> None:
    booked = await weekly(house)
    between = START + WEEK / 2
    for id_ in ("t1", "t2"):
        at_microsoft(house, booked, artefact(id_, between, call="one"))
    at_microsoft(house, booked, artefact("t3", between + WEEK))
    await look(house)
    await look(house)
    assert await placed(house) == {}
    first, second, third = await unassigned(house)
    assert (first["why"], first["kind"]) == ("far", "transcript")
    assert {choice["meeting_id"] for choice in first["choices"]} == {"m1", "m2", "m3"}
    assert await unassigned(house, user="ben") == await unassigned(house, org="globex") == []
    path = f"/v1/ledger/m2/artefacts/{first['id']}"
    for who in ({"user": "ben"}, {"org": "globex"}):
        assert (await house.call("POST", path, json={}, **who)).status_code == 404
    answer = await house.call("POST", path, json={})
    assert {one["id"] for one in answer.json()["artefacts"] if one["id"]} == {first["id"], second["id"]}
    await house.settle()
    assert await placed(house) == {"t1": "m2", "t2": "m2"}  # one call, one click
    assert [one["id"] for one in await unassigned(house)] == [third["id"]]
    assert len(await house.published("transcript.imported")) == 2
    assert (await house.call("POST", path, json={})).status_code == 404


async def test_a_meeting_of_another_link_is_no_choice(house: Any) -> None:
    booked = await weekly(house)
    other = await house.book()
    await house.hear(house.scheduled(other, "elsewhere"))
    at_microsoft(house, booked, artefact("t1", START + WEEK / 2))
    await look(house)
    (left,) = await unassigned(house)
    answer = await house.call("POST", f"/v1/ledger/elsewhere/artefacts/{left['id']}", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_choice")
    assert (await house.call("POST", f"/v1/ledger/unknown/artefacts/{left['id']}", json={})).status_code == 404
    assert len(await unassigned(house)) == 1


async def test_a_moved_occurrence_finds_what_was_unassigned(house: Any) -> None:
    booked = await weekly(house)
    moved = START + WEEK / 2
    at_microsoft(house, booked, artefact("t1", moved))
    await look(house)
    assert len(await unassigned(house)) == 1
    times = {"start": moved, "end": moved + timedelta(minutes=30)}
    about = {"org_id": "acme", "meeting_id": "m1", "aggregate_version": 3}
    await house.hear(MeetingRescheduled(**about, subject="Review", attendees=[], **times))
    await look(house)
    assert await placed(house) == {"t1": "m1"}
    assert await unassigned(house) == []


async def test_a_notification_never_guesses_between_two(house: Any) -> None:
    booked = await weekly(house, 2)
    times = {"start": START + WEEK, "end": START + WEEK + timedelta(minutes=30)}
    about = {"org_id": "acme", "meeting_id": "m1", "aggregate_version": 3}
    await house.hear(MeetingRescheduled(**about, subject="Review", attendees=[], **times))
    found = artefact("t1", START + WEEK)
    at_microsoft(house, booked, found)
    await notify(house, booked["online_id"], "t1")
    await house.settle()
    (left,) = await unassigned(house)
    assert left["why"] == "close"
    assert await placed(house) == {}
