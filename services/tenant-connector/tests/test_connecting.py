"""From consent to a proven tenant, and every way in which it does not come about."""

import asyncio
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, PERSONAL

Json = dict[str, Any]


async def test_an_org_admin_connects_the_tenant_once_and_for_all(house: Any) -> None:
    assert (await house.tenant())["status"] == "not_connected"
    body = await house.signed_in(await house.consent())
    assert (await house.tenant())["status"] == "not_connected"
    answer = await house.sign_in(body)
    assert (answer.status_code, answer.json()["status"]) == (202, "proving")
    assert (await house.app_token()).status_code == 409
    await house.service.runner.drain()
    answer = await house.call("GET", "/v1/tenant", user="bo", roles=("user",))
    tenant = answer.json()
    assert (tenant["status"], tenant["tid"], tenant["display_name"]) == ("connected", CONTOSO, "Contoso")
    assert tenant["features"] == {
        "outlook_email": True,
        "auto_recording": False,
        "contacts_import": True,
        "sharepoint_storage": False,
    }
    assert answer.headers["etag"] == f'"{tenant["version"]}"'
    (connected,) = await house.published("tenant.connected")
    (state,) = await house.published("tenant.state")
    assert (connected["tid"], connected["display_name"]) == (CONTOSO, "Contoso")
    assert (state["connected"], state["tid"]) == (True, CONTOSO)
    assert state["aggregate_version"] == connected["aggregate_version"] == tenant["version"]
    assert await house.trail() == [
        ("consent.start", "done", None),
        ("consent.complete", "done", None),
        ("consent.sign_in", "done", None),
        ("tenant.connect", "done", None),
    ]


async def test_the_consent_url_asks_for_everything_and_comes_back_to_us(house: Any) -> None:
    started = await house.start()
    url = urlsplit(started["consent_url"])
    query = parse_qs(url.query)
    assert url.path == "/organizations/v2.0/adminconsent"
    assert query["scope"] == ["https://graph.microsoft.com/.default"]
    assert query["redirect_uri"] == ["http://localhost:8365/connectors/microsoft365/callback"]
    (row,) = await house.rows("consent_attempt")
    kept = row["state_hash"] + row["browser_key_hash"]
    assert query["state"][0] not in kept
    assert started["browser_key"] not in kept


async def test_a_plain_user_reads_and_changes_nothing(house: Any) -> None:
    changes = [
        ("POST", "/v1/tenant/consent", {}),
        ("POST", "/v1/tenant/consent/complete", {"state": "s", "browser_key": "k"}),
        ("POST", "/v1/tenant/consent/sign-in", {"state": "s", "browser_key": "k"}),
        ("POST", "/v1/tenant/consent/link", {"tenant": "contoso.example"}),
        ("GET", "/v1/tenant/consent/link", None),
        ("DELETE", "/v1/tenant/consent/link", None),
        ("PATCH", "/v1/tenant/features", {}),
        ("DELETE", "/v1/tenant", None),
    ]
    for method, path, body in changes:
        refused = await house.call(method, path, roles=("user",), json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "org_admin_required"), path
    assert (await house.call("GET", "/v1/tenant", roles=("user",))).status_code == 200
    assert (await house.http.get("/v1/tenant")).status_code == 401


@pytest.mark.parametrize(
    ("account", "accept", "code", "words"),
    [
        ("admin@contoso.example", False, "consent_declined", "declined"),
        ("anna@contoso.example", True, "consent_needs_admin", "Global Administrator or a Privileged Role"),
    ],
)
async def test_microsofts_no_is_a_no_though_admin_consent_true_stands_beside_it(
    house: Any, account: str, accept: bool, code: str, words: str
) -> None:
    body = await house.consent(account=account, accept=accept)
    assert body["admin_consent"] == "True"
    refused = await house.complete(body | {"tenant": CONTOSO})
    assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert words in refused.json()["detail"]
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("failed", code)
    assert tenant["problem"]["support_code"] == refused.json()["request_id"]
    assert (await house.trail())[-1] == ("consent.complete", "refused", code)
    again = await house.complete(body)
    assert again.json()["code"] == "consent_attempt_unknown"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"tenant": None}, 422, "consent_without_tenant"),
        ({"tenant": "contoso.example"}, 422, "tenant_not_a_guid"),
        ({"tenant": f"{CONTOSO}/../x"}, 422, "tenant_not_a_guid"),
        ({"tenant": PERSONAL}, 422, "personal_tenant"),
        ({"admin_consent": None}, 409, "consent_missing"),
        ({"admin_consent": "False"}, 409, "consent_missing"),
        ({"error": "server_error"}, 409, "microsoft_busy"),
        ({"error": "consent_required", "error_description": "AADSTS65004: no"}, 409, "consent_declined"),
        ({"error": "permission_denied", "error_description": "The admin canceled"}, 409, "consent_declined"),
        ({"error": "invalid_client", "error_description": "AADSTS650052: x"}, 409, "consent_refused"),
        ({"error": "access_denied", "error_description": "AADSTS53003: x"}, 409, "consent_refused"),
        ({"error": "access_denied"}, 409, "consent_declined"),
        ({"error": ""}, 409, "consent_refused"),
        ({"browser_key": "another"}, 403, "consent_other_browser"),
        ({"browser_key": ""}, 403, "consent_other_browser"),
    ],
)
async def test_a_wrong_way_back_is_refused_remembered_and_uses_the_attempt_up(
    house: Any, change: Json, status: int, code: str
) -> None:
    body = await house.consent()
    refused = await house.complete(body | change)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"], tenant["tid"]) == ("failed", code, None)
    assert (await house.trail())[-1] == ("consent.complete", "refused", code)
    assert (await house.complete(body)).json()["code"] == "consent_attempt_unknown"
    await house.service.runner.drain()
    assert await house.published("tenant.connected") == []
    assert (await house.connect())["status"] == "connected"


async def test_a_state_of_nobody_is_refused_and_changes_nothing(house: Any) -> None:
    for state in ("forged", ""):
        refused = await house.complete({"state": state, "tenant": CONTOSO, "admin_consent": "True"})
        assert (refused.status_code, refused.json()["code"]) == (409, "consent_attempt_unknown")
    assert (await house.tenant())["status"] == "not_connected"
    assert (await house.trail())[-1] == ("consent.complete", "refused", "consent_attempt_unknown")


async def test_a_replayed_state_starts_no_second_proof(house: Any) -> None:
    body = await house.consent()
    answers = await asyncio.gather(*(house.complete(body) for _ in range(3)))
    assert {answer.status_code for answer in answers} in ({202}, {202, 503})  # one that comes late is a reload
    taken = (await house.complete(body)).json()
    back = await house.back_from(taken["sign_in_url"], body["browser_key"], "admin@contoso.example")
    answers = await asyncio.gather(*(house.sign_in(back) for _ in range(3)))
    assert {answer.status_code for answer in answers} in ({202}, {202, 503})
    assert {"consent_under_way"} >= {answer.json()["code"] for answer in answers if answer.is_error}
    await house.service.runner.drain()
    assert (await house.complete(body)).json()["code"] == "consent_attempt_unknown"
    assert (await house.sign_in(back)).json()["status"] == "connected"
    await house.service.runner.drain()
    assert len(await house.published("tenant.connected")) == 1


async def test_another_person_cannot_finish_the_consent(house: Any) -> None:
    body = await house.consent()
    refused = await house.complete(body, user="eve")
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_other_user")
    assert (await house.complete(body)).json()["code"] == "consent_attempt_unknown"


async def test_another_organisation_cannot_finish_the_consent(house: Any) -> None:
    body = await house.consent()
    refused = await house.complete(body, org="globex")
    assert refused.json()["code"] == "consent_attempt_unknown"
    assert (await house.tenant("globex"))["status"] == "not_connected"
    assert (await house.complete(body)).status_code == 202


async def test_an_expired_attempt_is_told_that_it_is_late(house: Any) -> None:
    body = await house.consent()
    await house.sql("UPDATE consent_attempt SET expires_at = clock_timestamp() - interval '1 second'")
    refused = await house.complete(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_attempt_expired")


async def test_a_tenant_microsoft_does_not_know_fails_at_once(house: Any) -> None:
    refused = await house.complete(await house.consent() | {"tenant": str(uuid.uuid4())})
    assert (refused.status_code, refused.json()["code"]) == (409, "tenant_unknown")
    assert (await house.tenant())["problem"]["code"] == "tenant_unknown"


async def test_one_tenant_belongs_to_one_organisation(house: Any) -> None:
    await house.connect()
    second = await house.connect("globex", "admin@contoso.example")
    assert (second["status"], second["problem"]["code"]) == ("failed", "tenant_connected_elsewhere")
    assert second["tid"] is None
    assert len(await house.published("tenant.connected")) == 1
    assert (await house.trail("globex"))[-1] == ("tenant.connect", "failed", "tenant_connected_elsewhere")
    await house.call("DELETE", "/v1/tenant")
    assert (await house.connect("globex", "admin@contoso.example"))["status"] == "connected"
    taken = await house.connect()
    assert taken["problem"]["code"] == "tenant_connected_elsewhere"


async def test_of_two_organisations_at_the_same_time_one_gets_the_tenant(house: Any) -> None:
    for org in ("acme", "globex"):
        await house.claim(org=org, account="admin@contoso.example")
    await house.service.runner.drain()
    tenants = [await house.tenant(org) for org in ("acme", "globex")]
    assert sorted(tenant["status"] for tenant in tenants) == ["connected", "failed"]
    assert len(await house.published("tenant.connected")) == 1


async def test_another_tenant_is_refused_while_one_is_connected(house: Any) -> None:
    before = await house.connect()
    refused = await house.complete(await house.consent(account="admin@fabrikam.example"))
    assert (refused.status_code, refused.json()["code"]) == (409, "another_tenant_connected")
    assert CONTOSO in refused.json()["detail"]
    assert await house.tenant() == before
    assert (await house.trail())[-1] == ("consent.complete", "refused", "another_tenant_connected")


async def test_consenting_again_keeps_the_connection_up(house: Any) -> None:
    await house.connect()
    answer = await house.claim()
    assert (answer.status_code, answer.json()["status"]) == (202, "connected")
    assert (await house.app_token()).status_code == 200
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "connected"
    assert len(await house.published("tenant.connected")) == 2


async def test_a_connection_lost_while_consenting_again_comes_back(house: Any) -> None:
    await house.connect()
    await house.claim()
    consent = house.simulator.store.get("consents", CONTOSO)
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    assert (await house.app_token()).status_code == 409
    assert (await house.tenant())["status"] == "proving"
    house.simulator.store.put("consents", CONTOSO, consent)
    assert (await house.until("connected"))["problem"] is None
    states = [state["connected"] for state in await house.published("tenant.state")]
    assert states == [True, False, True]


async def test_open_attempts_are_few(house: Any) -> None:
    started = [await house.start() for _ in range(22)]
    assert len(await house.rows("consent_attempt")) == 20
    back = await house.microsoft.approve_admin_consent(started[-1]["consent_url"], "admin@contoso.example")
    body = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
    answer = await house.complete(body | {"browser_key": started[-1]["browser_key"]})
    assert answer.status_code == 202


async def test_reconnecting_keeps_the_features(house: Any) -> None:
    await house.connect()
    await house.switch({"auto_recording": True, "outlook_email": False})
    await house.call("DELETE", "/v1/tenant")
    tenant = await house.connect()
    assert (tenant["features"]["auto_recording"], tenant["features"]["outlook_email"]) == (True, False)


async def test_disconnecting_wins_over_a_proof_under_way(house: Any) -> None:
    late = await house.consent()
    later = await house.signed_in(await house.consent())
    await house.claim()
    assert (await house.call("DELETE", "/v1/tenant")).json()["status"] == "disconnected"
    await house.service.runner.drain()
    assert (await house.tenant())["status"] == "disconnected"
    assert await house.published("tenant.connected") == await house.published("tenant.disconnected") == []
    for answer in (house.complete(late), house.sign_in(later)):
        assert (await answer).json()["code"] == "consent_attempt_unknown"


async def test_disconnecting_wins_over_a_proof_that_is_waiting_for_graph(house: Any) -> None:
    await house.claim()
    async with house.while_working("/organization"):
        await house.call("DELETE", "/v1/tenant")
    assert (await house.tenant())["status"] == "disconnected"
    assert await house.published("tenant.connected") == []
    assert await house.jobs("prove") == []


async def test_a_newer_consent_wins_over_a_proof_that_is_waiting_for_graph(house: Any) -> None:
    await house.claim()
    newer = await house.signed_in(
        await house.consent(account="admin@fabrikam.example"), account="admin@fabrikam.example"
    )
    async with house.while_working("/organization"):
        await house.sign_in(newer)
    await house.work()
    assert (await house.tenant())["tid"] == FABRIKAM
    connected = [(event["tid"], event["display_name"]) for event in await house.published("tenant.connected")]
    assert connected == [(FABRIKAM, "Fabrikam")]


async def test_a_newer_consent_wins_over_a_proof_under_way(house: Any) -> None:
    first = await house.consent()
    second = await house.consent(account="admin@fabrikam.example")
    await house.claim(first)
    await house.claim(second, account="admin@fabrikam.example")
    await house.service.runner.drain()
    assert (await house.tenant())["tid"] == FABRIKAM
    assert len(await house.published("tenant.connected")) == 1


async def test_a_foreign_organisation_sees_nothing(house: Any) -> None:
    await house.connect()
    seen = await house.tenant("globex")
    assert (seen["status"], seen["tid"], seen["version"]) == ("not_connected", None, 0)
    for table in ("tenant", "audit", "consent_attempt", "consent_link"):
        assert await house.sql(f"SELECT * FROM {table}", org="globex") == []
