"""Behaviours 37 to 39: the handshake, the rules of a subscription's fields, and whose it is and for how long."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from m365_simulator.clock import moment_of
from m365_simulator.directory import CONTOSO

MESSAGES = "me/messages"
ALL = "communications/onlineMeetings/getAllRecordings"
LIFE = "https://listener.example/life"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def words(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


async def refused(watcher: Any, resource: str = ALL, **more: Any) -> httpx.Response:
    answer: httpx.Response = await watcher.graph.post(
        watcher.address_of(resource), json=watcher.wanted(resource, **more)
    )
    assert answer.status_code >= 400, answer.text
    assert watcher.simulator.store.all("subscriptions") == []
    return answer


def meeting(watcher: Any, key: str = "MSo1", organizer: str = "anna", *guests: str) -> str:
    row = {"id": key, "tenant": CONTOSO, "organizer": watcher.oid(organizer), "join_url": f"https://teams/{key}"}
    watcher.simulator.store.put("meetings", key, {**row, "attendees": [f"{one}@contoso.example" for one in guests]})
    return key


@pytest.mark.behaviour(37)
async def test_both_addresses_are_asked_in_plain_text_with_an_encoded_token(watcher: Any) -> None:
    url = "https://listener.example/hook?tenant=a%20b"
    await watcher.subscribe(ALL, notificationUrl=url, lifecycleNotificationUrl=LIFE)
    first, second = watcher.address.asked
    assert (first.url.path, second.url.path) == ("/hook", "/life")
    assert first.query_params["tenant"] == "a b"
    for asked in (first, second):
        assert asked.method == "POST"
        assert asked.headers["content-type"] == "text/plain; charset=utf-8"
        assert "&" in asked.query_params["validationToken"]
        assert "&amp;" not in str(asked.url)
        assert "%26" in str(asked.url)


@pytest.mark.behaviour(37)
@pytest.mark.parametrize("at", ["/hook", "/life"])
async def test_an_address_that_does_not_answer_200_is_refused(watcher: Any, at: str) -> None:
    async def answers(request: Request) -> Response | None:
        return PlainTextResponse("no", 202) if request.url.path == at else None

    watcher.address.answers = answers
    answer = await refused(watcher, lifecycleNotificationUrl=LIFE)
    assert code(answer) == (400, "ValidationError")
    assert words(answer) == (
        "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request."
    )


@pytest.mark.behaviour(37)
@pytest.mark.parametrize("kind", ["other text", "still encoded", "a page"])
async def test_an_address_must_echo_the_very_token_as_plain_text(watcher: Any, kind: str) -> None:
    async def answers(request: Request) -> Response:
        token = request.query_params["validationToken"]
        encoded = str(request.url).partition("validationToken=")[2]
        return {
            "other text": PlainTextResponse("hello"),
            "still encoded": PlainTextResponse(encoded),
            "a page": HTMLResponse(token),
        }[kind]

    watcher.address.answers = answers
    answer = await refused(watcher)
    assert code(answer) == (400, "ValidationError")
    assert words(answer).endswith("Response must exactly match validationToken query parameter.")


@pytest.mark.behaviour(37)
async def test_an_address_that_does_not_answer_in_time_is_refused(watcher: Any) -> None:
    async def answers(_request: Request) -> Response | None:
        await asyncio.Event().wait()
        return None

    watcher.address.answers = answers
    shown = await watcher.world.control.do("notifying_set", values={})
    assert shown["handshake_s"] == 10
    await watcher.world.control.do("notifying_set", values={"handshake_s": 0.05})
    assert "200 OK" in words(await refused(watcher))


@pytest.mark.behaviour(37)
async def test_a_new_address_is_asked_as_well_and_kept_only_when_it_answers(watcher: Any) -> None:
    made = await watcher.subscribe(ALL)
    path, moved = f"/subscriptions/{made['id']}", {"notificationUrl": "https://listener.example/moved"}
    await watcher.graph.patch(path, json=moved)
    assert watcher.address.asked[-1].url.path == "/moved"
    watcher.address.answers = lambda _request: asyncio.sleep(0, PlainTextResponse("no", 404))
    answer = await watcher.graph.patch(path, json={"notificationUrl": "https://listener.example/deaf"})
    assert code(answer) == (400, "ValidationError")
    assert (await watcher.graph.get(path)).json()["notificationUrl"] == moved["notificationUrl"]


@pytest.mark.behaviour(37, 42)
async def test_a_hostile_validation_token_is_sent_on_demand(watcher: Any) -> None:
    await watcher.world.control.fault("hostile_validation_token")
    await watcher.subscribe(ALL)
    assert "<script>" in watcher.address.asked[0].query_params["validationToken"]


@pytest.mark.behaviour(38)
async def test_addresses_use_https_but_for_loopback(watcher: Any) -> None:
    wrong = ("http://listener.example/hook", "ftp://localhost/hook", "listener", "https:///hook", "http://localhost@x/")
    for url in wrong:
        assert "https" in words(await refused(watcher, notificationUrl=url))
        assert "https" in words(await refused(watcher, lifecycleNotificationUrl=url))
    assert watcher.address.urls == []
    await watcher.subscribe(ALL, notificationUrl="http://127.0.0.1:1/hook")


@pytest.mark.behaviour(38)
async def test_teams_wants_a_lifecycle_address_beyond_an_hour(watcher: Any) -> None:
    answer = await refused(watcher, minutes=61)
    assert answer.status_code == 400
    assert words(answer) == (
        "lifecycleNotificationUrl is required for subscription creation on this resource when the expirationDateTime "
        "value exceeds 1 hour"
    )
    made = await watcher.subscribe(ALL, minutes=59)
    late = {"expirationDateTime": (datetime.now(UTC) + timedelta(hours=2)).isoformat()}
    assert (await watcher.graph.patch(f"/subscriptions/{made['id']}", json=late)).status_code == 400
    await watcher.subscribe(MESSAGES, minutes=61, graph=watcher.person())


@pytest.mark.behaviour(45)
async def test_call_events_are_subscribed_to_in_the_beta_and_read_in_both(watcher: Any) -> None:
    resource = "communications/onlineMeetings(joinWebUrl='x')/meetingCallEvents"
    answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(resource, changeType="updated"))
    assert code(answer) == (400, "BadRequest")
    made = await watcher.subscribe(resource, changeType="updated")
    beta = f"{watcher.address_of(resource)}/{made['id']}"
    for path in (f"/subscriptions/{made['id']}", beta):
        assert (await watcher.graph.get(path)).json()["id"] == made["id"]
    later = {"expirationDateTime": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    assert (await watcher.graph.patch(beta, json=later)).status_code == 200
    assert (await watcher.graph.delete(beta)).status_code == 204


@pytest.mark.behaviour(38)
@pytest.mark.parametrize(
    ("resource", "minutes", "message"),
    [
        ("users/{oid}/messages", 10_070, "Subscription expiration can only be 10070 minutes in the future."),
        ("users/{oid}/events", 10_070, "Subscription expiration can only be 10070 minutes in the future."),
        ("users/{oid}/contacts", 10_070, "Subscription expiration can only be 10070 minutes in the future."),
        ("users/{oid}/drive/root", 42_300, "Subscription expiration can only be 42300 minutes in the future."),
        ("users", 41_760, "Subscription expiration can only be 41760 minutes in the future."),
        (ALL, 4_320, "is beyond allowed max '3.00:00:00'.]"),
        ("communications/onlineMeetings(joinWebUrl='x')/meetingCallEvents", 4_320, "allowed max '3.00:00:00'.]"),
    ],
)
async def test_each_resource_has_its_maximum_and_says_so(
    watcher: Any, resource: str, minutes: int, message: str
) -> None:
    resource = resource.format(oid=watcher.oid())
    changed = {"changeType": "updated", "lifecycleNotificationUrl": LIFE} if "Record" not in resource else {}
    more = {"lifecycleNotificationUrl": LIFE, **changed}
    answer = await refused(watcher, resource, minutes=minutes + 1, **more)
    assert code(answer) == (400, "ExtensionError")
    assert message in words(answer)
    made = await watcher.subscribe(resource, minutes=minutes - 1, **more)
    beyond = {"expirationDateTime": (datetime.now(UTC) + timedelta(minutes=minutes + 1)).isoformat()}
    assert message in words(await watcher.graph.patch(f"/subscriptions/{made['id']}", json=beyond))


@pytest.mark.behaviour(38)
async def test_an_expiry_nearer_than_45_minutes_is_raised_to_them(watcher: Any) -> None:
    made = await watcher.subscribe(ALL, minutes=5)
    ahead = moment_of(made["expirationDateTime"]) - datetime.now(UTC)
    assert timedelta(minutes=44) < ahead <= timedelta(minutes=45)


@pytest.mark.behaviour(38)
async def test_a_wrong_field_is_refused_by_name(watcher: Any) -> None:
    fields: list[tuple[dict[str, Any], str]] = [
        ({"clientState": "x" * 129}, "clientState"),
        ({"changeType": "updated"}, "changeType"),
        ({"changeType": "created,moved"}, "changeType"),
        ({"changeType": None}, "changeType"),
        ({"notificationUrl": None}, "notificationUrl"),
        ({"expirationDateTime": None}, "expirationDateTime"),
        ({"expirationDateTime": "2020-01-01T00:00:00Z"}, "past"),
        ({"latestSupportedTlsVersion": "v9"}, "latestSupportedTlsVersion"),
        ({"surprise": 1}, "surprise"),
        ({"includeResourceData": True}, "encryptionCertificate"),
        ({"includeResourceData": True, "encryptionCertificate": "bm8="}, "encryptionCertificateId"),
        ({"includeResourceData": True, "encryptionCertificate": "bm8=", "encryptionCertificateId": "1"}, "not usable"),
        ({"encryptionCertificateId": "x" * 129}, "encryptionCertificateId"),
    ]
    for wrong, says in fields:
        answer = await refused(watcher, **wrong)
        assert answer.status_code == 400, wrong
        assert says in words(answer)
    assert watcher.address.urls == []


@pytest.mark.behaviour(38)
async def test_the_longest_client_state_is_taken(watcher: Any) -> None:
    assert (await watcher.subscribe(ALL, clientState="x" * 128))["clientState"] == "x" * 128


async def test_a_figure_that_does_not_exist_is_refused_with_those_that_do(watcher: Any) -> None:
    answer = await watcher.world.http.post("/control/do/notifying_set", json={"values": {"colour": 1}})
    assert answer.status_code == 400
    assert "retry_for_s" in answer.json()["detail"]


async def test_a_subscription_says_what_its_notifications_are_written_in(watcher: Any) -> None:
    made = await watcher.subscribe(ALL)
    assert made["notificationContentType"] == "application/json"
    (listed,) = (await watcher.graph.get("/subscriptions")).json()["value"]
    assert listed["notificationContentType"] == "application/json"
