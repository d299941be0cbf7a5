"""Behaviours 38 and 39: how many there may be, who may watch what, and whose a subscription is and for how long."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from m365_simulator.clock import moment_of
from m365_simulator.directory import CONTOSO, FABRIKAM

MESSAGES = "me/messages"
ALL = "communications/onlineMeetings/getAllRecordings"
LIFE = "https://listener.example/life"


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def words(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["message"])


def meeting(watcher: Any, key: str = "MSo1", organizer: str = "anna", *guests: str) -> str:
    row = {"id": key, "tenant": CONTOSO, "organizer": watcher.oid(organizer), "join_url": f"https://teams/{key}"}
    watcher.simulator.store.put("meetings", key, {**row, "attendees": [f"{one}@contoso.example" for one in guests]})
    return key


@pytest.mark.behaviour(38)
async def test_a_second_of_the_same_is_409_and_names_the_first(watcher: Any) -> None:
    made = await watcher.subscribe(f"users/{watcher.oid()}/messages", changeType="created,updated")
    again = watcher.wanted(f"Users('{watcher.oid()}')/Messages", changeType="updated,created")
    answer = await watcher.graph.post("/subscriptions", json=again)
    assert code(answer)[0] == 409
    assert words(answer) == f"Subscription Id {made['id']} already exists for the requested combination"
    await watcher.subscribe(f"users/{watcher.oid()}/messages", changeType="deleted")


@pytest.mark.behaviour(38)
async def test_two_creates_at_once_make_one(watcher: Any) -> None:
    asked: list[str] = []
    both = asyncio.Event()

    async def when_both_ask(request: Request) -> Response:
        asked.append(request.query_params["validationToken"])
        if len(asked) == 2:
            both.set()
        await both.wait()
        return PlainTextResponse(request.query_params["validationToken"])

    watcher.address.answers = when_both_ask
    body = watcher.wanted(ALL)
    answers = await asyncio.gather(*(watcher.graph.post("/subscriptions", json=body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


@pytest.mark.behaviour(38)
async def test_one_per_application_and_meeting(watcher: Any) -> None:
    key = meeting(watcher, "MSo1", "anna", "ben")
    resource = f"communications/onlineMeetings/{key}/transcripts"
    await watcher.subscribe(resource, graph=watcher.person("anna"))
    answer = await watcher.person("ben").post("/subscriptions", json=watcher.wanted(resource))
    assert code(answer) == (403, "Forbidden")
    assert "1 subscriptions per application and meeting" in words(answer)
    await watcher.subscribe(resource, graph=application(watcher, "another"))


@pytest.mark.behaviour(38)
async def test_one_per_application_and_user_and_ten_per_user_over_all(watcher: Any) -> None:
    resource = f"users/{watcher.oid()}/onlineMeetings/getAllRecordings"
    await watcher.subscribe(resource)
    answer = await watcher.person("anna").post("/subscriptions", json=watcher.wanted(resource))
    assert code(answer) == (403, "Forbidden")
    assert "application and user" in words(answer)
    for number in range(9):
        await watcher.subscribe(resource, graph=application(watcher, f"app-{number}"))
    eleventh = await application(watcher, "app-9").post("/subscriptions", json=watcher.wanted(resource))
    assert code(eleventh) == (403, "Forbidden")
    assert "10 subscriptions per user" in words(eleventh)
    await watcher.subscribe(resource.replace("Recordings", "Transcripts"))


@pytest.mark.behaviour(38)
async def test_an_organisation_has_a_quota(watcher: Any) -> None:
    assert (await watcher.world.control.do("notifying_set", values={}))["per_organisation"] == 10_000
    await watcher.world.control.do("notifying_set", values={"per_organisation": 1, "per_mailbox": 1})
    await watcher.subscribe(ALL)
    answer = await watcher.graph.post("/subscriptions", json=watcher.wanted(ALL.replace("Record", "Record")))
    assert answer.status_code == 409
    other = watcher.wanted("communications/onlineMeetings/getAllTranscripts")
    assert "per organization" in words(await watcher.graph.post("/subscriptions", json=other))
    await watcher.subscribe(f"users/{watcher.oid()}/messages")
    contacts = watcher.wanted(f"users/{watcher.oid()}/contacts")
    assert "per mailbox" in words(await watcher.graph.post("/subscriptions", json=contacts))
    fabrikam = watcher.world.graph(watcher.world.app_token(FABRIKAM, "OnlineMeetingRecording.Read.All"))
    await watcher.subscribe(ALL, graph=fabrikam)


def application(watcher: Any, app: str) -> httpx.AsyncClient:
    roles = "OnlineMeetingRecording.Read.All OnlineMeetingTranscript.Read.All"
    found: httpx.AsyncClient = watcher.world.graph(watcher.world.app_token(CONTOSO, roles, appid=app))
    return found


@pytest.mark.behaviour(38)
@pytest.mark.parametrize(
    ("resource", "read", "write"),
    [
        ("me/messages", "Mail.Read", "Mail.ReadWrite Mail.Send"),
        ("me/mailFolders('Inbox')/messages", "Mail.Read", "Mail.ReadWrite"),
        ("me/events", "Calendars.Read", "Calendars.ReadWrite"),
        ("me/contacts", "Contacts.Read", "Contacts.ReadWrite"),
        ("me/contactFolders('f')/contacts", "Contacts.Read", "Contacts.ReadWrite"),
        ("me/drive/root", "Files.Read.All", "Files.ReadWrite"),
        ("drives/d1/root", "Files.ReadWrite.All", "Sites.ReadWrite.All"),
        ("users", "User.Read.All", "User.ReadWrite.All"),
        ("me/onlineMeetings/getAllRecordings", "OnlineMeetingRecording.Read.All", "OnlineMeetings.ReadWrite"),
        ("me/onlineMeetings/getAllTranscripts", "OnlineMeetingTranscript.Read.All", "OnlineMeetingRecording.Read.All"),
        ("me/adhocCalls/getAllRecordings", "CallRecordings.Read.All", "OnlineMeetingRecording.Read.All"),
    ],
)
async def test_the_read_permission_is_needed_and_a_write_one_does_not_do(
    watcher: Any, resource: str, read: str, write: str
) -> None:
    change = "updated" if resource in ("me/drive/root", "drives/d1/root", "users") else "created"
    body = watcher.wanted(resource, changeType=change)
    assert (await watcher.person("anna", write).post("/subscriptions", json=body)).status_code == 403
    made = await watcher.person("anna", read).post("/subscriptions", json=body)
    assert made.status_code == 201
    path = f"/subscriptions/{made.json()['id']}"
    later = {"expirationDateTime": (datetime.now(UTC) + timedelta(minutes=55)).isoformat()}
    assert (await watcher.person("anna", write).patch(path, json=later)).status_code == 403
    assert (await watcher.person("anna", write).post(f"{path}/reauthorize")).status_code == 403


@pytest.mark.behaviour(38)
@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ("chats/19:x/messages", 400),
        ("teams/getAllMessages", 400),
        ("communications/callRecords", 400),
        ("me/messages/1", 400),
        ("users/nobody/messages", 404),
        ("users/{ben}/messages", 403),
        ("users/{unlicensed}/messages", 403),
        ("users/{carl}/messages", 404),
        ("users/{ben}/onlineMeetings/getAllRecordings", 403),
        ("users/anna@contoso.example/onlineMeetings/getAllRecordings", 400),
        ("communications/onlineMeetings/getAllRecordings", 403),
        ("communications/onlineMeetings/nowhere/recordings", 404),
        ("communications/onlineMeetings/MSo1/recordings", 403),
        ("communications/onlineMeetings(joinWebUrl='x')/meetingCallEvents", 403),
    ],
)
async def test_what_a_person_may_not_watch_is_refused(watcher: Any, resource: str, status: int) -> None:
    meeting(watcher, "MSo1", "ben", "anna")
    names = {name: watcher.oid(name) for name in ("ben", "unlicensed")}
    resource = resource.format(carl=watcher.oid("carl", "fabrikam"), **names)
    change = "updated" if "meetingCallEvents" in resource else "created"
    address = watcher.address_of(resource)
    answer = await watcher.person().post(address, json=watcher.wanted(resource, changeType=change))
    assert answer.status_code == status, answer.text
    if status == 400 and "@" not in resource:
        assert "Known: recordings, transcripts" in words(answer)


@pytest.mark.behaviour(39)
async def test_it_ends_in_silence_on_the_service_clock(watcher: Any) -> None:
    made = await watcher.subscribe(ALL, minutes=59, lifecycleNotificationUrl=LIFE)
    path = f"/subscriptions/{made['id']}"
    await watcher.after(58 * 60)
    assert (await watcher.graph.get(path)).status_code == 200
    before = len(watcher.address.received)
    await watcher.after(2 * 60)
    assert len(watcher.address.received) == before
    assert watcher.simulator.store.all("subscriptions") == []
    for method, where in (("GET", path), ("PATCH", path), ("DELETE", path), ("POST", f"{path}/reauthorize")):
        body = {"expirationDateTime": made["expirationDateTime"]} if method == "PATCH" else None
        answer = await watcher.graph.request(method, where, json=body)
        assert code(answer) == (404, "ResourceNotFound"), method
    watcher.tell(ALL)
    await watcher.after()
    assert len(watcher.address.received) == before


@pytest.mark.behaviour(39)
async def test_a_renewed_one_lives_on(watcher: Any) -> None:
    made = await watcher.subscribe(ALL, minutes=50)
    await watcher.after(40 * 60)
    later = {"expirationDateTime": (datetime.now(UTC) + timedelta(minutes=59)).isoformat()}
    answer = await watcher.graph.patch(f"/subscriptions/{made['id']}", json=later)
    assert answer.status_code == 200
    assert moment_of(answer.json()["expirationDateTime"]) == moment_of(later["expirationDateTime"])
    await watcher.after(30 * 60)
    watcher.sign_in()
    assert (await watcher.graph.get(f"/subscriptions/{made['id']}")).status_code == 200
    assert (await watcher.graph.delete(f"/subscriptions/{made['id']}")).status_code == 204
    assert watcher.simulator.store.all("timeline") == []


@pytest.mark.behaviour(39)
async def test_only_the_own_application_tenant_and_person_see_it(watcher: Any) -> None:
    annas = await watcher.subscribe(MESSAGES, graph=watcher.person("anna"))
    applications = await watcher.subscribe(ALL)
    strangers = {
        "ben": watcher.person("ben"),
        "another application": application(watcher, "another"),
        "fabrikam": watcher.world.graph(watcher.world.app_token(FABRIKAM, "Mail.Read")),
    }
    for name, graph in strangers.items():
        assert (await graph.get("/subscriptions")).json()["value"] == [], name
        for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/reauthorize")):
            where = f"/subscriptions/{annas['id']}{path}"
            assert (await graph.request(method, where, json={})).status_code == 404, (name, method)
    assert await listed(watcher.person("anna")) == [annas["id"]]
    assert await listed(watcher.graph) == [annas["id"], applications["id"]]
    hers = await watcher.person("anna").delete(f"/subscriptions/{applications['id']}")
    assert hers.status_code == 404


async def listed(graph: httpx.AsyncClient) -> list[str]:
    return [one["id"] for one in (await graph.get("/subscriptions")).json()["value"]]


@pytest.mark.behaviour(39)
async def test_the_client_state_is_shown_to_who_writes_it_only(watcher: Any) -> None:
    made = await watcher.subscribe(ALL)
    path = f"/subscriptions/{made['id']}"
    assert made["clientState"] == "secret"
    assert (await watcher.graph.get("/subscriptions")).json()["value"][0]["clientState"] is None
    assert (await watcher.graph.get(path)).json()["clientState"] is None
    await watcher.world.control.do("notifying_set", values={"shows_client_state": True})
    assert (await watcher.graph.get(path)).json()["clientState"] == "secret"
