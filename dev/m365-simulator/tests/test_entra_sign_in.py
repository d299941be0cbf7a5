"""The authorize endpoint: who may be sent back, in which mode, with a session or without, and every error of it."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m365_simulator.client import FormReader

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


def said_back(answer: Any) -> dict[str, str]:
    assert answer.is_redirect, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@pytest.mark.behaviour(5)
@pytest.mark.parametrize("change", ["/", "?x=1", "/more"])
async def test_a_redirect_uri_not_exactly_registered_gets_a_page(entra: Any, change: str) -> None:
    page = await entra.authorize(redirect_uri=entra.redirect_uri + change)
    assert page.status_code == 400
    assert "AADSTS50011" in page.text
    picked = {**entra.asked(redirect_uri=entra.redirect_uri + change), "account": ANNA, "decision": "accept"}
    assert (await entra.http.post("/organizations/oauth2/v2.0/authorize", data=picked)).status_code == 400


@pytest.mark.behaviour(5)
@pytest.mark.parametrize(
    ("change", "tenant", "number"),
    [
        ({"client_id": "unknown"}, "organizations", 700016),
        ({"client_id": None}, "organizations", 900144),
        ({}, "nobody.example", 90002),
    ],
)
async def test_an_unknown_application_or_tenant_gets_a_page(
    entra: Any, change: dict[str, Any], tenant: str, number: int
) -> None:
    page = await entra.authorize(tenant, **change)
    assert (page.status_code, f"AADSTS{number}" in page.text) == (400, True)


@pytest.mark.behaviour(5)
@pytest.mark.parametrize(
    ("change", "error", "number"),
    [
        ({"response_type": None}, "invalid_request", 900144),
        ({"response_type": "id_token"}, "unsupported_response_type", 700054),
        ({"response_mode": "web_message"}, "invalid_request", 70007),
        ({"prompt": "always"}, "invalid_request", 90023),
        ({"scope": None}, "invalid_request", 900144),
        ({"scope": "openid Foo.Read"}, "invalid_scope", 70011),
        ({"scope": "https://nothing.example/Foo.Read"}, "invalid_resource", 500011),
        ({"code_challenge_method": "S512"}, "invalid_request", 90023),
        ({"code_challenge": "short"}, "invalid_request", 501491),
    ],
)
async def test_a_wrong_request_is_told_to_the_application_with_its_state(
    entra: Any, change: dict[str, Any], error: str, number: int
) -> None:
    said = said_back(await entra.authorize(**change))
    assert (said["error"], said["state"]) == (error, "s1")
    assert said["error_description"].startswith(f"AADSTS{number}: ")


@pytest.mark.behaviour(5)
async def test_the_code_comes_back_with_state_in_the_mode_asked_for(entra: Any) -> None:
    query = await entra.walk(await entra.authorize(), ANNA)
    assert {"code", "state", "session_state"} == set(said_back(query))
    fragment = await entra.walk(await entra.authorize(response_mode="fragment"), ANNA)
    parts = urlsplit(fragment.headers["location"])
    assert parts.query == ""
    assert dict(parse_qsl(parts.fragment))["state"] == "s1"
    posted = await entra.walk(await entra.authorize(response_mode="form_post"), ANNA)
    form = FormReader(posted.text)
    assert (posted.status_code, form.action) == (200, entra.redirect_uri)
    assert {"code", "state"} <= set(form.fields)


@pytest.mark.behaviour(5)
async def test_a_silent_sign_in_needs_a_session_and_then_asks_nobody(entra: Any) -> None:
    said = said_back(await entra.authorize(prompt="none"))
    assert said["error"] == "login_required"
    await entra.sign_in(ANNA)
    silent = said_back(await entra.authorize(prompt="none"))
    assert (await entra.redeem(silent["code"])).status_code == 200
    other = said_back(await entra.authorize(prompt="none", login_hint=BEN))
    assert other["error"] == "login_required"


@pytest.mark.behaviour(5)
async def test_a_silent_sign_in_says_when_it_would_have_to_ask(entra: Any) -> None:
    await entra.sign_in(ANNA)
    more = said_back(await entra.authorize(prompt="none", scope="openid Mail.Send"))
    assert more["error"] == "consent_required"
    await entra.sign_in(BEN)
    which = said_back(await entra.authorize(prompt="none"))
    assert which["error"] == "interaction_required"
    hinted = said_back(await entra.authorize(prompt="none", login_hint=ANNA))
    assert "code" in hinted


@pytest.mark.behaviour(5)
async def test_a_browsers_only_session_signs_in_by_itself_unless_asked_not_to(entra: Any) -> None:
    await entra.admin_consent()
    assert "code" in said_back(await entra.authorize("contoso.example", scope="openid profile"))
    asked = await entra.authorize("contoso.example", scope="openid profile", prompt="select_account")
    assert "Pick an account" in asked.text
    elsewhere = await entra.authorize("fabrikam.example", scope="openid profile")
    assert (elsewhere.status_code, "50020" in elsewhere.text) == (400, True)
    await entra.sign_in(BEN)
    assert "Pick an account" in (await entra.authorize("contoso.example", scope="openid profile")).text


@pytest.mark.behaviour(5)
async def test_a_session_is_asked_for_consent_alone_and_goes_on(entra: Any) -> None:
    await entra.admin_consent()
    asked = await entra.authorize("contoso.example", scope="openid profile Sites.Read.All")
    assert "Permissions requested" in asked.text
    form = FormReader(asked.text)
    assert "code" in said_back(await entra.http.post(form.action, data=form.fields | {"decision": "accept"}))


@pytest.mark.behaviour(5)
@pytest.mark.parametrize("end", ["sessions_revoke", "logout", "disabled"])
async def test_an_ended_session_signs_nobody_in(entra: Any, end: str) -> None:
    await entra.sign_in(ANNA)
    if end == "logout":
        page = await entra.http.get("/organizations/oauth2/v2.0/logout")
        assert "You signed out" in page.text
    elif end == "disabled":
        await entra.do("user_change", user=ANNA, enabled=False)
    else:
        await entra.do("sessions_revoke", user=ANNA)
    assert said_back(await entra.authorize(prompt="none"))["error"] == "login_required"


@pytest.mark.behaviour(5)
async def test_prompts_decide_which_page_is_shown(entra: Any) -> None:
    await entra.sign_in(ANNA)
    assert "code" in said_back(await entra.authorize(login_hint=ANNA))
    for prompt in ("login", "select_account"):
        page = await entra.authorize(login_hint=ANNA, prompt=prompt)
        assert "Pick an account" in page.text
    picked = await entra.authorize(prompt="consent")
    form = FormReader(picked.text)
    asked = await entra.http.post(form.action, data={**form.fields, "account": ANNA})
    assert "Permissions requested" in asked.text


@pytest.mark.behaviour(5)
async def test_hints_bring_the_account_forward_and_narrow_the_organisation(entra: Any) -> None:
    hinted = (await entra.authorize(login_hint="carl@fabrikam.example")).text
    assert hinted.index('value="carl@fabrikam.example"') < hinted.index(f'value="{ANNA}"')
    narrowed = (await entra.authorize(domain_hint="fabrikam.example")).text
    assert 'value="carl@fabrikam.example"' in narrowed
    assert ANNA not in narrowed


@pytest.mark.behaviour(5)
async def test_a_plain_challenge_is_taken_as_documented_and_noticed(entra: Any) -> None:
    said = await entra.sign_in(ANNA, code_challenge="p" * 43, code_challenge_method=None)
    assert (await entra.redeem(said["code"], code_verifier="q" * 43)).json()["error_codes"] == [501481]
    assert (await entra.redeem(said["code"], code_verifier="p" * 43)).status_code == 200
    assert [found["kind"] for found in await entra.world.control.findings()] == ["weak_pkce"]


@pytest.mark.behaviour(5)
async def test_the_nonce_is_in_the_id_token(entra: Any) -> None:
    said = await entra.tokens(ANNA, nonce="only-once")
    assert entra.simulator.entra.read(said["id_token"], entra.client["client_id"])["nonce"] == "only-once"


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "access_denied", "invalid_resource"])
async def test_every_error_can_be_sent_back(entra: Any, error: str) -> None:
    await entra.world.control.fault("authorize_error", number=90033, error=error, match={"user": ANNA})
    page = await entra.authorize()
    assert "Pick an account" in page.text
    assert said_back(await entra.walk(page, ANNA))["error"] == error


async def test_a_declined_consent_is_told_and_stores_nothing(entra: Any) -> None:
    said = said_back(await entra.walk(await entra.authorize(), ANNA, decision="cancel"))
    assert (said["error"], said["error_subcode"]) == ("access_denied", "cancel")
    assert "AADSTS65004" in said["error_description"]
    assert entra.simulator.store.all("user_consents") == []


@pytest.mark.parametrize(
    ("account", "tenant", "number"),
    [
        ("pat@outlook.example", "organizations", 50020),
        ("carl@fabrikam.example", "contoso.example", 50020),
        ("nobody@contoso.example", "organizations", 50034),
    ],
)
async def test_an_account_that_does_not_belong_here_gets_a_page(
    entra: Any, account: str, tenant: str, number: int
) -> None:
    page = await entra.walk(await entra.authorize(tenant), account)
    assert (page.status_code, f"AADSTS{number}" in page.text) == (400, True)


async def test_a_disabled_person_and_a_disabled_application_get_a_page(entra: Any) -> None:
    await entra.do("consent_give", tenant="contoso.example")
    await entra.do("application_enable", tenant="contoso.example", enabled=False)
    assert "AADSTS7000112" in (await entra.walk(await entra.authorize(), ANNA)).text
    await entra.do("application_enable", tenant="contoso.example", enabled=True)
    await entra.do("user_change", user=ANNA, enabled=False)
    assert "AADSTS50057" in (await entra.walk(await entra.authorize(), ANNA)).text


async def test_the_client_of_tests_reads_a_posted_answer_as_a_callback(entra: Any) -> None:
    page = await entra.authorize(response_mode="form_post")
    back = await entra.world.control.sign_in(str(page.request.url), ANNA)
    assert back.startswith(f"{entra.redirect_uri}?")
    assert {"code", "state"} <= set(dict(parse_qsl(urlsplit(back).query)))
