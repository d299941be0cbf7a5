"""Codes, token replies, id_tokens good and bad, access tokens, refresh tokens and every refusal."""

import time
from typing import Any

import jwt
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM

ANNA = "anna@contoso.example"
GRAPH = "https://graph.microsoft.com"
DAY_S = 86_400


def refused(answer: Any) -> tuple[int, str, int]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_codes"][0]


async def code_of(entra: Any, **fields: str | None) -> str:
    return str((await entra.sign_in(ANNA, **fields))["code"])


@pytest.mark.behaviour(6)
async def test_a_code_is_redeemed_once(entra: Any) -> None:
    code = await code_of(entra)
    assert (await entra.redeem(code)).status_code == 200
    assert refused(await entra.redeem(code)) == (400, "invalid_grant", 54005)


@pytest.mark.behaviour(6)
async def test_a_code_lasts_ten_minutes_of_the_service_clock(entra: Any) -> None:
    first, second = await code_of(entra), await code_of(entra)
    await entra.world.control.advance(590, clock="service")
    assert (await entra.redeem(first)).status_code == 200
    await entra.world.control.advance(20, clock="service")
    assert refused(await entra.redeem(second)) == (400, "invalid_grant", 70008)


@pytest.mark.behaviour(6)
async def test_a_code_is_bound_to_its_verifier_and_redirect_uri(entra: Any) -> None:
    code = await code_of(entra)
    changes: list[tuple[dict[str, Any], int]] = [
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": None}, 501481),
        ({"redirect_uri": "http://localhost:8365/connectors/microsoft365/callback"}, 500112),
        ({"code": "made-up"}, 9002313),
    ]
    for change, number in changes:
        answer = await entra.redeem(**({"code": code} | change))
        assert refused(answer)[2] == number, change
    assert (await entra.redeem(code)).status_code == 200


@pytest.mark.behaviour(6)
async def test_a_code_is_bound_to_its_application(entra: Any) -> None:
    other = await entra.do("application_register", name="Other", redirect_uris=[entra.redirect_uri])
    secret = await entra.do("secret_add", app=other["id"])
    await entra.do("consent_give", tenant="contoso.example", app=other["id"])
    stolen = await entra.redeem(await code_of(entra), client_id=other["id"], client_secret=secret["secret"])
    assert refused(stolen) == (400, "invalid_grant", 70000)


@pytest.mark.behaviour(6, 17)
async def test_a_code_redeemed_at_another_tenant_is_refused_and_not_used_up(entra: Any) -> None:
    code = await code_of(entra)
    assert refused(await entra.redeem(code, "fabrikam.example")) == (400, "invalid_grant", 700005)
    assert (await entra.redeem(code, CONTOSO)).status_code == 200


@pytest.mark.behaviour(7)
@pytest.mark.parametrize(
    ("scope", "client_info", "has"),
    [
        ("User.Read", None, set()),
        ("openid User.Read", None, {"id_token"}),
        ("offline_access User.Read", None, {"refresh_token"}),
        ("openid offline_access User.Read", "1", {"id_token", "refresh_token", "client_info"}),
    ],
)
async def test_a_reply_holds_what_was_asked_for(entra: Any, scope: str, client_info: Any, has: set[str]) -> None:
    answer = await entra.redeem(await code_of(entra, scope=scope), client_info=client_info)
    said = answer.json()
    assert set(said) & {"id_token", "refresh_token", "client_info"} == has
    assert (said["token_type"], said["expires_in"]) == ("Bearer", 3599)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.behaviour(7)
async def test_the_scope_told_is_what_was_granted_more_or_fewer_than_asked(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    asked = (await entra.tokens(ANNA, scope="openid User.Read Mail.Send"))["scope"]
    assert asked.split() == ["openid", "User.Read", "Mail.Send"]
    await entra.do("policy_set", tenant="contoso.example", withheld=["Mail.Send"])
    fewer = await entra.tokens(ANNA, scope="openid User.Read Mail.Send")
    assert fewer["scope"].split() == ["openid", "User.Read"]
    assert entra.simulator.entra.read(fewer["access_token"], GRAPH)["scp"] == "User.Read"
    await entra.do("policy_set", tenant="contoso.example", scopes_told="all", withheld=[])
    assert "Contacts.Read" in (await entra.tokens(ANNA, scope="openid User.Read"))["scope"].split()


@pytest.mark.behaviour(8)
async def test_an_id_token_names_directory_roles_when_the_manifest_asks_for_them(entra: Any) -> None:
    member, administrator = "b79fbf4d-3ef9-4689-8143-76b194e85509", "62e90394-69f5-4237-9190-012177145e10"
    await entra.do("consent_give", tenant="contoso.example")

    async def roles(account: str) -> Any:
        token = (await entra.tokens(account, scope="openid profile"))["id_token"]
        return jwt.decode(token, options={"verify_signature": False}).get("wids")

    assert await roles("admin@contoso.example") == [administrator, member]
    assert await roles(ANNA) == [member]
    await entra.do("user_change", user=ANNA, directory_roles=["158c047a-c907-4556-b7ef-446551a6b5f7"])
    assert await roles(ANNA) == ["158c047a-c907-4556-b7ef-446551a6b5f7", member]
    for claims, named in (("SecurityGroup", False), ("All", True), ("None", False)):
        await entra.do("application_change", group_membership_claims=claims)
        assert (await roles(ANNA) is not None) is named


@pytest.mark.behaviour(8)
async def test_an_id_token_says_who_signed_in(entra: Any) -> None:
    said = await entra.tokens(ANNA)
    key = jwt.PyJWKSet.from_dict((await entra.http.get(f"/{CONTOSO}/discovery/v2.0/keys")).json())
    kid = jwt.get_unverified_header(said["id_token"])["kid"]
    claims = jwt.decode(said["id_token"], key[kid].key, ["RS256"], audience=entra.client["client_id"])
    assert claims["iss"] == f"{entra.simulator.settings.https_base_url}/{CONTOSO}/v2.0"
    assert (claims["tid"], claims["ver"], claims["preferred_username"]) == (CONTOSO, "2.0", ANNA)
    assert {"oid", "sub", "nbf", "iat", "exp", "nonce"} <= set(claims)
    other = await entra.do("application_register", name="Other", redirect_uris=[entra.redirect_uri])
    secret = (await entra.do("secret_add", app=other["id"]))["secret"]
    back = await entra.sign_in(ANNA, client_id=other["id"])
    theirs = (await entra.redeem(back["code"], client_id=other["id"], client_secret=secret)).json()
    there = entra.simulator.entra.read(theirs["id_token"], other["id"])
    assert there["oid"] == claims["oid"]
    assert there["sub"] != claims["sub"]


@pytest.mark.behaviour(8)
async def test_names_need_the_profile_scope(entra: Any) -> None:
    said = await entra.tokens(ANNA, scope="openid User.Read")
    claims = entra.simulator.entra.read(said["id_token"], entra.client["client_id"])
    assert not {"oid", "name", "preferred_username"} & set(claims)


def strict(entra: Any, token: str) -> dict[str, Any]:
    """As a careful client checks it."""
    kid = jwt.get_unverified_header(token)["kid"]
    keys = jwt.PyJWKSet.from_dict(entra.simulator.entra.jwks())
    found: dict[str, Any] = jwt.decode(
        token,
        keys[kid].key,
        ["RS256"],
        audience=entra.client["client_id"],
        issuer=f"{entra.simulator.settings.https_base_url}/{CONTOSO}/v2.0",
    )
    if (found["tid"], found["nonce"]) != (CONTOSO, "n1"):
        raise jwt.InvalidTokenError("another tenant or sign-in")
    return found


@pytest.mark.behaviour(8)
async def test_a_bad_id_token_is_given_on_demand_once(entra: Any) -> None:
    for wrong in ("signature", "alg_none", "kid", "aud", "iss", "tid", "expired", "not_yet", "nonce"):
        await entra.world.control.fault("bad_id_token", wrong=wrong, match={"user": ANNA})
        bad = await entra.tokens(ANNA)
        with pytest.raises((jwt.InvalidTokenError, KeyError)):
            strict(entra, bad["id_token"])
        good = await entra.tokens(ANNA)
        assert strict(entra, good["id_token"])["preferred_username"] == ANNA


@pytest.mark.behaviour(9)
async def test_access_tokens_carry_scp_or_roles_and_graph_checks_them(entra: Any) -> None:
    await entra.admin_consent()
    person = await entra.tokens(ANNA, scope="openid User.Read")
    claims = entra.simulator.entra.read(person["access_token"], GRAPH)
    assert (claims["scp"], claims["idtyp"], claims["ver"]) == ("User.Read", "user", "1.0")
    assert "roles" not in claims
    assert (claims["appid"], claims["appidacr"]) == (entra.client["client_id"], "1")
    graph = entra.world.graph(person["access_token"])
    assert (await graph.get("/me")).status_code == 200
    assert (await graph.get("/oauth2PermissionGrants")).status_code == 403
    app = (await entra.app_token()).json()
    own = entra.simulator.entra.read(app["access_token"], GRAPH)
    assert own["idtyp"] == "app"
    assert "Organization.Read.All" in own["roles"]
    assert "scp" not in own
    assert (await entra.world.graph(app["access_token"]).get("/organization")).status_code == 200


@pytest.mark.behaviour(19)
async def test_a_token_of_another_resource_or_too_old_does_not_open_graph(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    other = await entra.tokens(ANNA, scope="https://outlook.office.com/Contacts.Read openid")
    answer = await entra.world.graph(other["access_token"]).get("/me")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    good = await entra.tokens(ANNA)
    assert (await entra.world.graph(good["access_token"]).get("/me")).status_code == 200
    await entra.world.control.advance(3601, clock="service")
    assert (await entra.world.graph(good["access_token"]).get("/me")).status_code == 401


@pytest.mark.behaviour(10)
async def test_a_refresh_gives_a_new_token_and_the_old_one_stays_good(entra: Any) -> None:
    first = (await entra.tokens(ANNA))["refresh_token"]
    second = (await entra.refresh(first)).json()["refresh_token"]
    assert second != first
    for token in (first, second, first):
        assert (await entra.refresh(token)).status_code == 200
    assert refused(await entra.refresh("made-up")) == (400, "invalid_grant", 9002313)


@pytest.mark.behaviour(10)
async def test_a_refresh_token_dies_after_ninety_days_without_use(entra: Any) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    await entra.world.control.advance(89 * DAY_S, clock="service")
    newer = (await entra.refresh(token)).json()["refresh_token"]
    await entra.world.control.advance(89 * DAY_S, clock="service")
    assert (await entra.refresh(newer)).status_code == 200
    await entra.world.control.advance(91 * DAY_S, clock="service")
    assert refused(await entra.refresh(newer)) == (400, "invalid_grant", 700082)


@pytest.mark.behaviour(10)
async def test_a_revocation_ends_what_came_before_it_and_nothing_after(entra: Any) -> None:
    before = await entra.tokens(ANNA)
    code = await code_of(entra)
    await entra.do("sessions_revoke", user=ANNA, effect_after_s=60)
    between = await entra.tokens(ANNA)
    assert (await entra.refresh(before["refresh_token"])).status_code == 200
    await entra.world.control.advance(61, clock="service")
    assert refused(await entra.refresh(before["refresh_token"])) == (400, "invalid_grant", 50173)
    assert refused(await entra.redeem(code)) == (400, "invalid_grant", 50173)
    assert (await entra.refresh(between["refresh_token"])).status_code == 200
    assert (await entra.world.graph(before["access_token"]).get("/me")).status_code == 200


@pytest.mark.behaviour(10)
@pytest.mark.parametrize(("password", "status"), [("reset_by_admin", 400), ("changed_by_user", 200)])
async def test_only_a_reset_by_an_administrator_ends_refresh_tokens(entra: Any, password: str, status: int) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    await entra.do("user_change", user=ANNA, password=password)
    assert (await entra.refresh(token)).status_code == status


@pytest.mark.behaviour(10)
async def test_a_refresh_token_is_of_one_application(entra: Any) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    other = await entra.do("application_register", name="Other", redirect_uris=[])
    secret = (await entra.do("secret_add", app=other["id"]))["secret"]
    await entra.do("consent_give", tenant="contoso.example", app=other["id"])
    stolen = await entra.refresh(token, client_id=other["id"], client_secret=secret)
    assert refused(stolen) == (400, "invalid_grant", 70000)


SCRIPTED = [50173, 700082, 70008, 70043, 50132, 50133, 50074, 50076, 50078, 50079, 53000, 53001, 53003, 530032, 65001]
SCRIPTED += [90094, 50105, 50057, 50034, 700016, 7000112, 500011, 90002, 7000215, 7000222, 700027, 50196, 90033, 90090]


@pytest.mark.behaviour(11)
async def test_an_error_is_scripted_for_one_person_with_the_whole_body(entra: Any) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    other = (await entra.tokens("ben@contoso.example"))["refresh_token"]
    for number in SCRIPTED:
        await entra.world.control.fault("token_error", number=number, match={"user": ANNA, "grant": "refresh_token"})
        assert (await entra.refresh(other)).status_code == 200
        answer = await entra.refresh(token, scope="openid")
        said = answer.json()
        assert answer.status_code in (400, 401, 503)
        assert said["error_codes"] == [number]
        assert said["error_description"].startswith(f"AADSTS{number}: ")
        assert "Trace ID: " + said["trace_id"] in said["error_description"]
        assert {"error", "timestamp", "correlation_id", "error_uri"} <= set(said)
        assert (await entra.refresh(token)).status_code == 200


@pytest.mark.behaviour(11)
@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required"])
async def test_both_spellings_of_a_second_factor_can_be_had(entra: Any, error: str) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    claims = '{"access_token":{"polids":{"essential":true,"values":["p1"]}}}'
    await entra.world.control.fault("token_error", number=50076, error=error, claims=claims)
    said = (await entra.refresh(token)).json()
    assert (said["error"], said["suberror"], said["claims"]) == (error, "basic_action", claims)
    await entra.world.control.fault("token_error", number=50076, error=error, suberror="", match={"tenant": CONTOSO})
    assert "suberror" not in (await entra.refresh(token)).json()


@pytest.mark.behaviour(11)
async def test_faults_are_matched_by_tenant_and_grant(entra: Any) -> None:
    await entra.admin_consent()
    match = {"tenant": "contoso.example", "grant": "client_credentials"}
    await entra.world.control.fault("token_error", number=53003, times=None, match=match)
    assert (await entra.tokens(ANNA))["token_type"] == "Bearer"
    assert refused(await entra.app_token())[2] == 53003
    assert refused(await entra.app_token(FABRIKAM))[2] == 700016


@pytest.mark.behaviour(11)
@pytest.mark.parametrize(("options", "status", "wait"), [({"retry_after": 7}, 429, "7"), ({"status": 503}, 503, "1")])
async def test_the_token_endpoint_is_busy_on_demand_and_notes_an_early_retry(
    entra: Any, options: dict[str, Any], status: int, wait: str
) -> None:
    await entra.admin_consent()
    await entra.world.control.fault("token_busy", **options)
    answer = await entra.app_token()
    assert (answer.status_code, answer.headers["retry-after"]) == (status, wait)
    assert (await entra.app_token()).status_code == 200
    assert "early_retry" in [found["kind"] for found in await entra.world.control.findings()]


@pytest.mark.behaviour(11)
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"grant_type": "refresh_token"}, (400, "invalid_grant", 9002313)),
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"client_id": "unknown"}, (400, "unauthorized_client", 700016)),
        ({"claims": "{"}, (400, "invalid_request", 90023)),
    ],
)
async def test_a_wrong_token_request_is_refused_with_its_number(
    entra: Any, form: dict[str, Any], expected: tuple[int, str, int]
) -> None:
    await entra.admin_consent()
    assert refused(await entra.app_token(**form)) == expected


async def test_a_person_who_is_gone_disabled_or_without_consent_gets_no_tokens(entra: Any) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    await entra.do("consent_revoke", tenant="contoso.example")
    assert refused(await entra.refresh(token)) == (400, "invalid_grant", 65001)
    await entra.do("user_change", user=ANNA, enabled=False)
    assert refused(await entra.refresh(token)) == (400, "invalid_grant", 50057)
    await entra.do("user_delete", user=ANNA)
    assert refused(await entra.refresh(token)) == (400, "invalid_grant", 50034)


async def test_scopes_of_two_resources_are_refused(entra: Any) -> None:
    token = (await entra.tokens(ANNA))["refresh_token"]
    both = "https://outlook.office.com/Mail.Read https://graph.microsoft.com/User.Read"
    assert refused(await entra.refresh(token, scope=both))[1] == "invalid_scope"
    assert refused(await entra.refresh(token, scope="Mail.Read"))[2] == 65001


async def test_times_in_tokens_are_real_whatever_the_service_clock_says(entra: Any) -> None:
    await entra.world.control.advance(30 * DAY_S, clock="service")
    said = await entra.tokens(ANNA)
    claims = jwt.decode(said["id_token"], options={"verify_signature": False})
    assert abs(claims["iat"] - time.time()) < 60
