"""Consent of administrators and of people, what comes back, and how long Entra takes to know it."""

from typing import Any

import pytest

from m365_simulator.client import FormReader
from m365_simulator.directory import CONTOSO, FABRIKAM

ADMIN, ANNA = "admin@contoso.example", "anna@contoso.example"
RECORDINGS = "openid User.Read OnlineMeetingRecording.Read.All"


def refused(answer: Any) -> tuple[int, str, int]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_codes"][0]


def number_in(said: dict[str, str]) -> str:
    return said["error_description"].split(":")[0].removeprefix("AADSTS")


@pytest.mark.behaviour(14)
@pytest.mark.parametrize(("path", "has_scope"), [("v2.0/", True), ("", False)])
async def test_an_administrators_yes_names_tenant_state_and_scope(entra: Any, path: str, has_scope: bool) -> None:
    said = await entra.admin_consent(path=path)
    assert (said["admin_consent"], said["tenant"], said["state"]) == ("True", CONTOSO, "s1")
    assert ("scope" in said) is has_scope
    assert entra.simulator.store.get("consents", CONTOSO)["roles"]


@pytest.mark.behaviour(14)
@pytest.mark.parametrize(
    ("path", "error", "beside"), [("v2.0/", "consent_required", "True"), ("", "permission_denied", None)]
)
async def test_an_administrators_no_is_an_error_even_beside_admin_consent(
    entra: Any, path: str, error: str, beside: str | None
) -> None:
    said = await entra.admin_consent(path=path, decision="cancel")
    assert (said["error"], said.get("admin_consent"), said["state"]) == (error, beside, "s1")
    assert "tenant" not in said
    assert entra.simulator.store.get("consents", CONTOSO) is None


@pytest.mark.behaviour(14)
async def test_who_is_no_administrator_cannot_consent_for_all(entra: Any) -> None:
    said = await entra.admin_consent(ANNA)
    assert (said["error"], said["admin_consent"], number_in(said)) == ("access_denied", "True", "90094")
    assert entra.simulator.store.get("consents", CONTOSO) is None


@pytest.mark.behaviour(14)
async def test_only_the_older_form_takes_paths_below_a_registered_uri(entra: Any) -> None:
    below = entra.simulator.settings.redirect_uris[0] + "/done"
    query = {"client_id": entra.client["client_id"], "redirect_uri": below, "scope": "User.Read"}
    assert (await entra.http.get("/common/adminconsent", params=query)).status_code == 200
    newer = await entra.http.get("/organizations/v2.0/adminconsent", params=query)
    assert (newer.status_code, "AADSTS50011" in newer.text) == (400, True)


@pytest.mark.behaviour(14)
async def test_only_the_named_delegated_permissions_are_granted_without_default(entra: Any) -> None:
    said = await entra.admin_consent(scope="https://graph.microsoft.com/Mail.Send User.Read")
    assert said["scope"] == "https://graph.microsoft.com/Mail.Send User.Read"
    row = entra.simulator.store.get("consents", CONTOSO)
    assert (row["delegated"], row["roles"]) == (["Mail.Send", "User.Read"], [])
    await entra.admin_consent()
    both = entra.simulator.store.get("consents", CONTOSO)
    assert {"Mail.Send", "Contacts.Read"} <= set(both["delegated"])


@pytest.mark.behaviour(14)
@pytest.mark.parametrize("scope", ["", "https://nothing.example/.default", "Foo.Read"])
async def test_an_unknown_scope_gets_a_page(entra: Any, scope: str) -> None:
    query = {"client_id": entra.client["client_id"], "redirect_uri": entra.redirect_uri, "scope": scope}
    assert (await entra.http.get("/organizations/v2.0/adminconsent", params=query)).status_code == 400


@pytest.mark.behaviour(14)
async def test_a_forged_tenant_and_a_missing_state_come_back_on_demand(entra: Any) -> None:
    await entra.world.control.fault("way_back", times=2, set={"tenant": FABRIKAM}, drop=["state"])
    page_away = await entra.admin_consent()
    assert (page_away["tenant"], "state" in page_away) == (FABRIKAM, False)
    assert entra.simulator.store.get("consents", FABRIKAM) is None
    assert "state" not in await entra.sign_in(ANNA)
    assert (await entra.admin_consent())["tenant"] == CONTOSO


@pytest.mark.behaviour(14)
async def test_a_new_consent_is_unknown_for_a_while_and_then_without_roles(entra: Any) -> None:
    await entra.do("policy_set", tenant="contoso.example", consent_unknown_s=30, consent_delay_s=120)
    await entra.admin_consent()
    assert refused(await entra.app_token()) == (400, "unauthorized_client", 700016)
    await entra.do("policy_set", tenant="contoso.example", unknown_number=7000229)
    assert refused(await entra.app_token()) == (401, "invalid_client", 7000229)
    code = (await entra.sign_in(ANNA, scope="openid"))["code"]
    assert refused(await entra.redeem(code)) == (400, "unauthorized_client", 700016)
    await entra.world.control.advance(31, clock="service")
    token = (await entra.app_token()).json()["access_token"]
    assert "roles" not in entra.simulator.entra.read(token, "https://graph.microsoft.com")
    assert (await entra.world.graph(token).get("/organization")).status_code == 403
    await entra.world.control.advance(90, clock="service")
    token = (await entra.app_token()).json()["access_token"]
    assert (await entra.world.graph(token).get("/organization")).status_code == 200
    await entra.admin_consent()
    assert (await entra.app_token()).status_code == 200


@pytest.mark.behaviour(15)
@pytest.mark.parametrize(
    "scope", ["Calendars.ReadWrite", "OnlineMeetings.ReadWrite", "OnlineMeetingRecording.Read.All"]
)
async def test_managed_user_consent_sends_people_to_their_administrator(entra: Any, scope: str) -> None:
    picker = FormReader((await entra.authorize(scope=f"openid {scope}")).text)
    page = await entra.http.post(picker.action, data={**picker.fields, "account": ANNA})
    assert "Need admin approval" in page.text
    assert scope in page.text
    said = await entra.sign_in(ANNA, scope=f"openid {scope}")
    assert (said["error"], number_in(said), said["state"]) == ("access_denied", "90094", "s1")
    assert entra.simulator.store.all("user_consents") == []
    await entra.do("consent_give", tenant="contoso.example")
    assert "code" in await entra.sign_in(ANNA, scope=f"openid {scope}")


@pytest.mark.behaviour(15)
@pytest.mark.parametrize(
    ("policy", "scope", "may"),
    [
        ("managed", "Contacts.Read Mail.Send Files.ReadWrite", True),
        ("managed", "Mail.Read", False),
        ("allowed", "Mail.Read", True),
        ("allowed", "OnlineMeetingTranscript.Read.All", False),
        ("none", "User.Read", False),
    ],
)
async def test_what_a_person_may_consent_to_is_the_tenants_policy(
    entra: Any, policy: str, scope: str, may: bool
) -> None:
    await entra.do("policy_set", tenant="contoso.example", user_consent=policy)
    assert ("code" in await entra.sign_in(ANNA, scope=f"openid {scope}")) is may
    assert "code" in await entra.sign_in(ADMIN, scope=f"openid {scope}")


@pytest.mark.behaviour(15)
async def test_with_the_workflow_on_a_person_asks_and_an_administrator_decides(entra: Any) -> None:
    await entra.do("policy_set", tenant="contoso.example", approval_workflow=True)
    said = await entra.sign_in(ANNA, scope=RECORDINGS)
    assert number_in(said) == "90095"
    (asked,) = entra.simulator.store.all("consent_requests")
    assert asked["status"] == "pending"
    await entra.do("consent_request_decide", request=asked["id"], approve=True)
    back = await entra.sign_in(ANNA, scope=RECORDINGS)
    assert (await entra.redeem(back["code"])).status_code == 200


@pytest.mark.behaviour(15)
async def test_turning_back_on_the_approval_page_is_a_decline(entra: Any) -> None:
    page = await entra.walk(await entra.authorize(scope=RECORDINGS), ANNA, decision="cancel")
    assert "AADSTS65004" in page.headers["location"].replace("%3A", ":")


async def test_a_persons_own_consent_is_theirs_alone_and_gives_no_roles(entra: Any) -> None:
    await entra.tokens(ANNA, scope="openid User.Read")
    said = await entra.authorize(scope="openid User.Read", prompt="select_account")
    page = FormReader(said.text)
    asked = await entra.http.post(page.action, data={**page.fields, "account": "ben@contoso.example"})
    assert "Permissions requested" in asked.text
    token = (await entra.app_token()).json()["access_token"]
    assert "roles" not in entra.simulator.entra.read(token, "https://graph.microsoft.com")
