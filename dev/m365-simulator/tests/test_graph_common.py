"""What every Graph route shares: ids, refusals, query options, throttling, batches, and the record of calls."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, find_user
from m365_simulator.limits import PER_MAILBOX, workload
from m365_simulator.wire import answer

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
EVENT = {
    "subject": "Offer",
    "start": {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"},
    "end": {"dateTime": "2030-01-01T11:00:00", "timeZone": "UTC"},
}


def reader(world: Any, permissions: str = "User.Read Calendars.ReadWrite", person: str = ANNA) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(person, permissions))
    return client


@pytest.mark.behaviour(18)
async def test_every_answer_names_its_request_and_echoes_the_callers_id(world: Any) -> None:
    me = reader(world)
    good = await me.get("/me", headers={"client-request-id": "mine-1"})
    bad = await me.get("/me/nothing", headers={"client-request-id": "mine-2"})
    for got, mine in ((good, "mine-1"), (bad, "mine-2")):
        assert got.headers["client-request-id"] == mine
        assert got.headers["request-id"]
        assert "ServerInfo" in got.headers["x-ms-ags-diagnostic"]
    inner = bad.json()["error"]["innerError"]
    assert inner["client-request-id"] == "mine-2"
    assert inner["request-id"] == bad.headers["request-id"]
    assert set(inner) >= {"date", "request-id", "client-request-id"}


@pytest.mark.behaviour(19)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nonsense", "Basic YTpi"])
async def test_a_call_without_a_good_token_is_challenged(world: Any, header: str) -> None:
    got = await world.http.get("/v1.0/me", headers={"Authorization": header} if header else {})
    assert got.status_code == 401
    assert got.json()["error"]["code"] == "InvalidAuthenticationToken"
    assert got.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.behaviour(19)
async def test_a_token_for_another_audience_or_past_its_end_is_refused(world: Any) -> None:
    foreign = world.token(ANNA, "User.Read", aud="https://management.azure.com")
    assert (await world.graph(foreign).get("/me")).status_code == 401
    me = reader(world)
    assert (await me.get("/me")).status_code == 200
    await world.control.advance(3601, clock="service")
    assert (await me.get("/me")).status_code == 401
    assert (await reader(world).get("/me")).status_code == 200, "one made after the push is good"


@pytest.mark.behaviour(19)
async def test_a_missing_permission_is_refused_in_the_words_of_the_workload(world: Any) -> None:
    nobody = reader(world, "openid")
    codes = {
        "/me": "Authorization_RequestDenied",
        "/me/events/x": "ErrorAccessDenied",
    }
    for path, code in codes.items():
        got = await nobody.get(path)
        assert (got.status_code, got.json()["error"]["code"]) == (403, code), path


@pytest.mark.behaviour(19)
async def test_nobody_reads_another_person_or_another_tenant(world: Any) -> None:
    assert (await reader(world).get(f"/users/{BEN}")).status_code == 403
    app = world.graph(world.app_token(FABRIKAM, "User.Read.All"))
    assert (await app.get(f"/users/{ANNA}")).status_code == 404
    assert (await app.get("/me")).status_code == 400
    reads = world.graph(world.app_token(FABRIKAM, "Organization.Read.All"))
    assert (await reads.get(f"/organization/{CONTOSO}")).status_code == 404


@pytest.mark.behaviour(20)
async def test_options_that_a_list_does_not_take_are_refused_and_not_passed_over(world: Any) -> None:
    me = reader(world)
    kept = (await me.get("/me", params={"$select": "displayName"})).json()
    assert set(kept) == {"@odata.context", "id", "displayName"}
    for options in ({"$select": "nosuch"}, {"$filter": "displayName eq 'x'"}, {"$top": "5"}, {"$nonsense": "1"}):
        got = await me.get("/me", params=options)
        assert got.status_code == 400, options
        assert got.json()["error"]["code"] == "BadRequest"


@pytest.mark.behaviour(20)
async def test_one_path_has_many_spellings(world: Any) -> None:
    anna = find_user(world.simulator.store, ANNA)
    assert anna is not None
    app = world.graph(world.app_token(CONTOSO, "User.Read.All"))
    mine = reader(world, "Contacts.Read")
    assert (await mine.get("/me/ContactFolders/delta()")).status_code == 200
    for path in (f"/users/{anna['id']}", f"/Users('{anna['id']}')", f"/USERS/{ANNA}"):
        assert (await app.get(path)).json()["id"] == anna["id"], path


async def test_what_graph_could_not_answer_is_a_fault_of_the_simulator(world: Any) -> None:
    with pytest.raises(RuntimeError, match="nosuch"):
        answer(world.simulator, "users/$entity", {"id": "1", "nosuch": 1}, kind="graph.user")
    with pytest.raises(RuntimeError, match="isOrganizer"):
        answer(world.simulator, "events/$entity", {"id": "1", "isOrganizer": "yes"}, kind="graph.event")


@pytest.mark.behaviour(21)
@pytest.mark.parametrize(("wait", "header"), [(7, "7"), (None, None)])
async def test_throttling_comes_with_and_without_retry_after(world: Any, wait: int | None, header: str | None) -> None:
    await world.control.fault("throttle", retry_after=wait)
    got = await reader(world).get("/me")
    assert (got.status_code, got.headers.get("retry-after")) == (429, header)
    assert (await reader(world).get("/me")).status_code == 200


@pytest.mark.behaviour(21)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_the_service_fails_before_or_after_it_acted(world: Any, status: int) -> None:
    me = reader(world)
    await world.control.fault("server_error", status=status)
    assert (await me.post("/me/events", json=EVENT)).status_code == status
    assert world.simulator.store.all("events") == []
    await world.control.fault("done_but_error", status=status)
    assert (await me.post("/me/events", json=EVENT)).status_code == status
    assert len(world.simulator.store.all("events")) == 1


async def test_a_scripted_refusal_has_no_effect_and_says_its_code(world: Any) -> None:
    await world.control.fault("refused", status=400, code="BadRequest", match={"path": "/me/events"})
    got = await reader(world).post("/me/events", json=EVENT)
    assert (got.status_code, got.json()["error"]["code"]) == (400, "BadRequest")
    assert world.simulator.store.all("events") == []


@pytest.mark.behaviour(21)
async def test_the_connection_is_reset_before_or_after_it_acted(world: Any) -> None:
    me = reader(world)
    await world.control.fault("reset", match={"path": "/me/events"})
    with pytest.raises(ConnectionResetError):
        await me.post("/me/events", json=EVENT)
    assert world.simulator.store.all("events") == []
    await world.control.fault("done_but_reset", match={"path": "/me/events"})
    with pytest.raises(ConnectionResetError):
        await me.post("/me/events", json=EVENT)
    assert len(world.simulator.store.all("events")) == 1


@pytest.mark.behaviour(21)
async def test_outlook_takes_four_requests_at_once_for_mailbox_and_application(
    make_world: Callable[..., Any],
) -> None:
    world = make_world(latency_ms=40)
    me, ben = reader(world), reader(world, person=BEN)
    statuses = await asyncio.gather(*(status(me, "/me/events/x") for _ in range(PER_MAILBOX + 3)))
    assert statuses.count(429) == 3
    assert statuses.count(404) == PER_MAILBOX
    one_each = await asyncio.gather(*(status(who, "/me/events/x") for who in (me, ben) for _ in range(PER_MAILBOX)))
    assert 429 not in one_each, "another mailbox has its own four"
    others = await asyncio.gather(*(status(me, "/me") for _ in range(PER_MAILBOX + 3)))
    assert 429 not in others, "the directory is not Outlook"


async def status(client: httpx.AsyncClient, path: str) -> int:
    return (await client.get(path)).status_code


@pytest.mark.behaviour(21)
async def test_a_limit_counts_refused_requests_too_and_ends_with_its_window(world: Any) -> None:
    await world.control.do("limit_set", name="me", path="GET /me", requests=3, seconds=60, scope="user")
    me = reader(world)
    assert [await status(me, "/me") for _ in range(5)] == [200, 200, 200, 429, 429]
    got = await me.get("/me")
    assert 0 < int(got.headers["retry-after"]) <= 60
    assert await status(reader(world, person=BEN), "/me") == 200
    await world.control.advance(61, clock="service")
    assert await status(me, "/me") == 200


@pytest.mark.behaviour(21)
async def test_sharepoint_tells_what_is_left_from_four_fifths_of_its_limit_on(world: Any) -> None:
    row = {"name": "sharepoint", "path": "sharepoint", "requests": 5, "seconds": 60, "scope": "tenant"}
    await world.control.do("limit_set", **row)
    me = reader(world)
    left = [(await me.get("/sites/none")).headers.get("ratelimit-remaining") for _ in range(6)]
    assert left == [None, None, None, "1", "0", "0"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/me/events", "outlook"),
        ("/users/x/contactFolders/a/contacts/delta", "outlook"),
        ("/me/onlineMeetings", "other"),
        ("/me/drive/root", "sharepoint"),
        ("/sites/x/drives", "sharepoint"),
        ("/teams/t/channels/c/filesFolder", "sharepoint"),
        ("/subscriptions", "other"),
        ("/users", "other"),
        ("/", "other"),
    ],
)
def test_each_path_belongs_to_a_workload(path: str, kind: str) -> None:
    assert workload(path) == kind


def item(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "method": "GET", "url": "/me", **more}


@pytest.mark.behaviour(22)
async def test_a_batch_answers_each_of_twenty_by_its_id(world: Any) -> None:
    me = reader(world)
    asked = [item(str(number), url="/me" if number % 2 else "me/events/none") for number in range(20)]
    got = (await me.post("/$batch", json={"requests": asked})).json()["responses"]
    assert [one["id"] for one in got] != [one["id"] for one in asked], "in no promised order"
    assert {one["id"]: one["status"] for one in got} == {str(n): 200 if n % 2 else 404 for n in range(20)}
    too_many = await me.post("/$batch", json={"requests": [item(str(n)) for n in range(21)]})
    assert too_many.status_code == 400


@pytest.mark.behaviour(22)
async def test_a_batch_item_waits_for_those_it_depends_on_and_fails_with_them(world: Any) -> None:
    body = {"id": "make", "method": "POST", "url": "/me/events", "body": EVENT}
    typed = body | {"headers": {"Content-Type": "application/json"}}
    asked = [typed, item("after", dependsOn=["make"]), item("bad", url="/me/none"), item("lost", dependsOn=["bad"])]
    got = (await reader(world).post("/$batch", json={"requests": asked})).json()["responses"]
    assert {one["id"]: one["status"] for one in got} == {"make": 201, "after": 200, "bad": 400, "lost": 424}


@pytest.mark.behaviour(22)
async def test_one_item_of_a_batch_is_throttled_alone(world: Any) -> None:
    await world.control.fault("batch_item", retry_after=9, match={"path": "/me/events*"})
    asked = [item("a"), item("b", url="/me/events/x"), item("c")]
    got = (await reader(world).post("/$batch", json={"requests": asked})).json()["responses"]
    by_id = {one["id"]: one for one in got}
    assert [by_id[name]["status"] for name in "abc"] == [200, 429, 200]
    assert by_id["b"]["headers"]["Retry-After"] == "9"


@pytest.mark.behaviour(22)
@pytest.mark.parametrize(
    "requests",
    [
        None,
        [],
        [{"method": "GET", "url": "/me"}],
        [item("1"), item("1")],
        [item("1", method="BREW")],
        [item("1", dependsOn=["2"]), item("2")],
        [item("1", method="POST", body={})],
        ["text"],
    ],
)
async def test_a_batch_of_bad_shape_is_refused_whole(world: Any, requests: Any) -> None:
    assert (await reader(world).post("/$batch", json={"requests": requests})).status_code == 400


@pytest.mark.behaviour(23)
async def test_what_was_just_written_may_not_be_found_for_a_while(world: Any) -> None:
    me = reader(world)
    made = (await me.post("/me/events", json=EVENT)).json()
    await world.control.fault("not_yet", times=2, match={"path": "/me/events/*"})
    assert [await status(me, f"/me/events/{made['id']}") for _ in range(3)] == [404, 404, 200]


@pytest.mark.behaviour(54)
async def test_every_call_is_recorded_with_who_asked_and_what_allowed_it(world: Any) -> None:
    await reader(world).get("/me", params={"$select": "id"}, headers={"client-request-id": "c-1"})
    row = (await world.control.calls())[-1]
    anna = find_user(world.simulator.store, ANNA)
    assert anna is not None
    assert row["permission"] == "User.Read"
    assert (row["tenant"], row["user"], row["status"]) == (CONTOSO, anna["id"], 200)
    assert row["app"] == world.simulator.settings.client_id
    assert row["client_request_id"] == "c-1"
    assert row["seconds"] >= 0
    assert "token" not in str(row).lower()


@pytest.mark.behaviour(54)
async def test_a_client_that_comes_back_too_early_or_shows_a_secret_is_found_out(world: Any) -> None:
    me = reader(world)
    await world.control.fault("throttle", retry_after=30, match={"path": "/me"})
    await me.get("/me")
    await me.get("/organization")
    assert await world.control.findings() == [], "another request is not bound by it"
    await me.get("/me")
    await me.get("/me", params={"access_token": "x"})
    kinds = [found["kind"] for found in await world.control.findings()]
    assert kinds == ["early_retry", "token_in_url"]


@pytest.mark.behaviour(54)
@pytest.mark.parametrize("fault", ["throttle", "server_error"])
async def test_another_batch_is_not_bound_by_the_wait_of_the_first(world: Any, fault: str) -> None:
    me = reader(world)
    await world.control.fault(fault, retry_after=30, match={"path": "/$batch"})

    async def ask(path: str) -> None:
        await me.post("/$batch", json={"requests": [{"id": "1", "method": "GET", "url": path}]})

    await ask("/me")
    await ask("/organization")
    assert await world.control.findings() == []
    await ask("/me")
    assert [found["kind"] for found in await world.control.findings()] == ["early_retry"]


@pytest.mark.behaviour(54)
async def test_a_subscription_that_outlives_its_tenants_consent_is_found(world: Any) -> None:
    world.simulator.store.put("subscriptions", "s", {"id": "s", "tenant": FABRIKAM, "resource": "x"})
    assert [found["kind"] for found in await world.control.findings()] == ["subscription_leaked"]


@pytest.mark.behaviour(22)
async def test_a_body_that_is_no_json_stands_in_a_batch_as_base64(world: Any) -> None:
    me = reader(world, "Files.ReadWrite Contacts.ReadWrite Mail.ReadWrite")
    kind = {"Content-Type": "application/octet-stream"}
    words = base64.urlsafe_b64encode(b"\xfb\xff hello").decode()
    put = item("put", method="PUT", url="/me/drive/root:/a.bin:/content", body=words, headers=kind)
    bad = item("bad", method="PUT", url="/me/drive/root:/b.bin:/content", body="no base64", headers=kind)
    got = (await me.post("/$batch", json={"requests": [put, bad]})).json()["responses"]
    assert {one["id"]: one["status"] for one in got} == {"put": 201, "bad": 400}
    message = (await me.post("/me/messages", json={"subject": "Lunch"})).json()
    asked = [
        item("mime", url=f"/me/messages/{message['id']}/$value"),
        item("file", url="/me/drive/root:/a.bin:/content"),
    ]
    got = {one["id"]: one for one in (await me.post("/$batch", json={"requests": asked})).json()["responses"]}
    assert b"Subject: Lunch" in base64.b64decode(got["mime"]["body"])
    assert got["file"]["status"] == 302
    assert (await world.http.get(got["file"]["headers"]["location"])).content == b"\xfb\xff hello"


@pytest.mark.behaviour(18)
@pytest.mark.parametrize("path", ["/v1.0/none", "/v1.0", "/beta/me", "/v2.0/me", "/v3/me/messages", "/beta"])
async def test_a_path_of_any_version_that_nobody_has_is_answered_as_by_graph(world: Any, path: str) -> None:
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {world.token(ANNA, 'User.Read')}"}, 400)):
        got = await world.http.get(path, headers=headers)
        assert got.status_code == status, got.text
        assert {"code", "message", "innerError"} <= set(got.json()["error"])


async def test_people_read_their_own_names(world: Any) -> None:
    me = (await reader(world).get("/me")).json()
    assert (me["displayName"], me["givenName"], me["surname"]) == ("Anna Andersson", "Anna", "Andersson")
