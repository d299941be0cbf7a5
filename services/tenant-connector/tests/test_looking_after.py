"""The daily look at a connected tenant: what it notices, how often Microsoft is asked, and when it is believed."""

import asyncio
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO
from shared.entra.aadsts import EntraTenantGone
from shared.hosting.migrate import migrate
from shared.testing.migrating import back_to
from tenant_connector import access
from tenant_connector.readiness import jobs as readiness_jobs

LOOK = "look_after_tenant"
DAY_S = 86_400


async def forget_tenant(house: Any) -> Any:
    """Microsoft deletes Contoso; returns what was there."""
    row = house.simulator.store.get("tenants", CONTOSO)
    house.simulator.store.delete("tenants", CONTOSO)
    return row


async def an_hour_passes(house: Any) -> None:
    await house.sql("UPDATE readiness_check SET doubted_at = doubted_at - interval '1 hour'")


async def test_a_connected_tenant_is_looked_at_each_day_until_it_is_left(house: Any) -> None:
    await house.connect()
    kept = (await house.app_token()).json()["access_token"]
    assert 0 < await house.next_in_s(LOOK) <= DAY_S
    tokens = len(house.asked("/token"))
    await house.do_now(LOOK)
    assert len(house.asked("/token")) == tokens + 2  # the look, and the board that is checked with it
    assert (await house.app_token()).json()["access_token"] == kept
    assert 0.89 * DAY_S < await house.next_in_s(LOOK) <= 1.1 * DAY_S
    await house.connect()
    assert len(await house.jobs(LOOK)) == 1
    await house.call("DELETE", "/v1/tenant")
    tokens = len(house.asked("/token"))
    await house.do_now(LOOK)
    assert (await house.next_in_s(LOOK), len(house.asked("/token"))) == (None, tokens)


async def test_tenants_are_not_all_looked_at_in_one_moment(house: Any) -> None:
    await house.connect()
    await house.connect("globex")
    assert len({job["run_at"].replace(second=0, microsecond=0) for job in await house.jobs(LOOK)}) == 2


async def test_tenants_connected_before_there_was_a_board_are_looked_after_too(house: Any) -> None:
    await house.connect()
    await back_to("0002", "tenant_connector", house.owner_url)
    await house.sql("DELETE FROM job")
    await migrate("tenant_connector", house.service.settings)
    assert 0 < await house.next_in_s(LOOK) <= DAY_S
    assert len(await house.jobs()) == 1


@pytest.mark.parametrize("how", ["withdrawn", "withdrawn, said as invalid_client", "disabled"])
async def test_the_look_notices_once_that_the_application_is_not_known_any_more(house: Any, how: str) -> None:
    await house.connect()
    assert (await house.app_token()).status_code == 200
    if "invalid_client" in how:
        await house.microsoft.do("policy_set", tenant=CONTOSO, unknown_number=7000229)
    if "withdrawn" in how:
        await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    else:
        await house.microsoft.do("application_enable", tenant=CONTOSO, enabled=False)
    before = len(house.simulator.calls.rows)
    await house.do_now(LOOK)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("disconnected", "consent_withdrawn")
    answers = await asyncio.gather(*(house.app_token() for _ in range(5)))
    assert {answer.status_code for answer in answers} == {409}
    for kind in (LOOK, "check_readiness"):
        await house.do_now(kind)
    (asked,) = list(house.simulator.calls.rows)[before:]
    assert asked["path"].endswith("/token")
    assert len(await house.published("tenant.disconnected")) == 1
    assert (await house.trail()).count(("tenant.disconnect", "done", "consent_withdrawn")) == 1
    assert await house.jobs() == []


async def test_the_next_call_notices_it_once_and_nobody_asks_again(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    before = len(house.simulator.calls.rows)
    for _ in range(3):
        answers = await asyncio.gather(*(house.app_token() for _ in range(4)))
        assert {answer.status_code for answer in answers} == {409}
    for kind in (LOOK, "check_readiness"):
        await house.do_now(kind)
    assert len(house.simulator.calls.rows) == before + 1
    assert len(await house.published("tenant.disconnected")) == 1


async def test_a_caller_that_read_the_lost_connection_asks_nobody_again(house: Any) -> None:
    await house.connect()
    tokens = house.service.provided["app_tokens"]
    read = await access.connection_of(house.service.db, "acme")
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    assert (await house.app_token()).status_code == 409
    asked = len(house.simulator.calls.rows)
    with pytest.raises(EntraTenantGone):
        await tokens.token(read)
    assert len(house.simulator.calls.rows) == asked
    await house.connect()
    assert (await house.app_token()).status_code == 200


async def test_a_look_a_check_and_calls_at_one_time_disconnect_once(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    before = len(house.simulator.calls.rows)
    await house.sql("UPDATE job SET run_at = clock_timestamp()")
    await asyncio.gather(house.service.runner.drain(), *(house.app_token() for _ in range(3)))
    assert len(await house.published("tenant.disconnected")) == 1
    assert (await house.trail()).count(("tenant.disconnect", "done", "consent_withdrawn")) == 1
    assert len(house.simulator.calls.rows) <= before + 3


async def test_what_was_found_of_an_earlier_connection_leaves_the_later_one(house: Any) -> None:
    await house.connect()
    service = house.service
    earlier = await access.connection_of(service.db, "acme")
    await house.call("DELETE", "/v1/tenant")
    await house.connect()
    for _ in range(2):
        await access.lose(service.db, service.provided["app_tokens"], earlier, access.WITHDRAWN)
    assert (await house.tenant())["status"] == "connected"
    assert len(await house.published("tenant.disconnected")) == 1


async def test_an_outage_counts_for_nothing(house: Any) -> None:
    await house.connect()
    trail = await house.trail()
    for authority in ("https://localhost:9", house.simulator.settings.https_base_url):
        house.service.settings.entra_authority = authority
        await house.microsoft.fault("token_busy", retry_after=1, times=1)
        await house.do_now(LOOK)
        assert 800 < await house.next_in_s(LOOK) <= 900
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("connected", None)
    assert await house.trail() == trail
    await house.microsoft.clear_faults()
    await house.do_now(LOOK)
    assert await house.next_in_s(LOOK) > 900


async def test_an_unknown_tenant_is_asked_again_in_an_hour_and_then_left(house: Any) -> None:
    await house.connect()
    await forget_tenant(house)
    await house.do_now(LOOK)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("connected", "tenant_gone")
    assert 3_500 < await house.next_in_s(LOOK) <= 3_600
    await house.do_now(LOOK)
    assert (await house.tenant())["status"] == "connected"
    assert 3_500 < await house.next_in_s(LOOK) <= 3_600
    consent = (await house.read_board())["capabilities"][0]
    assert (consent["verdict"], consent["remedy"]["who"]) == ("action_needed", "microsoft_admin")
    assert await house.published("tenant.disconnected") == []
    await an_hour_passes(house)
    await house.do_now(LOOK)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("disconnected", "tenant_gone")
    assert len(await house.published("tenant.disconnected")) == 1
    assert (await house.trail())[-1][0] in {"tenant.disconnect", "readiness.change"}
    assert (await house.trail()).count(("tenant.disconnect", "done", "tenant_gone")) == 1
    assert await house.next_in_s(LOOK) is None


async def test_a_wrong_answer_of_discovery_cuts_nobody_off(house: Any) -> None:
    await house.connect()
    row = await forget_tenant(house)
    await house.do_now(LOOK)
    house.simulator.store.put("tenants", CONTOSO, row)
    await an_hour_passes(house)
    await house.do_now(LOOK)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("connected", None)
    await forget_tenant(house)
    await house.do_now(LOOK)
    assert (await house.tenant())["status"] == "connected"  # the hour begins anew


async def test_a_call_that_meets_an_unknown_tenant_disconnects_nothing(house: Any) -> None:
    await house.connect()
    await forget_tenant(house)
    for _ in range(3):
        refused = await house.app_token()
        assert (refused.status_code, refused.json()["code"]) == (503, "tenant_gone")
    assert await house.next_in_s(LOOK) <= 0
    await house.do_now(LOOK)
    for _ in range(3):
        assert (await house.app_token()).json()["code"] == "tenant_gone"
    assert await house.next_in_s(LOOK) > 3_500
    assert (await house.tenant())["status"] == "connected"


async def test_when_the_sign_in_knows_no_tenant_at_all_it_is_ours_to_mend(house: Any) -> None:
    await house.connect()
    house.service.settings.entra_authority += "/elsewhere"
    refused = await house.app_token()
    assert (refused.status_code, refused.json()["code"]) == (503, "prospo_misconfigured")
    await house.do_now(LOOK)
    await an_hour_passes(house)
    await house.do_now(LOOK)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("connected", None)
    consent = (await house.read_board())["capabilities"][0]
    assert (consent["verdict"], consent["remedy"]["who"]) == ("action_needed", "operator")


async def test_a_refusal_that_is_not_the_end_is_shown_and_keeps_the_connection(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("token_error", number=53003, times=5)
    await house.do_now(LOOK)
    assert (await house.tenant())["status"] == "connected"
    consent = (await house.read_board())["capabilities"][0]
    assert (consent["verdict"], consent["evidence"][0]["code"]) == ("waiting", "AADSTS53003")


CONNECTED_ANEW = "UPDATE tenant SET connected_at = clock_timestamp()"
"""As a disconnect and a proof while Microsoft is answering would leave it."""


async def test_a_doubt_of_an_earlier_connection_is_none_of_the_later_one(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    await forget_tenant(house)

    async def is_there(_entra: Any) -> bool:
        await house.sql(CONNECTED_ANEW)
        return True

    monkeypatch.setattr("tenant_connector.readiness.schedule.microsoft_is_there", is_there)
    await house.do_now(LOOK)
    assert (await house.tenant())["problem"] is None
    (check,) = await house.sql("SELECT doubted_at FROM readiness_check")
    assert check.doubted_at is None


async def test_what_clears_an_earlier_connection_does_not_clear_the_later_one(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    row, ask = await forget_tenant(house), readiness_jobs._ask
    await house.do_now(LOOK)
    house.simulator.store.put("tenants", CONTOSO, row)

    async def asked(*about: Any) -> Any:
        said = await ask(*about)
        await house.sql(CONNECTED_ANEW)
        return said

    monkeypatch.setattr("tenant_connector.readiness.jobs._ask", asked)
    await house.do_now(LOOK)
    assert (await house.tenant())["problem"]["code"] == "tenant_gone"
    (check,) = await house.sql("SELECT doubted_at FROM readiness_check")
    assert check.doubted_at is not None
