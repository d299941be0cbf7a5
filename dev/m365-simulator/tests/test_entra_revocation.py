"""Taking away what was granted, through Graph: seen at once, in force after a while, issued tokens live on."""

from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO

ADMIN, ANNA = "admin@contoso.example", "anna@contoso.example"
RIGHTS = "DelegatedPermissionGrant.ReadWrite.All Application.ReadWrite.All AppRoleAssignment.ReadWrite.All"
RIGHTS += " User.RevokeSessions.All Directory.Read.All"


def refused(answer: Any) -> tuple[int, str, int]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_codes"][0]


@pytest.fixture
async def graph(entra: Any) -> httpx.AsyncClient:
    """An administrator at Graph, of a tenant that consented."""
    await entra.do("consent_give", tenant="contoso.example")
    found: httpx.AsyncClient = entra.world.graph(entra.world.token(ADMIN, RIGHTS))
    return found


async def our_principal(entra: Any, graph: httpx.AsyncClient) -> dict[str, Any]:
    query = {"$filter": f"appId eq '{entra.client['client_id']}'"}
    (found,) = (await graph.get("/servicePrincipals", params=query)).json()["value"]
    return dict(found)


async def until_in_force(entra: Any) -> None:
    await entra.world.control.advance(121, clock="service")


@pytest.mark.behaviour(16)
async def test_sessions_revoked_through_graph_end_after_a_while(entra: Any, graph: httpx.AsyncClient) -> None:
    said = await entra.tokens(ANNA)
    answer = await graph.post(f"/users/{ANNA}/revokeSignInSessions")
    assert (answer.status_code, answer.json()["value"]) == (200, True)
    assert (await entra.refresh(said["refresh_token"])).status_code == 200
    await until_in_force(entra)
    assert refused(await entra.refresh(said["refresh_token"])) == (400, "invalid_grant", 50173)
    assert (await entra.world.graph(said["access_token"]).get("/me")).status_code == 200
    shown = await graph.get(f"/users/{ADMIN}", params={"$select": "signInSessionsValidFromDateTime"})
    assert shown.status_code == 403  # reading people is another permission


@pytest.mark.behaviour(16)
async def test_a_person_may_end_their_own_sessions_only(entra: Any, graph: httpx.AsyncClient) -> None:
    own = entra.world.graph(entra.world.token(ANNA, "User.RevokeSessions.All"))
    assert (await own.post("/me/revokeSignInSessions")).status_code == 200
    assert (await own.post(f"/users/{ADMIN}/revokeSignInSessions")).status_code == 403
    poor = entra.world.graph(entra.world.token(ADMIN, "User.Read"))
    assert (await poor.post(f"/users/{ANNA}/revokeSignInSessions")).status_code == 403
    assert (await graph.post("/users/carl@fabrikam.example/revokeSignInSessions")).status_code == 404


@pytest.mark.behaviour(16)
async def test_grants_are_listed_and_filtered(entra: Any, graph: httpx.AsyncClient) -> None:
    await entra.do("consent_revoke", tenant="contoso.example")
    await entra.tokens(ANNA)
    await entra.do("consent_give", tenant="contoso.example")
    client = (await our_principal(entra, graph))["id"]
    found = (await graph.get("/oauth2PermissionGrants", params={"$filter": f"clientId eq '{client}'"})).json()["value"]
    assert [row["consentType"] for row in found] == ["AllPrincipals", "Principal"]
    narrowed = {"$filter": f"clientId eq '{client}' and consentType eq 'Principal'"}
    (own,) = (await graph.get("/oauth2PermissionGrants", params=narrowed)).json()["value"]
    assert own["scope"] == "Contacts.Read User.Read"
    assert (await graph.get(f"/oauth2PermissionGrants/{own['id']}")).json()["principalId"] == own["principalId"]
    for path in (f"/users/{ANNA}/oauth2PermissionGrants", f"/servicePrincipals/{client}/oauth2PermissionGrants"):
        assert own["id"] in [row["id"] for row in (await graph.get(path)).json()["value"]]
    assert (await graph.get("/oauth2PermissionGrants", params={"$filter": "scope lt"})).status_code == 400


@pytest.mark.behaviour(16)
async def test_a_deleted_grant_is_not_shown_and_ends_tokens_after_a_while(entra: Any, graph: httpx.AsyncClient) -> None:
    said = await entra.tokens(ANNA)
    (grant,) = (await graph.get("/oauth2PermissionGrants")).json()["value"]
    assert (await graph.delete(f"/oauth2PermissionGrants/{grant['id']}")).status_code == 204
    assert (await graph.delete(f"/oauth2PermissionGrants/{grant['id']}")).status_code == 404
    assert (await graph.get("/oauth2PermissionGrants")).json()["value"] == []
    assert (await entra.refresh(said["refresh_token"])).status_code == 200
    await until_in_force(entra)
    assert refused(await entra.refresh(said["refresh_token"])) == (400, "invalid_grant", 65001)
    assert (await entra.world.graph(said["access_token"]).get("/me")).status_code == 200
    assert (await entra.app_token()).status_code == 200


@pytest.mark.behaviour(16)
async def test_a_grant_is_created_and_changed(entra: Any, graph: httpx.AsyncClient) -> None:
    await entra.do("policy_set", tenant="contoso.example", revocation_s=0)
    (grant,) = (await graph.get("/oauth2PermissionGrants")).json()["value"]
    body = {name: grant[name] for name in ("clientId", "consentType", "resourceId")}
    assert (await graph.post("/oauth2PermissionGrants", json=body | {"scope": "Mail.Send"})).status_code == 409
    await graph.delete(f"/oauth2PermissionGrants/{grant['id']}")
    made = await graph.post("/oauth2PermissionGrants", json=body | {"scope": "User.Read Mail.Send"})
    assert made.status_code == 201
    assert "code" in await entra.sign_in(ANNA, scope="openid Mail.Send")
    changed = await graph.patch(f"/oauth2PermissionGrants/{grant['id']}", json={"scope": "User.Read"})
    assert changed.status_code == 204
    assert (await graph.get(f"/oauth2PermissionGrants/{grant['id']}")).json()["scope"] == "User.Read"
    for wrong in ({"scope": "x"}, body | {"consentType": "Everybody"}, body | {"principalId": "p"}, body | {"x": 1}):
        assert (await graph.post("/oauth2PermissionGrants", json=wrong)).status_code == 400
    unknown = body | {"clientId": "00000000-0000-4000-8000-000000000000", "scope": "x"}
    assert (await graph.post("/oauth2PermissionGrants", json=unknown)).status_code == 404


@pytest.mark.behaviour(16)
async def test_a_disabled_enterprise_application_is_refused_after_a_while(entra: Any, graph: httpx.AsyncClient) -> None:
    said = await entra.tokens(ANNA)
    key = (await our_principal(entra, graph))["id"]
    path = f"/servicePrincipals/{key}"
    assert (await graph.patch(path, json={"accountEnabled": False})).status_code == 204
    assert (await graph.get(path)).json()["accountEnabled"] is False
    assert (await entra.app_token()).status_code == 200
    await until_in_force(entra)
    assert refused(await entra.app_token()) == (400, "unauthorized_client", 7000112)
    assert refused(await entra.refresh(said["refresh_token"])) == (400, "unauthorized_client", 7000112)
    assert (await graph.patch(path, json={"accountEnabled": True})).status_code == 204
    await until_in_force(entra)
    assert (await entra.app_token()).status_code == 200
    assert (await graph.patch(path, json={"displayName": "x"})).status_code == 400


@pytest.mark.behaviour(16)
async def test_a_deleted_enterprise_application_ends_grants_and_subscriptions(
    entra: Any, graph: httpx.AsyncClient
) -> None:
    said = await entra.tokens(ANNA)
    entra.simulator.store.put("subscriptions", "s1", {"id": "s1", "tenant": CONTOSO})
    key = (await our_principal(entra, graph))["id"]
    assert (await graph.delete(f"/servicePrincipals/{key}")).status_code == 204
    assert (await graph.get(f"/servicePrincipals/{key}")).status_code == 404
    assert (await entra.app_token()).status_code == 200
    assert entra.simulator.store.all("subscriptions")
    await until_in_force(entra)
    assert refused(await entra.app_token()) == (400, "unauthorized_client", 700016)
    assert refused(await entra.refresh(said["refresh_token"])) == (400, "invalid_grant", 65001)
    assert entra.simulator.store.all("subscriptions") == []
    assert (await entra.world.graph(said["access_token"]).get("/me")).status_code == 200
    await entra.admin_consent()
    assert (await entra.app_token()).status_code == 200
    assert (await graph.get(f"/servicePrincipals/{key}")).status_code == 200


@pytest.mark.behaviour(16)
async def test_one_application_permission_is_taken_away(entra: Any, graph: httpx.AsyncClient) -> None:
    key = (await our_principal(entra, graph))["id"]
    path = f"/servicePrincipals/{key}/appRoleAssignments"
    rows = (await graph.get(path)).json()["value"]
    token = (await entra.app_token()).json()["access_token"]
    before = entra.simulator.entra.read(token, "https://graph.microsoft.com")["roles"]
    assert len(rows) == len(before)
    assert (await graph.delete(f"{path}/{rows[0]['id']}")).status_code == 204
    assert (await graph.delete(f"{path}/{rows[0]['id']}")).status_code == 404
    assert len((await graph.get(path)).json()["value"]) == len(rows) - 1
    await until_in_force(entra)
    token = (await entra.app_token()).json()["access_token"]
    assert entra.simulator.entra.read(token, "https://graph.microsoft.com")["roles"] == before[1:]


@pytest.mark.behaviour(16)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/oauth2PermissionGrants"),
        ("POST", "/oauth2PermissionGrants"),
        ("DELETE", "/oauth2PermissionGrants/x"),
        ("PATCH", "/oauth2PermissionGrants/x"),
        ("GET", "/servicePrincipals"),
        ("GET", "/servicePrincipals/x"),
        ("DELETE", "/servicePrincipals/x"),
        ("PATCH", "/servicePrincipals/x"),
        ("GET", "/servicePrincipals/x/appRoleAssignments"),
        ("DELETE", "/servicePrincipals/x/appRoleAssignments/y"),
        ("POST", "/users/anna@contoso.example/revokeSignInSessions"),
    ],
)
async def test_each_of_these_calls_needs_its_permission_and_an_administrator(
    entra: Any, method: str, path: str
) -> None:
    for token in (entra.world.token(ADMIN, "User.Read"), entra.world.token(ANNA, RIGHTS)):
        answer = await entra.world.graph(token).request(method, path, json={} if method in ("POST", "PATCH") else None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    allowed = await entra.world.graph(entra.world.app_token(CONTOSO, RIGHTS)).request(method, path, json={})
    assert allowed.status_code not in (401, 403)


@pytest.mark.behaviour(16)
async def test_a_planned_revocation_outlives_a_restart(entra: Any, graph: httpx.AsyncClient, make_world: Any) -> None:
    said = await entra.tokens(ANNA)
    await graph.post(f"/users/{ANNA}/revokeSignInSessions")
    settings = entra.simulator.settings.model_dump(exclude={"state_dir"})
    again = type(entra)(make_world(**settings, state_dir=entra.simulator.settings.state_dir))
    assert (await again.refresh(said["refresh_token"])).status_code == 200
    await until_in_force(again)
    assert refused(await again.refresh(said["refresh_token"]))[2] == 50173
