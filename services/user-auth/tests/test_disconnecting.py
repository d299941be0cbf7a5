"""The end of connections: by the person, by the organisation."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from m365_simulator.directory import CONTOSO, FABRIKAM
from shared.events import Features, TenantDisconnected, TenantState
from shared.testing.harness import consume


def state(version: int, *, connected: bool, tid: str = CONTOSO) -> TenantState:
    about = {"org_id": "acme", "aggregate_version": version, "connected": connected, "tid": tid}
    return TenantState.model_validate(
        about | {"features": Features(outlook_email=False), "changed_at": "2026-01-01T00:00:00Z"}
    )


def gone(version: int) -> TenantDisconnected:
    about = {"org_id": "acme", "aggregate_version": version, "tid": CONTOSO}
    return TenantDisconnected(**about, code="by_org_admin", reason="An Org Admin did it.")


async def test_after_a_disconnect_no_token_is_given_and_it_is_told_once(house: Any) -> None:
    await house.connect()
    assert (await house.token()).status_code == 200
    for _ in range(2):
        answer = await house.disconnect()
        assert (answer.status_code, answer.json()["status"]) == (200, "disconnected")
        assert answer.json()["account"] is None
    refused = await house.token()
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")
    assert len(await house.published("user.disconnected")) == 1
    assert [item["connected"] for item in await house.published("user.state")] == [True, False]
    assert [line["action"] for line in await house.rows("audit")] == ["connection.connected", "connection.disconnected"]


async def test_disconnecting_what_never_was_connected_changes_nothing(house: Any) -> None:
    answer = await house.disconnect()
    assert (answer.status_code, answer.json()["status"]) == (200, "not_connected")
    assert await house.published("user.disconnected") == []


async def test_after_a_disconnect_signing_in_is_a_first_connection_again(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    await house.connect()
    assert [event["aggregate_version"] for event in await house.published("user.connected")] == [1, 3]


@pytest.mark.parametrize("order", ["fact first", "state first"])
async def test_a_tenants_end_destroys_the_tokens_of_all_its_people(house: Any, order: str) -> None:
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    await house.token()
    news = [gone(2), state(2, connected=False)]
    for event in news if order == "fact first" else reversed(news):
        await house.hear(event)
    assert {row["sealed_cache"] for row in await house.rows("connection")} == {None}
    assert {event["user_id"] for event in await house.published("user.disconnected")} == {"anna", "ben"}
    assert len(await house.published("user.disconnected")) == 2
    refused = await house.token()
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    shown = await house.connection()
    assert shown["status"] == "disconnected"
    assert shown["problem"]["code"] == "tenant_not_connected"


async def the_organisation_leaves(house: Any) -> None:
    await house.connect()
    await house.hear(gone(2), state(2, connected=False))
    assert "an Org Admin connects it first" in (await house.connection())["problem"]["detail"]


async def test_once_the_organisation_is_back_only_the_person_is_left_to_act(house: Any) -> None:
    await the_organisation_leaves(house)
    await house.hear(state(3, connected=True))
    problem = (await house.connection())["problem"]
    assert problem["code"] == "account_not_connected"
    assert "Connect your account again" in problem["detail"]
    assert "Org Admin" not in problem["detail"]
    refused = (await house.token()).json()
    assert (refused["code"], refused["detail"]) == ("account_not_connected", problem["detail"])


async def hint(house: Any) -> str:
    return dict(httpx.URL((await house.start()).json()["authorize_url"]).params).get("login_hint", "")


async def test_who_comes_back_with_the_organisation_has_the_same_account(
    house: Any,
) -> None:
    await the_organisation_leaves(house)
    await house.hear(state(3, connected=True))
    assert await hint(house) == "anna@contoso.example"
    assert (await house.connect("ben@contoso.example")).json()["code"] == "another_account"
    assert (await house.connect()).json()["connection"]["problem"] is None


async def test_another_account_may_be_connected_after_a_disconnect_of_ones_own(house: Any) -> None:
    await the_organisation_leaves(house)
    await house.hear(state(3, connected=True))
    assert (await house.disconnect()).json()["problem"] is None
    assert await hint(house) == ""
    assert (await house.connect("ben@contoso.example")).status_code == 200
    assert len(await house.published("user.disconnected")) == 1


async def test_in_another_tenant_the_former_account_is_not_asked_for(house: Any) -> None:
    await house.connect()
    await house.microsoft.client.do("consent_give", tenant=FABRIKAM)
    await house.hear(state(5, connected=True, tid=FABRIKAM))
    assert await hint(house) == ""
    assert (await house.connect("carl@fabrikam.example")).status_code == 200


async def test_an_account_that_is_gone_is_disconnected_before_its_successor(house: Any) -> None:
    house.microsoft.door.edit = lambda said: said.update(expires_in=10)
    await house.connect()
    await house.microsoft.client.fault("token_error", number=50034, match={"grant": "refresh_token"})
    detail = (await house.token()).json()["detail"]
    assert "does not exist any more. Disconnect it, then connect your new account under Settings" in detail
    await house.disconnect()
    assert (await house.connect("ben@contoso.example")).status_code == 200


async def test_a_disconnect_held_up_by_a_silent_microsoft_changes_nothing(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("user_auth.queries._LOCK_WAIT_S", 0.1)
    house.short_tokens(10)
    await house.connect()
    sign_in = await house.at_microsoft("anna@contoso.example")
    answered, asked = asyncio.Event(), asyncio.Event()

    async def silent() -> None:
        asked.set()
        await answered.wait()

    house.microsoft.door.before_answer = silent
    asking = asyncio.create_task(house.token())
    await asked.wait()
    async with asyncio.timeout(8):
        refused = await house.disconnect()
    assert (refused.status_code, refused.json()["code"]) == (503, "try_again")
    house.microsoft.door.before_answer = None
    async with asyncio.timeout(8):
        held_up = await house.complete(sign_in)
    assert (held_up.status_code, held_up.json()["code"]) == (503, "try_again")
    answered.set()
    assert (await asking).status_code == 200
    assert (await house.connection())["status"] == "connected"
    assert (await house.disconnect()).json()["status"] == "disconnected"


async def test_another_organisation_keeps_its_connections(house: Any) -> None:
    await house.connect()
    other = gone(9).model_copy(update={"org_id": "globex"})
    async with house.service.db.unit_of_work("globex") as work:
        work.outbox.add(other)
    await house.service.relay.drain()
    await consume(house.service)
    assert (await house.connection())["status"] == "connected"


async def test_late_news_of_an_earlier_end_change_nothing(house: Any) -> None:
    await house.hear(state(3, connected=True))
    await house.connect()
    await house.hear(gone(2), state(2, connected=False))
    assert (await house.connection())["status"] == "connected"


async def test_another_tenant_ends_the_connections_to_the_former_one(house: Any) -> None:
    await house.connect()
    await house.hear(state(5, connected=True, tid=FABRIKAM))
    assert (await house.connection())["status"] == "disconnected"


async def test_an_answer_that_comes_after_a_disconnect_connects_nothing(house: Any) -> None:
    await house.connect()
    answer = await house.at_microsoft("anna@contoso.example")
    await house.disconnect()
    assert await house.rows("sign_in_attempt") == []
    late = await house.complete(answer)
    assert (late.status_code, late.json()["code"]) == (409, "sign_in_unknown")
    assert (await house.connection())["status"] == "disconnected"
    assert len(await house.published("user.connected")) == 1


async def test_a_disconnect_while_microsoft_answers_wins(house: Any) -> None:
    await house.connect()
    answer = await house.at_microsoft("anna@contoso.example")

    async def disconnect() -> None:
        house.microsoft.door.before_answer = None
        await house.disconnect()

    house.microsoft.door.before_answer = disconnect
    late = await house.complete(answer)
    assert (late.status_code, late.json()["code"]) == (409, "disconnected_meanwhile")
    assert (await house.connection())["status"] == "disconnected"
    assert (await house.connect()).status_code == 200


async def test_the_sign_ins_of_others_go_on_when_one_disconnects(house: Any) -> None:
    answer = await house.at_microsoft("ben@contoso.example", user="ben")
    await house.disconnect()
    assert (await house.complete(answer, user="ben")).status_code == 200


async def test_a_sign_in_under_way_does_not_outlive_its_tenant(house: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    await house.hear(state(2, connected=False))
    refused = await house.complete(answer)
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_not_connected")
    answer_of_another = await house.start()
    assert answer_of_another.json()["code"] == "tenant_not_connected"


async def test_a_tenant_changed_meanwhile_refuses_the_sign_in(house: Any) -> None:
    answer = await house.at_microsoft("anna@contoso.example")
    await house.hear(state(2, connected=True, tid=FABRIKAM))
    assert (await house.complete(answer)).json()["code"] == "tenant_changed"


async def test_the_audit_trail_is_append_only(house: Any) -> None:
    await house.connect()
    for change in ("UPDATE audit SET outcome = 'x'", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="permission denied"):
            await house.sql(change)
