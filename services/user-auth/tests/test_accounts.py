"""What an account must be able to do is asked before it is connected, and said with who does what about it."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from m365_simulator.directory import CONTOSO

ANNA = "anna@contoso.example"
GRAPH_AWAY = {"times": None, "match": {"path": "*/me*"}, "retry_after": 60}


def codes(connection: Any) -> list[str]:
    return [notice["code"] for notice in connection["notices"]]


async def test_an_account_that_can_do_everything_has_no_notice(house: Any) -> None:
    done = (await house.connect()).json()
    assert done["connection"]["notices"] == []


async def guest(house: Any) -> str:
    await house.microsoft.client.do("guest_add", tenant=CONTOSO, user="carl@fabrikam.example")
    return "carl@fabrikam.example"


async def without_mailbox(house: Any) -> str:
    return "unlicensed@contoso.example"


@pytest.mark.parametrize(("account", "code"), [(guest, "guest_account"), (without_mailbox, "no_mailbox")])
async def test_an_account_that_cannot_work_is_refused_and_its_tokens_dropped(
    house: Any, account: Any, code: str
) -> None:
    refused = await house.connect(await account(house), return_to="/meetings/new?from=form")
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, code)
    assert problem["return_to"] == "/meetings/new?from=form"
    assert problem["remedy"]
    assert problem["remedy"] in problem["detail"]
    assert house.microsoft.door.grants == ["authorization_code"], "Microsoft did give tokens"
    await house.nothing_is_stored()
    assert (await house.token()).status_code == 409


async def test_a_guest_is_refused_though_the_mailbox_is_not_told(house: Any) -> None:
    account = await guest(house)
    await house.microsoft.client.fault("server_error", times=None, match={"path": "*/me/calendar"}, retry_after=60)
    assert (await house.connect(account)).json()["code"] == "guest_account"


async def test_a_reconnect_with_an_account_without_mailbox_changes_nothing(house: Any) -> None:
    house.short_tokens(10)
    await house.connect()
    await house.microsoft.client.fault("token_invalid_grant")
    await house.token()
    await house.microsoft.client.do("user_change", user=ANNA, mailbox=False)
    assert (await house.connect()).json()["code"] == "no_mailbox"
    shown = await house.connection()
    assert (shown["status"], shown["account"]["email"]) == ("expired", ANNA)


async def test_without_a_teams_licence_the_account_is_connected_with_a_notice(
    house: Any,
) -> None:
    await house.microsoft.client.do("meeting_policy", whose=ANNA, online_meetings=False)
    done = await house.connect()
    assert done.status_code == 200
    (notice,) = done.json()["connection"]["notices"]
    assert notice["code"] == "no_teams_licence"
    assert "administrator" in notice["remedy"]
    assert codes(await house.connection()) == ["no_teams_licence"]
    assert codes((await house.call("POST", "/v1/connection/check")).json()) == ["no_teams_licence"]
    await house.microsoft.client.do("meeting_policy", whose=ANNA, online_meetings=True)
    await house.microsoft.client.fault("server_error", **GRAPH_AWAY)
    kept = await house.call("POST", "/v1/connection/check")
    assert codes(kept.json()) == ["no_teams_licence"], "an outage says nothing"
    await house.microsoft.client.clear_faults()
    assert codes((await house.call("POST", "/v1/connection/check")).json()) == []
    assert codes(await house.connection()) == []


async def test_a_notice_is_looked_at_again_every_day_without_anybody_asking(house: Any) -> None:
    await house.microsoft.client.do("meeting_policy", whose=ANNA, online_meetings=False)
    await house.connect()
    await house.microsoft.client.do("meeting_policy", whose=ANNA, online_meetings=True)
    async with house.service.db.system_work() as work:
        await work.session.execute(text("UPDATE job SET run_at = clock_timestamp() WHERE kind = 'keep_alive'"))
    await house.service.runner.drain()
    assert codes(await house.connection()) == []
    assert house.microsoft.door.refreshes == 0


async def test_an_outage_at_microsoft_refuses_nobody(house: Any) -> None:
    await house.microsoft.client.fault("server_error", **GRAPH_AWAY)
    done = await house.connect()
    assert done.status_code == 200
    assert codes(done.json()["connection"]) == ["not_checked"]
    await house.microsoft.client.clear_faults()
    assert codes((await house.call("POST", "/v1/connection/check")).json()) == []


async def test_a_silent_graph_keeps_nobody_waiting(house: Any) -> None:
    house.service.settings.account_check_within_s = 0.2
    house.microsoft.door.graph_waits = asyncio.Event()
    done = await house.connect()
    house.microsoft.door.graph_waits.set()
    assert done.status_code == 200
    assert codes(done.json()["connection"]) == ["not_checked"]


async def test_a_connection_that_lost_its_mailbox_says_so_and_stands(house: Any) -> None:
    await house.connect()
    await house.microsoft.client.do("user_change", user=ANNA, mailbox=False)
    shown = (await house.call("POST", "/v1/connection/check")).json()
    assert (shown["status"], codes(shown)) == ("connected", ["no_mailbox"])


async def test_a_check_without_a_connection_says_what_comes_first(house: Any) -> None:
    refused = await house.call("POST", "/v1/connection/check")
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_connected")


async def test_nothing_but_the_permissions_of_the_sign_in_is_used_for_the_check(house: Any) -> None:
    await house.connect()
    asked = [call for call in await house.microsoft.client.calls() if "/v1.0/me" in call["path"]]
    assert {(call["path"], call["status"]) for call in asked} == {("/v1.0/me", 200), ("/v1.0/me/calendar", 200)}
    assert {call["permission"] for call in asked} == {"User.Read", "Calendars.ReadWrite"}


@pytest.mark.parametrize(
    ("fault", "number"),
    [("authorize_error", 90094), ("authorize_error", 90095), ("authorize_error", 65001), ("token_error", 65001)],
)
async def test_a_consent_that_only_an_administrator_can_give_names_who_and_where(
    house: Any, fault: str, number: int
) -> None:
    await house.microsoft.client.fault(fault, number=number)
    refused = await house.connect()
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["aadsts"]) == (409, "consent_missing", number)
    assert "Admin → Connectors → Microsoft 365" in problem["remedy"]
    assert problem["remedy"] in problem["detail"]
    assert problem["return_to"] == "/meetings/new"
    await house.nothing_is_stored()


async def test_a_consent_the_person_turned_down_is_no_administrators_affair(house: Any) -> None:
    await house.microsoft.client.fault("authorize_error", number=65004, error="consent_required")
    assert (await house.connect()).json()["code"] == "permissions_declined"


async def test_where_microsoft_manages_consent_the_administrator_is_asked(house: Any) -> None:
    await house.microsoft.client.do("consent_revoke", tenant=CONTOSO)
    refused = await house.connect()
    assert refused.json()["code"] == "consent_missing"
    await house.nothing_is_stored()
