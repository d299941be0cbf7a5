"""The receiver: every form a notification comes in, batches of several organisations, and bodies that are hostile."""

import json
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM
from m365_simulator.signing import access_token
from m365_simulator.verbs import perform
from shared.subscriptions.notifications import load

RESOURCE = "communications/onlineMeetings/getAllRecordings"
CALLS = "communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fteams%2F1')/meetingCallEvents"


def news(state: str, **more: Any) -> dict[str, Any]:
    item = {"subscriptionId": "s1", "clientState": state, "changeType": "created", "resource": "r('1')"}
    return item | more


async def stored(watch: Any) -> list[Any]:
    found: list[Any] = await watch.rows("SELECT * FROM graph_notification ORDER BY id")
    return found


async def test_a_single_notification_needs_no_list_around_it(watch: Any) -> None:
    state = await watch.subscribed()
    answer = await watch.http.post("/webhooks/graph", json=news(state, id="n1"))
    assert answer.status_code == 202
    (row,) = await stored(watch)
    assert (row.org_id, row.resource, row.body["id"]) == ("acme", RESOURCE, "n1")
    answer = await watch.http.post("/webhooks/graph", json={"hello": "world"})
    assert answer.status_code == 422


async def test_what_has_neither_id_nor_version_is_told_apart_by_its_content(watch: Any) -> None:
    state = await watch.subscribed()
    started, ended = ({"id": CALLS, "state": one} for one in ("started", "ended"))
    for data in (started, ended, started):
        await watch.tell(news(state, changeType="updated", resource=CALLS, resourceData=data))
    assert [row.body["resourceData"]["state"] for row in await stored(watch)] == ["started", "ended"]


@pytest.mark.parametrize("spelling", ["@odata.etag", "@odata.eTag", "@odata.ETag"])
async def test_a_version_is_read_however_its_name_is_spelt(watch: Any, spelling: str) -> None:
    state = await watch.subscribed()
    for version, rest in (("1", "x"), ("1", "y"), ("2", "x")):
        await watch.tell(news(state, resourceData={spelling: version, "rest": rest}))
    assert len(await stored(watch)) == 2


async def test_a_batch_of_several_organisations_is_kept_apart(watch: Any) -> None:
    watch.tokens.values["globex"] = await fabrikams_token(watch)
    states = {}
    for org in ("acme", "globex"):
        await watch.subscriptions.ensure(watch.graph.as_app(org), RESOURCE)
    for row in watch.at_graph():
        states[row["tenant"]] = row["clientState"]
    answer = await watch.tell(
        news(states[FABRIKAM], id="f", tenantId=FABRIKAM),
        news("nobody's", id="x"),
        news(states[CONTOSO], id="c", tenantId=CONTOSO),
    )
    assert answer.status_code == 202
    rows = await stored(watch)
    assert {(row.org_id, row.body["id"]) for row in rows} == {("globex", "f"), ("acme", "c")}
    async with watch.service.db.unit_of_work("globex") as work:
        for row in rows:
            found = await load(work.session, "globex", row.id)
            assert (found is not None) == (row.org_id == "globex")


async def fabrikams_token(watch: Any) -> str:
    """Fabrikam's administrator consents; what the application may read there follows from it."""
    claims = {"tid": FABRIKAM, "oid": "sp", "idtyp": "app", "roles": ["OnlineMeetingRecording.Read.All"]}
    claims["appid"] = watch.simulator.settings.client_id
    return access_token(watch.simulator.entra, f"https://sts.windows.net/{FABRIKAM}/", claims)


async def test_the_secret_decides_and_not_the_id(watch: Any) -> None:
    """A create whose answer was lost left a subscription that we do not know by its id."""
    await watch.subscribed()
    watch.strike("unknown_subscription")
    watch.strike("wrong_client_state", skip=1)
    first = watch.change()
    watch.change()
    await watch.simulator.settle()
    (row,) = await stored(watch)
    assert row.body["resourceData"]["id"] == first
    assert row.body["subscriptionId"] != watch.at_graph()[0]["id"]


BODIES = [
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resource": "\\ud800", "id": "\\udfff"}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resource": "a\\u0000b", "\\u0000": 1}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resource": 1e999}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resource": NaN}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resource": -Infinity}]}',
    b'{"value": [{"subscriptionId": {"a": []}, "clientState": "%s", "id": {"b": 1}, "lifecycleEvent": []}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "lifecycleEvent": {"a": 1}, "tenantId": []}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "resourceData": ["x"], "resource": null}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "encryptedContent": "x"}]}',
    b'{"value": [{"subscriptionId": "s", "clientState": "%s", "encryptedContent": {"data": 1}}]}',
    b'{"value": [{"clientState": "%s"}], "validationTokens": "x"}',
    b'{"value": [{"clientState": "%s"}], "validationTokens": [null, 7, {}]}',
    b'{"value": [{"clientState": "%s", "resource": ' + b"9" * 5000 + b"}]}",
    b'{"value": [{"clientState": "%s", "resource": ' + b"[" * 400 + b"]" * 400 + b"}]}",
    b'{"value": [{"clientState": "%s", "resource": ' + b"[" * 900 + b"]" * 900 + b"}]}",
    b'{"value": {"clientState": "%s"}}',
    b'"%s"',
    b"null",
    b'{"subscriptionId": "%s", "value": null}',
]


@pytest.mark.behaviour(42)
async def test_no_forged_body_is_an_error_of_ours_and_what_is_not_ours_stays_out(watch: Any) -> None:
    state = (await watch.subscribed()).encode()
    for body in BODIES:
        for who in (b"guess", state):
            answer = await watch.http.post("/webhooks/graph", content=body.replace(b"%s", who))
            assert answer.status_code in (202, 422), (body[:120], answer.status_code)
            if who == b"guess":
                assert await stored(watch) == [], body[:120]
        await watch.rows("DELETE FROM graph_notification")


@pytest.mark.behaviour(42)
async def test_bodies_forged_at_the_simulator_are_refused_or_ignored(watch: Any) -> None:
    await watch.subscribed()
    (row,) = watch.at_graph()
    perform(watch.simulator, "notification_forge", {"subscription": row["id"]})
    perform(watch.simulator, "notification_forge", {"subscription": row["id"], "body": '{"value": ['})
    await watch.simulator.settle()
    attempts = [one["attempts"][0]["status"] for one in watch.simulator.store.all("notifications")]
    assert attempts == [202, 422]
    assert await stored(watch) == []


@pytest.mark.behaviour(41)
async def test_one_that_arrives_before_the_create_is_answered_is_stored(watch: Any) -> None:
    watch.strike("deliver_before_answer")
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    (row,) = await stored(watch)
    assert row.body["subscriptionId"] == watch.at_graph()[0]["id"]


@pytest.mark.behaviour(41)
async def test_duplicates_and_disorder_are_stored_once_each(watch: Any) -> None:
    await watch.subscribed()
    watch.strike("duplicate_notifications", times=2)
    watch.strike("reorder_notifications")
    sent = {watch.change(), watch.change()}
    await watch.simulator.settle()
    rows = await stored(watch)
    assert len(rows) == 2
    assert {row.body["resourceData"]["id"] for row in rows} == sent


@pytest.mark.behaviour(41)
async def test_one_that_comes_after_the_removal_is_ignored(watch: Any) -> None:
    await watch.subscribed()
    watch.strike("delay_notification", seconds=60)
    watch.change()
    await watch.subscriptions.remove(watch.caller, RESOURCE)
    watch.simulator.advance(61, "service")
    await watch.simulator.settle()
    assert [one["status"] for one in watch.simulator.store.all("notifications")] == ["delivered"]
    assert await stored(watch) == []


async def test_what_is_stored_is_what_was_sent_without_the_secret(watch: Any) -> None:
    await watch.subscribed()
    key = watch.change()
    await watch.simulator.settle()
    (row,) = await stored(watch)
    (log,) = watch.simulator.store.all("notifications")
    assert row.body == log["item"]
    assert row.body["resourceData"]["id"] == key
    assert "clientState" not in json.dumps(row.body)
