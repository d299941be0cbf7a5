"""How long subscriptions live, what cannot be changed about one, and how all of an account's end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token
from m365_simulator.verbs import perform
from shared.graph.errors import GraphReconnect
from shared.subscriptions.lifetimes import life_in, life_of, renew_before
from shared.subscriptions.notifications import Notification
from shared.subscriptions.rich import new_certificate
from shared.subscriptions.subscriptions import Subscriptions

RESOURCE = "communications/onlineMeetings/getAllRecordings"
ROLES = "OnlineMeetingRecording.Read.All Mail.Read Contacts.Read Calendars.Read User.Read.All Files.Read.All"


def token(watch: Any, org: str = "acme", roles: str = ROLES) -> None:
    """The organisation's application may read more than recordings."""
    claims = {"tid": CONTOSO, "oid": "sp", "idtyp": "app", "roles": roles.split()}
    claims["appid"] = watch.simulator.settings.client_id
    watch.tokens.values[org] = access_token(watch.simulator.entra, f"https://sts.windows.net/{CONTOSO}/", claims)


def anna(watch: Any) -> str:
    user = find_user(watch.simulator.store, "anna@contoso.example")
    assert user is not None
    return str(user["id"])


@pytest.mark.parametrize(
    ("resource", "minutes"),
    [
        ("users/{id}/messages", 10_070),
        ("/users/{id}/mailFolders/inbox/messages", 10_070),
        ("me/events", 10_070),
        ("me/contactFolders/x/contacts", 10_070),
        ("users/{id}/onlineMeetings/getAllRecordings", 4_320),
        ("communications/onlineMeetings/x/transcripts", 4_320),
        ("communications/onlineMeetings(joinWebUrl='x')/meetingCallEvents", 1_440),
        ("anything/else", 4_230),
    ],
)
def test_each_resource_is_asked_for_less_than_its_maximum(resource: str, minutes: int) -> None:
    life = life_of(resource.format(id="6a2c"))
    assert timedelta(minutes=minutes * 0.7) < life <= timedelta(minutes=minutes - 10)
    assert renew_before(resource.format(id="6a2c")) < life / 2


def test_a_maximum_that_a_refusal_names_is_read() -> None:
    assert life_in("Subscription expiration can only be 4230 minutes in the future.") == timedelta(minutes=4_215)
    assert life_in("… is beyond allowed max '3.00:00:00'.]") == timedelta(minutes=4_305)
    assert life_in("… allowed max '01:00:00'") == timedelta(minutes=45)
    assert life_in("Something else.") is None


@pytest.mark.parametrize("figures", [{}, {"outlook_minutes": 4_230, "teams_minutes": 60}])
async def test_what_microsoft_allows_now_is_found_out_and_kept(watch: Any, figures: dict[str, float]) -> None:
    token(watch)
    perform(watch.simulator, "notifying_set", {"values": figures})
    for resource in (RESOURCE, f"users/{anna(watch)}/messages", f"users/{anna(watch)}/drive/root", "users"):
        kinds = "updated" if resource.endswith(("root", "users")) else "created"
        until = await watch.subscriptions.ensure(watch.caller, resource, kinds)
        (row,) = await watch.rows("SELECT * FROM graph_subscription WHERE resource = :resource", resource=resource)
        made = next(one for one in watch.at_graph() if one["resource"] == resource)
        assert row.expires_at == until == datetime.fromisoformat(made["expirationDateTime"])
        again = await watch.subscriptions.ensure(watch.caller, resource, kinds, renew=True)
        assert again >= until
    expected = 60 - 15 if figures else 4_320 - 15
    (row,) = await watch.rows("SELECT * FROM graph_subscription WHERE resource = :resource", resource=RESOURCE)
    assert abs(row.expires_at - datetime.now(UTC) - timedelta(minutes=expected)) < timedelta(minutes=1)
    refusals = [one for one in watch.simulator.calls.rows if one["status"] == 400]
    assert len(refusals) == (4 if figures else 0)


async def test_what_cannot_be_changed_is_made_anew(watch: Any) -> None:
    token(watch)
    resource = f"users/{anna(watch)}/messages"
    await watch.subscriptions.ensure(watch.caller, resource, "created")
    (first,) = watch.at_graph()
    await watch.subscriptions.ensure(watch.caller, resource, "updated, created")
    (second,) = watch.at_graph()
    assert second["id"] != first["id"]
    await watch.subscriptions.ensure(watch.caller, resource, "created,updated")
    assert watch.at_graph()[0]["id"] == second["id"]
    await watch.subscriptions.ensure(watch.caller, RESOURCE, rich=True)
    rich = watch.at_graph()[1]
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert watch.at_graph()[1]["id"] == rich["id"]
    await watch.subscriptions.ensure(watch.caller, RESOURCE, rich=False)
    basic = watch.at_graph()[1]
    assert (basic["id"] != rich["id"], basic["includeResourceData"]) == (True, False)


async def test_everything_of_an_account_that_disconnects_ends(watch: Any) -> None:
    token(watch)
    token(watch, "globex")
    oid = anna(watch)
    mine = [RESOURCE, f"users/{oid}/messages", f"users/{oid}/contacts"]
    for resource in mine:
        await watch.subscriptions.ensure(watch.caller, resource)
    await watch.subscriptions.ensure(watch.graph.as_app("globex"), f"users/{oid}/events")
    for resource in mine:
        await watch.subscriptions.remove(watch.caller, resource)
    assert [one["resource"] for one in watch.at_graph()] == [f"users/{oid}/events"]
    assert await watch.subscriptions.resources_of("acme", "") == {}
    assert await watch.subscriptions.resources_of("globex", "") == {f"users/{oid}/events": False}
    watch.tokens.refused = "permission_missing"
    with pytest.raises(GraphReconnect):
        await watch.subscriptions.ensure(watch.graph.as_app("globex"), f"users/{oid}/events")
    await watch.subscriptions.remove(watch.graph.as_app("globex"), f"users/{oid}/events")
    assert await watch.rows("SELECT * FROM graph_subscription") == []


def lifecycle(event: str, resource: str = RESOURCE) -> Notification:
    return Notification(1, "acme", "", resource, "created", {"lifecycleEvent": event}, datetime.now(UTC))


@pytest.mark.behaviour(44)
async def test_a_subscription_that_ended_is_made_anew_and_the_gap_is_read(
    watch: Any,
) -> None:
    await watch.subscribed()
    assert await watch.subscriptions.heed(watch.caller, lifecycle("reauthorizationRequired")) is False
    perform(watch.simulator, "clock_advance", {"seconds": 4 * 24 * 3600, "clock": "service"})
    token(watch)
    assert watch.at_graph() == []
    assert await watch.subscriptions.heed(watch.caller, lifecycle("reauthorizationRequired")) is True
    assert len(watch.at_graph()) == 1


@pytest.mark.behaviour(44)
async def test_deliveries_go_on_after_the_reauthorisation_graph_asks_for(watch: Any) -> None:
    await watch.subscribed()
    perform(watch.simulator, "authorization_revoke", {"subscription": RESOURCE})
    key = watch.change()
    await watch.simulator.settle()
    (event,) = await watch.rows("SELECT body FROM graph_notification")
    assert event.body["lifecycleEvent"] == "reauthorizationRequired"
    assert await watch.subscriptions.heed(watch.caller, lifecycle("reauthorizationRequired")) is False
    await watch.simulator.settle()
    bodies = [row.body for row in await watch.rows("SELECT body FROM graph_notification ORDER BY id")]
    assert bodies[1]["resourceData"]["id"] == key
    assert [one for one in watch.simulator.calls.findings if one["kind"] == "renewed_twice"] == []


@pytest.mark.behaviour(44)
async def test_a_removed_subscription_is_made_anew_a_missed_one_stays(watch: Any) -> None:
    token(watch)
    resource = f"users/{anna(watch)}/messages"
    await watch.subscriptions.ensure(watch.caller, resource)
    (first,) = watch.at_graph()
    calls = len(watch.simulator.calls.rows)
    assert await watch.subscriptions.heed(watch.caller, lifecycle("missed", resource)) is True
    assert len(watch.simulator.calls.rows) == calls
    perform(watch.simulator, "subscription_remove", {"subscription": resource})
    assert await watch.subscriptions.heed(watch.caller, lifecycle("subscriptionRemoved", resource)) is True
    (second,) = watch.at_graph()
    assert second["id"] != first["id"]


async def test_a_ring_that_moved_on_is_brought_to_graph_at_the_next_look(watch: Any) -> None:
    await watch.subscriptions.ensure(watch.caller, RESOURCE, rich=True)
    watch.certificates.made += (new_certificate(2048),)
    current = watch.certificates.made[-1][0]
    other = Subscriptions(watch.another(), watch.service.settings, "notes", watch.certificates)
    other.url = watch.subscriptions.url
    await other.heed(watch.caller, lifecycle("reauthorizationRequired"))
    assert watch.at_graph()[0]["encryptionCertificateId"] == current
    (row,) = await watch.rows("SELECT certificate_id FROM graph_subscription")
    assert row.certificate_id == current
