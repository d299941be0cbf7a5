"""Several tenants, guests, a second application, and the verbs of the directory."""

from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM

ANNA = "anna@contoso.example"


def oid_of(entra: Any, said: dict[str, Any]) -> str:
    return str(entra.simulator.entra.read(said["access_token"], "https://graph.microsoft.com")["oid"])


@pytest.mark.behaviour(17)
async def test_a_guest_is_somebody_else_in_each_tenant(entra: Any) -> None:
    guest = await entra.do("guest_add", tenant="fabrikam.example", user=ANNA)
    home = await entra.tokens(ANNA, "contoso.example")
    away = await entra.tokens(ANNA, "fabrikam.example")
    assert oid_of(entra, away) == guest["id"] != oid_of(entra, home)
    claims = entra.simulator.entra.read(away["id_token"], entra.client["client_id"])
    assert (claims["tid"], claims["preferred_username"]) == (FABRIKAM, ANNA)
    assert CONTOSO in claims["idp"]
    assert home["client_info"] == away["client_info"]
    shown = (await entra.world.graph(away["access_token"]).get("/me?$select=userType,userPrincipalName")).json()
    assert (shown["userType"], "#ext#" in shown["userPrincipalName"]) == ("Guest", True)


@pytest.mark.behaviour(17)
async def test_a_guests_refresh_token_serves_both_tenants_and_is_revoked_at_home(entra: Any) -> None:
    await entra.do("guest_add", tenant="fabrikam.example", user=ANNA)
    home = await entra.tokens(ANNA, "contoso.example")
    await entra.tokens(ANNA, "fabrikam.example")
    away = await entra.refresh(home["refresh_token"], "fabrikam.example")
    assert away.status_code == 200
    guest = oid_of(entra, away.json())
    assert guest != oid_of(entra, home)
    rights = "User.RevokeSessions.All"
    await entra.do("policy_set", tenant="fabrikam.example", revocation_s=0)
    there = entra.world.graph(entra.world.token("admin@fabrikam.example", rights))
    assert (await there.post(f"/users/{guest}/revokeSignInSessions")).status_code == 200
    assert (await entra.refresh(home["refresh_token"], "fabrikam.example")).status_code == 200
    await entra.do("sessions_revoke", user=ANNA)
    refused = await entra.refresh(home["refresh_token"], "fabrikam.example")
    assert refused.json()["error_codes"] == [50173]


@pytest.mark.behaviour(17)
async def test_who_is_no_guest_gets_no_token_of_another_tenant(entra: Any) -> None:
    home = await entra.tokens(ANNA)
    refused = await entra.refresh(home["refresh_token"], "fabrikam.example")
    assert refused.json()["error_codes"] == [50020]


@pytest.mark.behaviour(17)
async def test_one_application_has_a_service_principal_of_its_own_in_each_tenant(entra: Any) -> None:
    for tenant in ("contoso.example", "fabrikam.example"):
        await entra.do("consent_give", tenant=tenant)
    tokens = [(await entra.app_token(tenant)).json() for tenant in (CONTOSO, FABRIKAM)]
    assert oid_of(entra, tokens[0]) != oid_of(entra, tokens[1])
    await entra.do("consent_revoke", tenant="contoso.example")
    assert (await entra.app_token(CONTOSO)).status_code == 400
    assert (await entra.app_token(FABRIKAM)).status_code == 200


@pytest.mark.behaviour(17)
async def test_a_second_application_has_consents_of_its_own(entra: Any) -> None:
    made = await entra.do(
        "application_register", name="Other", redirect_uris=["http://localhost/other"], roles=["Mail.Read"]
    )
    secret = (await entra.do("secret_add", app=made["id"]))["secret"]
    await entra.do("consent_give", tenant="contoso.example")
    other = {"client_id": made["id"], "client_secret": secret}
    assert (await entra.app_token(**other)).json()["error_codes"] == [700016]
    await entra.do("consent_give", tenant="contoso.example", app=made["id"])
    claims = entra.simulator.entra.read((await entra.app_token(**other)).json()["access_token"], GRAPH)
    assert (claims["roles"], claims["appid"]) == (["Mail.Read"], made["id"])
    await entra.do("consent_revoke", tenant="contoso.example", app=made["id"])
    assert (await entra.app_token(**other)).json()["error_codes"] == [700016]
    assert (await entra.app_token()).status_code == 200


GRAPH = "https://graph.microsoft.com"


@pytest.mark.behaviour(17)
async def test_an_application_of_one_tenant_is_unknown_elsewhere(entra: Any) -> None:
    await entra.do("application_change", multi_tenant=False, tenant=CONTOSO)
    await entra.do("consent_give", tenant="fabrikam.example")
    assert "AADSTS50194" in (await entra.authorize("organizations")).text
    assert "AADSTS700016" in (await entra.authorize("fabrikam.example")).text
    assert (await entra.authorize("contoso.example")).status_code == 200
    assert (await entra.app_token(FABRIKAM)).json()["error_codes"] == [700016]


async def test_a_new_tenant_with_a_new_person_signs_in(entra: Any) -> None:
    tenant = await entra.do("tenant_add", name="Tailspin", domain="tailspin.example")
    person = await entra.do("user_add", tenant="tailspin.example", name="Tara", local="tara", licences=["SPE_E5"])
    said = await entra.tokens("tara@tailspin.example")
    assert oid_of(entra, said) == person["id"]
    shown = await entra.world.graph(said["access_token"]).get("/me?$select=assignedLicenses,accountEnabled")
    assert (len(shown.json()["assignedLicenses"]), shown.json()["accountEnabled"]) == (1, True)
    assert tenant["id"] in [row["id"] for row in entra.simulator.store.all("tenants")]


async def test_what_cannot_be_done_is_refused_with_a_sentence(entra: Any) -> None:
    impossible: list[tuple[str, dict[str, Any]]] = [
        ("tenant_add", {"name": "Contoso", "domain": "contoso.example"}),
        ("user_add", {"tenant": "contoso.example", "name": "Anna", "local": "anna"}),
        ("user_change", {"user": "nobody@contoso.example"}),
        ("guest_add", {"tenant": "contoso.example", "user": ANNA}),
        ("policy_set", {"tenant": "nobody.example"}),
        ("policy_set", {"tenant": "contoso.example", "user_consent": "whatever"}),
        ("application_change", {"app": "unknown"}),
        ("application_register", {"name": "x", "redirect_uris": [], "multi_tenant": False}),
        ("certificate_add", {"pem": "no certificate"}),
        ("certificate_remove", {"key_id": "unknown"}),
        ("secret_remove", {"key_id": "unknown"}),
        ("secret_expire", {"key_id": "unknown"}),
        ("consent_request_decide", {"request": "unknown", "approve": True}),
    ]
    for verb, arguments in impossible:
        answer = await entra.http.post(f"/control/do/{verb}", json=arguments)
        assert answer.status_code == 400, verb
        assert answer.json()["detail"].endswith((".", "]"))


async def test_the_same_seed_gives_the_same_codes_and_ids(make_world: Any, entra: Any) -> None:
    first = await entra.sign_in(ANNA)
    second = type(entra)(make_world())
    assert await second.sign_in(ANNA) == first
