"""Microsoft tells when calls begin and end: what is kept of it, what ends the meeting, and what changes nothing."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator import Simulator
from m365_simulator.changes import Change
from m365_simulator.directory import CONTOSO, FABRIKAM
from m365_simulator.notifying import sealing
from m365_simulator.verbs import perform
from meetings.call_data import call_events_of, read
from shared.events import ArtefactDetected, MeetingEnded, TenantReadinessChanged

START = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
"""Booked for half an hour, soon: calls are subscribed to a day before."""
ROLE = "OnlineMeetings.Read.All"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Calls:
    """One booked meeting, and Microsoft, which tells of its calls."""

    def __init__(self, house: Any, simulator: Simulator, record: dict[str, Any]) -> None:
        self.house, self.simulator = house, simulator
        self.meeting_id: str = record["id"]
        self.resource = call_events_of(record["join_url"])
        self.versions = 0

    def happens(self, what: str, minutes: float, **more: Any) -> None:
        data = {"eventType": what, "eventDateTime": at(minutes).isoformat(), **more}
        key = self.simulator.ids.guid("event")
        kind = "microsoft.graph.callEvent"
        self.simulator.changes.tell(Change("updated", kind, CONTOSO, self.resource, key, (self.resource,), data))

    async def told(self, *history: tuple[str, float]) -> None:
        for what, minutes in history:
            self.happens(what, minutes)
        await self.house.notified()

    async def recorded(self, began: float, over: float, call_id: str = "c1") -> None:
        self.versions += 1
        about = {"org_id": "acme", "meeting_id": self.meeting_id, "aggregate_version": self.versions}
        found = {"artefact_id": f"r{self.versions}", "kind": "recording", "call_id": call_id}
        times = {"created_at": at(began), "ended_at": at(over)}
        await self.house.hear(ArtefactDetected.model_validate(about | found | times))

    async def record(self) -> dict[str, Any]:
        shown: dict[str, Any] = await self.house.record(self.meeting_id)
        return shown

    async def shown(self) -> list[tuple[float, float | None, str]]:
        """Calls: from and to in minutes after the booked start, and what they were."""
        calls = (await self.record())["calls"]
        return [(_minutes(one["began"]), one["ended"] and _minutes(one["ended"]), one["part"]) for one in calls]

    async def ends(self) -> list[tuple[float, str, str, float | None]]:
        """What was said of the end: when, by what, how surely, and which end it corrects."""
        said = await self.house.published(MeetingEnded.topic)
        found = [MeetingEnded.model_validate(one) for one in said]
        when = [one.corrects and _minutes(one.corrects.isoformat()) for one in found]
        return [
            (_minutes(one.ended_at.isoformat()), one.source, one.confidence, corrects)
            for one, corrects in zip(found, when, strict=True)
        ]


def _minutes(text: str) -> float:
    return (datetime.fromisoformat(text) - START).total_seconds() / 60


async def permit(house: Any, simulator: Simulator) -> None:
    """An administrator grants the application the permission."""
    perform(simulator, "application_change", {"roles": [ROLE]})
    perform(simulator, "consent_give", {"tenant": "contoso.example"})
    await house.hear(readiness("ready"))


def readiness(verdict: str, version: int = 1) -> TenantReadinessChanged:
    about = {"org_id": "acme", "aggregate_version": version, "capability": "call_events", "verdict": verdict}
    return TenantReadinessChanged.model_validate(about)


async def connected(house: Any) -> None:
    tenant = house.tenant(1).model_copy(update={"tid": CONTOSO})
    await house.hear(tenant, house.person(1))


async def watched(house: Any) -> None:
    """Microsoft is asked for what is near."""
    await house.hurry("follow_calls")
    await house.work()


async def book(house: Any, simulator: Simulator, **more: Any) -> Calls:
    booked = await house.schedule(start=START.isoformat(), end=at(30).isoformat(), **more)
    return Calls(house, simulator, booked.json())


def asked_for(simulator: Simulator) -> list[str]:
    """What Microsoft tells of calls, with the data that is theirs alone."""
    asked = [one for one in simulator.store.all("subscriptions") if one["kind"] == "meetingCallEvents"]
    return [one["resource"] for one in asked if one["includeResourceData"]]


@pytest.fixture
async def calls(house: Any, simulator: Simulator) -> Calls:
    await connected(house)
    await permit(house, simulator)
    found = await book(house, simulator)
    await watched(house)
    return found


S, E = "callStarted", "callEnded"
_ALL = [
    # what Microsoft tells | the calls | what is said of the end
    ("as booked", [(S, 0), (E, 30)], [(0, 30, "meeting")], [(30, "call_event", "high", None)]),
    ("early", [(S, -5), (E, 10)], [(-5, 10, "meeting")], [(10, "call_event", "high", None)]),
    ("overrun", [(S, 0), (E, 95)], [(0, 95, "meeting")], [(95, "call_event", "high", None)]),
    ("it goes on", [(S, 0)], [(0, None, "meeting")], []),
    ("came back", [(S, 0), (E, 20), (S, 25), (E, 40)], [(0, 20, "meeting"), (25, 40, "meeting")],
     [(20, "call_event", "high", None), (40, "call_event", "high", 20)]),
    ("came back and is there", [(S, 0), (E, 20), (S, 25)], [(0, 20, "meeting"), (25, None, "meeting")],
     [(20, "call_event", "high", None)]),
    ("rehearsal alone", [(S, -110), (E, -70)], [(-110, -70, "rehearsal")], []),
    ("rehearsal and meeting", [(S, -110), (E, -70), (S, 0), (E, 30)], [(-110, -70, "rehearsal"), (0, 30, "meeting")],
     [(30, "call_event", "high", None)]),
    ("rehearsal into the meeting", [(S, -90), (E, 30)], [(-90, 30, "meeting")], [(30, "call_event", "high", None)]),
    ("an end not told", [(S, 0), (S, 20), (E, 30)], [(0, None, "meeting"), (20, 30, "meeting")],
     [(30, "call_event", "high", None)]),
    ("next day", [(S, 0), (E, 30), (S, 1500), (E, 1510)], [(0, 30, "meeting"), (1500, 1510, "afterwards")],
     [(30, "call_event", "high", None)]),
    ("only who came and left", [("rosterUpdated", 0), ("rosterUpdated", 30)], [], []),
    ("an event nobody knows", [("callParked", 3)], [], []),
]  # fmt: skip


@pytest.mark.parametrize(("history", "shown", "ends"), [one[1:] for one in _ALL], ids=[one[0] for one in _ALL])
async def test_calls_are_kept_in_order_and_the_last_ends_the_meeting(
    calls: Calls, history: Any, shown: Any, ends: Any
) -> None:
    for one in history:
        await calls.told(one)
    assert await calls.shown() == shown
    assert await calls.ends() == ends
    assert ((await calls.record())["call_events"]["status"] == "heard") is bool(shown)


async def test_an_end_that_comes_before_an_earlier_one_is_corrected(calls: Calls) -> None:
    for one in ((S, 0.0), (E, 420.0), (E, 35.0), (S, 400.0)):
        await post(calls, batch(calls, *one))
    assert await calls.shown() == [(0, 35, "meeting"), (400, 420, "meeting")]
    assert (await calls.ends())[-1][:3] == (420, "call_event", "high")
    await post(calls, batch(calls, S, 390.0))
    assert await calls.shown() == [(0, 35, "meeting"), (390, None, "meeting"), (400, 420, "meeting")]


@pytest.mark.parametrize("order", [(1, 0, 3, 2), (3, 2, 1, 0), (2, 3, 0, 1)])
async def test_events_in_any_order_and_twice_give_the_same_calls(calls: Calls, order: tuple[int, ...]) -> None:
    history = [(S, 0.0), (E, 20.0), (S, 25.0), (E, 40.0)]
    for number in order:
        await post(calls, batch(calls, *history[number]))
    assert await calls.shown() == [(0, 20, "meeting"), (25, 40, "meeting")]
    assert (await calls.ends())[-1][:3] == (40, "call_event", "high")
    before, said = await calls.record(), await calls.ends()
    for one in history:
        await post(calls, batch(calls, *one))
    assert (await calls.record(), await calls.ends()) == (before, said)


async def test_what_is_recorded_joins_the_call_in_which_it_was(calls: Calls) -> None:
    await calls.told((S, 0))
    await calls.recorded(2, 18)
    assert await calls.shown() == [(0, 18, "meeting")], "while nothing better is known"
    await calls.told((E, 21))
    await calls.recorded(40, 44, "c2")
    assert await calls.shown() == [(0, 21, "meeting"), (40, 44, "meeting")]
    assert await calls.ends() == [
        (18, "artefact", "high", None),
        (21, "call_event", "high", 18),
        (44, "artefact", "high", 21),
    ]


@pytest.mark.parametrize(
    ("history", "since_minutes", "call"),
    [
        ([], -120, "none"),
        ([], -5, None),
        ([], None, None),
        ([(S, 0), (E, 30)], -120, "held"),
        ([(S, -110), (E, -70)], -120, "none"),
    ],
)
async def test_the_end_says_whether_people_met_where_microsoft_would_have_told(
    calls: Calls, history: Any, since_minutes: float | None, call: str | None
) -> None:
    assert [row["calls_watched_at"] is not None for row in await calls.house.rows("meeting")] == [True]
    since = None if since_minutes is None else at(since_minutes)
    await calls.house.sql("UPDATE meeting SET calls_watched_at = :since", since=since)
    await calls.told(*history)
    await calls.house.hurry("booked_end")
    await calls.house.work()
    (said,) = await calls.house.published(MeetingEnded.topic)
    assert said["call"] == call


async def test_the_booked_end_rises_to_the_told_one(calls: Calls) -> None:
    await calls.house.hurry("booked_end")
    await calls.house.work()
    await calls.told((S, 0), (E, 37))
    assert await calls.ends() == [(30, "booked_end", "low", None), (37, "call_event", "high", 30)]


async def test_a_meeting_in_which_people_are_is_not_said_to_be_over(calls: Calls) -> None:
    await calls.told((S, 0))
    await calls.house.hurry("booked_end")
    await calls.house.work()
    assert await calls.ends() == []
    assert (await calls.record())["status"] == "scheduled"
    await calls.told((E, 55))
    assert await calls.ends() == [(55, "call_event", "high", None)]


async def test_a_call_of_a_series_goes_to_the_occurrence_in_whose_time_it_began(
    house: Any, simulator: Simulator
) -> None:
    await connected(house)
    await permit(house, simulator)
    body = {"subject": "Daily", "start": START.isoformat(), "end": at(30).isoformat()}
    body["repeats"] = {"every": "day", "count": 3}
    made = await house.call("POST", "/v1/meetings/series", json=body, headers={"Idempotency-Key": "s"})
    await house.work()
    series_id = made.json()["id"]
    listed = (await house.call("GET", f"/v1/meetings?series_id={series_id}&order=start")).json()["items"]
    await watched(house)
    series = Calls(house, simulator, listed[0])
    assert len(asked_for(simulator)) == 1, "they have one join link"
    day = 24 * 60
    await series.told((S, -10), (E, 35), (S, day + 5), (E, day + 31), (S, 400), (E, 420))
    found = [await Calls(house, simulator, one).shown() for one in listed]
    assert found == [[(-10, 35, "meeting")], [(day + 5, day + 31, "meeting")], []], "what fits none is in none"
    ends = [Calls(house, simulator, one) for one in listed]
    last = [(await one.record())["ended"] for one in ends]
    assert [one and (_minutes(one["at"]), one["source"]) for one in last] == [
        (35, "call_event"),
        (day + 31, "call_event"),
        None,
    ]


async def test_it_is_asked_for_meetings_that_are_near_and_for_no_others(house: Any, simulator: Simulator) -> None:
    await connected(house)
    await permit(house, simulator)
    near = await book(house, simulator)
    await house.schedule("far", start=at(3 * 24 * 60).isoformat(), end=at(3 * 24 * 60 + 30).isoformat())
    await watched(house)
    assert asked_for(simulator) == [near.resource]
    assert (await near.record())["call_events"]["status"] == "watched"
    await house.call("DELETE", f"/v1/meetings/{near.meeting_id}")
    await house.work()
    await watched(house)
    assert asked_for(simulator) == []


async def test_it_is_not_asked_for_people_who_are_not_connected(calls: Calls, simulator: Simulator) -> None:
    await calls.house.hear(calls.house.person(2, connected=False))
    await watched(calls.house)
    assert asked_for(simulator) == []


async def test_without_the_permission_the_old_road_goes_on_and_says_so(house: Any, simulator: Simulator) -> None:
    await connected(house)
    calls = await book(house, simulator)
    for number in range(4):
        await house.schedule(f"more{number}", start=START.isoformat(), end=at(30).isoformat())
    await watched(house)
    asked = await house.asked("POST", "/beta/subscriptions")
    assert asked == 4, "three meetings, and the first with another token"
    told = (await calls.record())["call_events"]
    assert (told["status"], "booked end" in told["detail"]) == ("not_permitted", True)
    assert told["said"]
    assert told["request_id"]
    await watched(house)
    assert await house.asked("POST", "/beta/subscriptions") == asked, "once a day is enough"
    await house.hurry("booked_end")
    await house.work()
    assert (30, "booked_end", "low", None) in await calls.ends()
    await permit(house, simulator)
    await watched(house)
    assert (await calls.record())["call_events"]["status"] == "watched"


def batch(calls: Calls, what: str = E, minutes: float = 30, *, spoil: str = "") -> dict[str, Any]:
    """What Graph posts when a call ended, or what somebody makes of it who knows all but Microsoft's keys."""
    simulator = calls.simulator
    row = next(one for one in simulator.store.all("subscriptions") if one["resource"] == calls.resource)
    data = {"eventType": what, "eventDateTime": at(minutes).isoformat()}
    name = row["encryptionCertificateId"]
    certificate = sealing.certificate_of(row["encryptionCertificate"])
    content = sealing.encrypt(certificate, name, json.dumps(data).encode(), bytes(range(32)))
    tenant = FABRIKAM if spoil == "tenant of another" else CONTOSO
    item = {
        "id": simulator.ids.guid("n"),
        "subscriptionId": row["id"],
        "clientState": row["clientState"],
        "tenantId": tenant,
    }
    item |= {"changeType": "updated", "resource": calls.resource, "encryptedContent": content}
    wrong = spoil if spoil in sealing.WRONGS else ""
    tokens = [] if wrong == "missing" else [
        sealing.validation_token(simulator, simulator.settings.client_id, tenant, wrong)
    ]  # fmt: skip
    if spoil == "clientState":
        item["clientState"] = "guessed"
    elif spoil == "data":
        other = sealing.encrypt(certificate, name, b'{"eventType": "callEnded"}', bytes(32))
        content["data"] = other["data"]
    elif spoil == "key":
        content["dataKey"] = base64.b64encode(bytes(384)).decode()
    elif spoil == "certificate":
        content["encryptionCertificateId"] = "mine"
    elif spoil == "plain":
        del item["encryptedContent"]
        item["resourceData"] = data
    return {"value": [item], "validationTokens": tokens}


async def post(calls: Calls, body: dict[str, Any]) -> None:
    answer = await calls.house.http.post("/webhooks/graph", json=body)
    assert answer.status_code == 202
    await calls.house.work()


_FORGERIES = ["clientState", "data", "key", "certificate", "plain", "tenant of another", *sealing.WRONGS]


@pytest.mark.parametrize("spoil", _FORGERIES)
async def test_a_forged_notification_changes_nothing(calls: Calls, spoil: str) -> None:
    before = await calls.record()
    await post(calls, batch(calls, spoil=spoil))
    assert (await calls.record(), await calls.ends()) == (before, [])
    assert await calls.house.rows("graph_notification") == []


async def test_a_genuine_notification_counts_and_its_replay_changes_nothing(calls: Calls) -> None:
    body = batch(calls)
    await post(calls, body)
    assert await calls.ends() == [(30, "call_event", "high", None)]
    before = await calls.record()
    for again in (body, {**body, "value": [body["value"][0] | {"id": "n2"}]}):
        await post(calls, again)
    assert (await calls.record(), len(await calls.ends())) == (before, 1)


async def test_nothing_is_kept_of_who_came_and_left(calls: Calls) -> None:
    who = {"info": {"identity": {"user": {"id": "u1", "displayName": "Somebody Known"}}}, "id": "p1"}
    calls.happens(S, 0)
    calls.happens("rosterUpdated", 1, **{"participants@delta": [who]})
    await calls.house.notified()
    assert "Somebody" not in str([await calls.house.rows(name) for name in ("meeting", "graph_notification", "job")])


async def test_the_certificate_is_sealed_and_of_one_organisation(calls: Calls) -> None:
    (row,) = await calls.house.rows("notification_certificate")
    assert row["org_id"] == "acme"
    assert b"PRIVATE KEY" not in bytes(row["sealed"])


async def test_microsofts_word_on_a_subscription_is_heeded_as_the_application(calls: Calls) -> None:
    (row,) = [one for one in calls.simulator.store.all("subscriptions") if one["resource"] == calls.resource]
    perform(calls.simulator, "reauthorization_ask", {"subscription": row["id"]})
    await calls.house.notified()
    assert await calls.house.asked("PATCH", "/beta/subscriptions") == 1


def test_a_call_event_is_read_in_every_form() -> None:
    when, moment = "2026-11-02T09:00:00.0000000Z", datetime(2026, 11, 2, 9, tzinfo=UTC)
    assert read({"eventType": "callStarted", "eventDateTime": when}) == ("started", moment)
    assert read({"eventType": "Microsoft.Communication.CallEnded", "eventDateTime": when}) == ("ended", moment)
    assert read({"EventType": "callEnded", "EventDateTime": when, "CallId": "c"}) == ("ended", moment)
    roster = "Microsoft.Communication.CallRosterUpdate"
    assert [read({"eventType": one, "eventDateTime": when}) for one in (roster, "somethingElse")] == [None, None]
    assert read({"eventType": "callStarted", "eventDateTime": "soon"}) is None
