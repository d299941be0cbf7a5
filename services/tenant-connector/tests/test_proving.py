"""The proof of a claimed tenant: what it waits for, for how long, and how it ends."""

import json
from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, ROLES

PROVE = "prove"


async def test_a_consent_that_is_gone_before_the_proof_is_never_connected(house: Any) -> None:
    house.service.settings.proof_patience_s = 0.3
    await house.claim()
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    tenant = await house.until("failed")
    assert (tenant["problem"]["code"], tenant["tid"]) == ("consent_not_in_force", None)
    assert await house.published("tenant.connected") == []
    assert (await house.trail())[-1] == ("tenant.connect", "failed", "consent_not_in_force")


@pytest.mark.parametrize("number", [700016, 7000229])
async def test_a_consent_that_entra_does_not_know_yet_is_waited_for(house: Any, number: int) -> None:
    await house.claim()
    consent = house.simulator.store.get("consents", CONTOSO)
    await house.microsoft.do("policy_set", tenant=CONTOSO, unknown_number=number)
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "proving"
    house.simulator.store.put("consents", CONTOSO, consent)
    assert (await house.until("connected"))["tid"] == CONTOSO


async def test_a_consent_that_takes_a_while_to_be_in_force_is_waited_for(house: Any) -> None:
    body = await house.consent()
    store = house.simulator.store
    consent = store.get("consents", CONTOSO)
    store.put("consents", CONTOSO, consent | {"roles": []})
    await house.claim(body)
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "proving"
    store.put("consents", CONTOSO, consent)
    assert (await house.until("connected"))["display_name"] == "Contoso"


async def test_a_consent_without_our_roles_fails_with_their_names(house: Any) -> None:
    house.service.settings.proof_patience_s = 0
    body = await house.consent()
    missing = "OnlineMeetingRecording.Read.All"
    store = house.simulator.store
    left = [role for role in ROLES if role != missing]
    store.put("consents", CONTOSO, store.get("consents", CONTOSO) | {"roles": left})
    await house.claim(body)
    await house.service.runner.drain()
    problem = (await house.tenant())["problem"]
    assert problem["code"] == "permissions_missing"
    assert missing in problem["detail"]


async def test_a_graph_that_stumbles_is_asked_again(house: Any) -> None:
    body = await house.consent()
    await house.microsoft.fault("throttle", retry_after=0)
    await house.microsoft.fault("server_error")
    await house.claim(body)
    assert (await house.until("connected"))["tid"] == CONTOSO


async def test_a_wrong_secret_of_ours_is_told_to_the_operator(house: Any) -> None:
    await house.claim()
    object.__setattr__(house.simulator.settings, "client_secret", "rotated")
    await house.service.runner.drain()
    problem = (await house.tenant())["problem"]
    assert problem["code"] == "prospo_misconfigured"
    assert "operator" in problem["detail"]


async def test_graph_must_name_the_claimed_tenant(house: Any) -> None:
    """As if a token of one tenant opened another: the simulator is made to name the wrong one."""
    await house.claim()
    store = house.simulator.store
    store.put("tenants", CONTOSO, store.get("tenants", CONTOSO) | {"id": FABRIKAM, "domain": CONTOSO})
    store.put("consents", FABRIKAM, store.get("consents", CONTOSO))
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("failed", "tenant_mismatch")


async def test_a_proof_done_twice_connects_once(house: Any) -> None:
    """Killed after its transaction and before the job is noted as done: the job is there again."""
    await house.claim()
    (job,) = await house.jobs()
    await house.service.runner.drain()
    version = (await house.tenant())["version"]
    insert = "INSERT INTO job (org_id, kind, payload, priority) VALUES ('acme', :kind, CAST(:payload AS jsonb), 0)"
    await house.sql(insert, kind=job["kind"], payload=json.dumps(job["payload"]))
    await house.service.runner.drain()
    assert (await house.tenant())["version"] == version
    assert len(await house.published("tenant.connected")) == len(await house.published("tenant.state")) == 1
    assert await house.jobs("prove") == []


async def test_a_proof_whose_worker_was_killed_half_way_is_done_by_the_next(house: Any) -> None:
    await house.claim()
    await house.sql("UPDATE job SET state = 'running', attempt = 1, fence = 1, lease_until = clock_timestamp()")
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "connected"
    assert len(await house.published("tenant.connected")) == 1


async def test_a_proof_that_breaks_again_and_again_ends(house: Any) -> None:
    await house.claim()
    await house.sql("UPDATE job SET attempt = 11")
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("failed", "proof_broken")


async def unconsented(house: Any) -> Any:
    """A claim whose consent is not in force; returns the consent."""
    await house.claim()
    consent = house.simulator.store.get("consents", CONTOSO)
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    return consent


async def test_while_it_is_proven_the_newest_reason_is_shown(house: Any) -> None:
    consent = await unconsented(house)
    await house.service.runner.drain()
    first = await house.tenant()
    assert (first["status"], first["problem"]["code"]) == ("proving", "consent_not_in_force")
    await house.do_now(PROVE)
    assert (await house.tenant())["version"] == first["version"]
    house.simulator.store.put("consents", CONTOSO, consent | {"roles": []})
    await house.do_now(PROVE)
    assert (await house.tenant())["problem"]["code"] == "permissions_missing"
    house.simulator.store.put("consents", CONTOSO, consent)
    await house.do_now(PROVE)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("connected", None)


async def test_consenting_again_shows_no_reason_on_the_connection_that_is_up(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("throttle", retry_after=60)
    await house.claim()
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("connected", None)


async def test_patience_is_counted_from_microsofts_first_answer(house: Any) -> None:
    await unconsented(house)
    await house.sql("UPDATE tenant SET claimed_at = claimed_at - interval '1 hour'")
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "proving"
    assert 0 < await house.next_in_s(PROVE) <= 15
    since = "jsonb_build_object('not_yet_since', clock_timestamp() - make_interval(secs => :s))"
    await house.sql(f"UPDATE job SET checkpoint = {since} WHERE kind = 'prove'", s=595.0)
    await house.do_now(PROVE)
    assert 0 < await house.next_in_s(PROVE) <= 5
    await house.sql(f"UPDATE job SET checkpoint = {since} WHERE kind = 'prove'", s=601.0)
    await house.do_now(PROVE)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("failed", "consent_not_in_force")


async def test_an_outage_takes_no_patience_and_no_pause_outlasts_it(house: Any) -> None:
    await house.claim()
    await house.sql("UPDATE tenant SET claimed_at = claimed_at - interval '1 hour'")
    await house.microsoft.fault("token_busy", retry_after=7200, times=1)
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("proving", "microsoft_unavailable")
    assert 590 < await house.next_in_s(PROVE) <= 600
    await house.do_now(PROVE)
    assert (await house.tenant())["status"] == "connected"


async def test_what_a_failed_proof_lacked_is_remembered_with_its_numbers(house: Any) -> None:
    house.service.settings.proof_patience_s = 0
    back = await house.signed_in(await house.consent())
    claimed = await house.sign_in(back)
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    await house.service.runner.drain()
    problem = (await house.tenant())["problem"]
    assert problem["support_code"] == claimed.headers["x-request-id"]
    assert (problem["number"], len(problem["trace_id"])) == (700016, 36)
    trail = (await house.call("GET", "/v1/tenant/audit", params={"action": "tenant.connect"})).json()["items"]
    assert {name: trail[0]["details"][name] for name in ("support_code", "number", "trace_id")} == {
        name: problem[name] for name in ("support_code", "number", "trace_id")
    }
