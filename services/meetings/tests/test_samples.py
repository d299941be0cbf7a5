"""What Microsoft's pages show of events, online meetings and calls is understood."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from meetings import call_data, online
from meetings.graph import book
from meetings.tables import MeetingRow
from shared.graph import Graph, GraphCaller
from shared.graph.words import moment
from shared.testing.samples import Sample, samples
from shared.testing.scripted import CountedTokens, Reply, ScriptedServer, client_settings, scripted_server


def described(*topics: str) -> list[Any]:
    """Samples whose answer is a JSON object."""
    found = samples(*topics, responses=True)
    return [one for one in found if one.values[0] is None or isinstance(one.values[0].response.get("body"), dict)]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def anna(server: ScriptedServer, platform_keys: Any) -> AsyncIterator[GraphCaller]:
    graph = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens())
    yield graph.as_user("acme", "anna")
    await graph.aclose()


def meeting() -> MeetingRow:
    start, end = datetime(2030, 3, 1, 9, tzinfo=UTC), datetime(2030, 3, 1, 10, tzinfo=UTC)
    return MeetingRow(
        org_id="acme",
        id="m1",
        user_id="anna",
        organizer_name="Anna",
        organizer_oid="o1",
        subject="Review",
        starts_at=start,
        ends_at=end,
        attendees=[{"email": "bo@acme.example"}],
    )


def one(body: dict[str, Any]) -> dict[str, Any]:
    value = body.get("value", body)
    found: dict[str, Any] = value[0] if isinstance(value, list) else value
    return found


@pytest.mark.parametrize("sample", described("create event"))
async def test_an_event_is_read(server: ScriptedServer, anna: GraphCaller, sample: Sample) -> None:
    body = sample.response["body"]
    server.otherwise = Reply(201, json=body)
    booked = await book(anna, meeting())
    assert booked.event_id == body["id"]
    assert booked.join_url == (body.get("onlineMeeting") or {}).get("joinUrl")


@pytest.mark.parametrize("sample", described("filter onlineMeeting", "onlineMeeting"))
async def test_an_online_meeting_is_read(server: ScriptedServer, anna: GraphCaller, sample: Sample) -> None:
    body = sample.response["body"]
    server.otherwise = Reply(json=body)
    assert await online.find(anna, "https://teams.example/l/meetup-join/1") == one(body).get("id")
    assert await online.turn_recording(anna, "MSo1", on=True) is bool(one(body).get("recordAutomatically", True))


@pytest.mark.parametrize("body", [{"value": []}, {"value": None}, {}])
async def test_a_meeting_that_is_not_there_has_no_id(
    server: ScriptedServer, anna: GraphCaller, body: dict[str, Any]
) -> None:
    server.otherwise = Reply(json=body)
    assert await online.find(anna, "https://teams.example/l/meetup-join/1") is None


@pytest.mark.parametrize("sample", samples("change notification", "meetingCallEvents notification", requests=False))
def test_a_call_event_is_read(sample: Sample) -> None:
    document = sample.response.get("body")
    if isinstance(document, dict) and "eventType" in document:
        name, at = document["eventType"].lower(), moment(document.get("eventDateTime"))
        kind = next((kind for kind in ("started", "ended") if name.endswith(f"call{kind}")), None)
        assert call_data.read(document) == ((kind, at) if kind and at else None)
    elif "{joinWebUrl}" in sample.text:
        resource, url, encoded = sample.text.split()
        shown = resource.lstrip("/").replace("{joinWebUrl}", encoded)
        assert call_data.call_events_of(url).lower() == shown.lower()
