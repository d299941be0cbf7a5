"""The administrator's own sign-in, and every way in which it does not lead to a claim."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, PERSONAL

ADMIN, ANNA, FOREIGN_ADMIN = "admin@contoso.example", "anna@contoso.example", "admin@fabrikam.example"
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
PRIVILEGED_ROLE_ADMINISTRATOR = "e8611ab8-c189-46e8-94e1-60213ab1f814"
CLOUD_APPLICATION_ADMINISTRATOR = "158c047a-c907-4556-b7ef-446551a6b5f7"
APPLICATION_ADMINISTRATOR = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"
EXCHANGE_ADMINISTRATOR = "29232cdf-9323-42fd-ade2-1d097af3e4de"
Json = dict[str, Any]


async def check_nothing_came_of_it(house: Any, code: str, body: Json, org: str = "acme") -> None:
    """Refused, remembered, audited and used up: no claim, no proof, no second try."""
    tenant = await house.tenant(org)
    assert (tenant["status"], tenant["problem"]["code"], tenant["tid"]) == ("failed", code, None)
    assert (await house.trail(org))[-1] == ("consent.sign_in", "refused", code)
    assert await house.sql("SELECT * FROM consent_attempt", org=org) == []
    assert await house.sql("SELECT claimed_tid FROM tenant WHERE claimed_tid IS NOT NULL", org=org) == []
    assert await house.sql("SELECT * FROM job", org=org) == []
    assert (await house.sign_in(body, org)).json()["code"] == "consent_attempt_unknown"
    assert await house.published("tenant.connected") == []


async def test_the_sign_in_asks_the_claimed_tenant_for_no_more_than_who_it_is(house: Any) -> None:
    answer = await house.complete(await house.consent())
    assert answer.headers["cache-control"] == "no-store"
    url = urlsplit(answer.json()["sign_in_url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == f"/{CONTOSO}/oauth2/v2.0/authorize"
    assert f"{url.scheme}://{url.netloc}" == house.simulator.settings.http_base_url
    assert set(query["scope"].split()) == {"openid", "profile"}
    assert query["redirect_uri"] == "http://localhost:8365/connectors/microsoft365/sign-in/callback"
    assert (query["response_mode"], query["code_challenge_method"]) == ("query", "S256")
    assert query["nonce"]
    assert "prompt" not in query
    assert answer.json()["status"] == "not_connected"


async def test_who_just_consented_signs_in_unasked_and_nothing_of_it_is_kept(house: Any) -> None:
    body = await house.consent()
    url = (await house.complete(body)).json()["sign_in_url"]
    browser = house.microsoft._browsers[ADMIN]
    back = await browser.get(url)
    assert back.is_redirect
    answer = {name: values[0] for name, values in parse_qs(urlsplit(back.headers["location"]).query).items()}
    assert (await house.sign_in(answer | {"browser_key": body["browser_key"]})).status_code == 202
    (kept,) = await house.rows("consent_attempt")
    assert (kept["finished"], kept["sealed_flow"]) == (True, None)
    assert house.simulator.store.all("refresh_tokens") == []
    assert [call["permission"] for call in house.simulator.calls.rows if "token" in call["path"]] == [
        "authorization_code"
    ]


async def test_the_trail_says_who_of_microsoft_claimed_the_tenant(house: Any) -> None:
    await house.claim()
    (row,) = await house.sql("SELECT actor, details FROM audit WHERE action = 'consent.sign_in'")
    oid = next(user["id"] for user in house.simulator.store.all("users") if user["address"] == ADMIN)
    assert (row.actor, row.details["claimed_tid"], row.details["oid"]) == ("ada", CONTOSO, oid)


async def test_the_tenant_of_others_that_consented_once_cannot_be_claimed(house: Any) -> None:
    """The hole this sign-in closes: contoso consented for acme and was disconnected; globex names it as its own."""
    await house.connect()
    await house.call("DELETE", "/v1/tenant")
    published = len(await house.published("tenant.connected"))
    body = await house.consent("globex") | {"tenant": CONTOSO}
    taken = (await house.complete(body, "globex")).json()
    own = taken["sign_in_url"].replace(f"/{CONTOSO}/", f"/{FABRIKAM}/")
    back = await house.back_from(own, body["browser_key"], FOREIGN_ADMIN)
    refused = await house.sign_in(back, "globex")
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_refused")
    await house.service.runner.drain()
    assert (await house.tenant("globex"))["status"] == "failed"
    assert len(await house.published("tenant.connected")) == published


async def test_an_id_token_of_another_tenant_claims_nothing(house: Any) -> None:
    body = await house.signed_in(await house.consent())
    await house.microsoft.fault("bad_id_token", wrong="tid")
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_other_tenant")
    assert "one administrator's account all the way" in refused.json()["detail"]
    await check_nothing_came_of_it(house, "consent_other_tenant", body)


@pytest.mark.parametrize("wrong", ["signature", "alg_none", "kid", "aud", "iss", "expired", "not_yet"])
async def test_an_id_token_that_proves_nothing_claims_nothing(house: Any, wrong: str) -> None:
    body = await house.signed_in(await house.consent())
    await house.microsoft.fault("bad_id_token", wrong=wrong)
    refused = await house.sign_in(body)
    assert refused.status_code == 409
    assert refused.json()["code"] in {"sign_in_not_proven", "sign_in_refused"}
    await check_nothing_came_of_it(house, refused.json()["code"], body)


async def test_an_answer_to_another_sign_in_claims_nothing(house: Any) -> None:
    body = await house.signed_in(await house.consent())
    await house.microsoft.fault("bad_id_token", wrong="nonce")
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_refused")
    await check_nothing_came_of_it(house, "sign_in_refused", body)


async def test_a_code_of_another_trip_claims_nothing(house: Any) -> None:
    first, second = [await house.signed_in(await house.consent()) for _ in range(2)]
    refused = await house.sign_in(first | {"code": second["code"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_refused")
    assert (await house.sign_in(first)).json()["code"] == "consent_attempt_unknown"
    assert (await house.tenant())["status"] == "failed"
    assert await house.jobs() == []


async def test_a_person_without_an_administrators_role_claims_nothing(house: Any) -> None:
    body = await house.signed_in(await house.consent(), account=ANNA)
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_an_administrator")
    assert "eligible" in refused.json()["detail"]
    await check_nothing_came_of_it(house, "not_an_administrator", body)


@pytest.mark.parametrize(
    ("role", "code"),
    [
        (GLOBAL_ADMINISTRATOR, 202),
        (PRIVILEGED_ROLE_ADMINISTRATOR, 202),
        (CLOUD_APPLICATION_ADMINISTRATOR, 409),
        (APPLICATION_ADMINISTRATOR, 409),
        (EXCHANGE_ADMINISTRATOR, 409),
    ],
)
async def test_only_who_may_consent_for_all_may_connect(house: Any, role: str, code: int) -> None:
    body = await house.consent()
    await house.microsoft.do("user_change", user=ANNA, directory_roles=[role])
    assert (await house.sign_in(await house.signed_in(body, account=ANNA))).status_code == code


async def test_which_roles_count_is_a_setting(house: Any) -> None:
    body = await house.consent()
    await house.microsoft.do("user_change", user=ANNA, directory_roles=[CLOUD_APPLICATION_ADMINISTRATOR])
    house.service.settings.administrator_roles = frozenset({CLOUD_APPLICATION_ADMINISTRATOR})
    assert (await house.sign_in(await house.signed_in(body, account=ANNA))).status_code == 202
    body = await house.consent()
    house.service.settings.administrator_roles = frozenset({EXCHANGE_ADMINISTRATOR})
    assert (await house.sign_in(await house.signed_in(body, account=ANNA))).status_code == 409


async def test_a_registration_that_asks_for_no_roles_is_the_operators_to_mend(house: Any) -> None:
    await house.microsoft.do("application_change", group_membership_claims="None")
    body = await house.signed_in(await house.consent())
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "registration_without_roles")
    assert "groupMembershipClaims" in refused.json()["detail"]
    await check_nothing_came_of_it(house, "registration_without_roles", body)


async def test_a_guest_of_the_tenant_is_no_administrator_of_it(house: Any) -> None:
    await house.microsoft.do("guest_add", tenant=CONTOSO, user=FOREIGN_ADMIN)
    body = await house.signed_in(await house.consent(), account=FOREIGN_ADMIN)
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_an_administrator")
    await check_nothing_came_of_it(house, "not_an_administrator", body)


async def test_a_personal_account_claims_nothing(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    body = await house.signed_in(await house.consent())
    sign = house.simulator.entra.sign
    monkeypatch.setattr(house.simulator.entra, "sign", lambda claims, *more: sign(claims | {"tid": PERSONAL}, *more))
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "personal_account")
    await check_nothing_came_of_it(house, "personal_account", body)


WRONG_WAYS_BACK: list[tuple[Json, int, str]] = [
    ({"browser_key": "another"}, 403, "consent_other_browser"),
    ({"browser_key": ""}, 403, "consent_other_browser"),
    ({"code": None}, 409, "sign_in_missing"),
    ({"code": ""}, 409, "sign_in_missing"),
    ({"code": "forged"}, 409, "sign_in_refused"),
    ({"error": ""}, 409, "sign_in_refused"),
    ({"error": "access_denied", "error_description": "AADSTS65004: declined"}, 409, "sign_in_declined"),
    ({"error": "consent_required", "error_description": "AADSTS65004: declined"}, 409, "sign_in_declined"),
    ({"error": "invalid_grant", "error_description": "AADSTS65001: not yet"}, 409, "consent_not_in_force"),
    ({"error": "unauthorized_client", "error_description": "AADSTS700016: who"}, 409, "consent_not_in_force"),
    ({"error": "access_denied", "error_description": "AADSTS53003: blocked"}, 409, "sign_in_refused"),
    ({"error": "interaction_required", "error_description": "AADSTS53003: x"}, 409, "sign_in_refused"),
    ({"error": "temporarily_unavailable"}, 409, "microsoft_busy"),
]


async def test_a_wrong_way_back_from_the_sign_in_is_refused_and_ends_the_trip(house: Any) -> None:
    for change, status, code in WRONG_WAYS_BACK:
        body = await house.signed_in(await house.consent())
        refused = await house.sign_in(body | change)
        assert (refused.status_code, refused.json()["code"]) == (status, code), change
        await check_nothing_came_of_it(house, code, body)


async def test_declining_at_microsofts_sign_in_is_a_decline(house: Any) -> None:
    await house.microsoft.fault("authorize_error", number=65004, error="access_denied")
    body = await house.signed_in(await house.consent())
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_declined")
    await check_nothing_came_of_it(house, "sign_in_declined", body)


async def test_another_person_or_organisation_cannot_finish_the_sign_in(house: Any) -> None:
    body = await house.signed_in(await house.consent())
    assert (await house.sign_in(body, org="globex")).json()["code"] == "consent_attempt_unknown"
    refused = await house.sign_in(body, user="eve")
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_other_user")
    await check_nothing_came_of_it(house, "consent_other_user", body)


async def test_the_two_legs_have_states_of_their_own(house: Any) -> None:
    body = await house.consent()
    assert (await house.sign_in(body | {"code": "c"})).json()["code"] == "consent_attempt_unknown"
    back = await house.signed_in(body)
    assert back["state"] != body["state"]
    assert (await house.complete(body | {"state": back["state"]})).json()["code"] == "consent_attempt_unknown"
    assert (await house.sign_in(back)).status_code == 202


async def test_both_legs_together_have_ten_minutes(house: Any) -> None:
    body = await house.consent()
    (before,) = await house.sql("SELECT expires_at FROM consent_attempt")
    back = await house.signed_in(body)
    (after,) = await house.sql("SELECT expires_at FROM consent_attempt")
    assert before == after
    await house.sql("UPDATE consent_attempt SET expires_at = clock_timestamp() - interval '1 second'")
    refused = await house.sign_in(back)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_attempt_expired")
    await check_nothing_came_of_it(house, "consent_attempt_expired", back)


async def test_a_busy_microsoft_loses_neither_leg(house: Any) -> None:
    body = await house.consent()
    reachable = house.service.settings.entra_authority
    house.service.settings.entra_authority = "https://localhost:9"
    busy = await house.complete(body)
    assert (busy.status_code, busy.json()["code"]) == (503, "microsoft_busy")
    house.service.settings.entra_authority = reachable
    back = await house.signed_in(body)
    await house.microsoft.fault("token_error", number=90033, error="temporarily_unavailable")
    busy = await house.sign_in(back)
    assert (busy.status_code, busy.json()["code"]) == (503, "microsoft_busy")
    assert (await house.sign_in(back)).status_code == 202


async def test_a_wrong_secret_of_ours_is_told_at_the_sign_in_too(house: Any) -> None:
    body = await house.signed_in(await house.consent())
    object.__setattr__(house.simulator.settings, "client_secret", "rotated")
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "prospo_misconfigured")
    assert "operator" in refused.json()["detail"]
    said = refused.json()
    known = {"support_code": said["request_id"], "number": 7000215, "trace_id": said["microsoft_trace_id"]}
    problem = (await house.tenant())["problem"]
    assert {name: problem[name] for name in known} == known
    await check_nothing_came_of_it(house, "prospo_misconfigured", body)
    trail = await house.call("GET", "/v1/tenant/audit", params={"action": "consent.sign_in"})
    assert trail.json()["items"][-1]["details"] == {"code": "prospo_misconfigured"} | known


async def test_a_consent_that_was_withdrawn_at_once_claims_nothing(house: Any) -> None:
    body = await house.signed_in(await house.consent())
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_not_in_force")
    await check_nothing_came_of_it(house, "consent_not_in_force", body)


async def test_disconnecting_wins_over_a_sign_in_that_microsoft_is_answering(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    body = await house.signed_in(await house.consent())
    administrators = house.service.provided["consents"]._administrators
    signed_in = administrators.signed_in

    async def while_disconnecting(*asked: Any) -> Any:
        account = await signed_in(*asked)
        await house.call("DELETE", "/v1/tenant")
        return account

    monkeypatch.setattr(administrators, "signed_in", while_disconnecting)
    refused = await house.sign_in(body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_ended")
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]) == ("disconnected", None)


async def test_another_tenant_that_was_connected_meanwhile_stays(house: Any) -> None:
    slow = await house.signed_in(await house.consent(account=FOREIGN_ADMIN), account=FOREIGN_ADMIN)
    await house.connect()
    refused = await house.sign_in(slow)
    assert (refused.status_code, refused.json()["code"]) == (409, "another_tenant_connected")
    await house.service.runner.drain()
    assert (await house.tenant())["tid"] == CONTOSO


async def test_two_trips_of_one_person_at_the_same_time_do_not_mix(house: Any) -> None:
    bodies = [await house.signed_in(await house.consent()) for _ in range(2)]
    answers = await asyncio.gather(*(house.sign_in(body) for body in bodies))
    assert [answer.status_code for answer in answers] == [202, 202]
    await house.service.runner.drain()
    assert len(await house.published("tenant.connected")) == 1
