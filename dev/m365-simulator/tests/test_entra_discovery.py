"""Discovery, keys and their rotation, and the question a client of a private host should not ask."""

from typing import Any

import httpx
import jwt
import pytest

from m365_simulator.directory import CONTOSO


async def document(entra: Any, tenant: str) -> Any:
    return (await entra.http.get(f"/{tenant}/v2.0/.well-known/openid-configuration")).json()


@pytest.mark.behaviour(2)
@pytest.mark.parametrize("name", [CONTOSO, "contoso.example"])
async def test_a_tenants_document_names_its_guid_and_https_endpoints(entra: Any, name: str) -> None:
    said = await document(entra, name)
    base = entra.simulator.settings.https_base_url
    assert base.startswith("https://")
    assert said["issuer"] == f"{base}/{CONTOSO}/v2.0"
    assert said["token_endpoint"] == f"{base}/{CONTOSO}/oauth2/v2.0/token"
    assert said["jwks_uri"] == f"{base}/{CONTOSO}/discovery/v2.0/keys"
    assert set(said["response_modes_supported"]) == {"query", "fragment", "form_post"}
    assert "private_key_jwt" in said["token_endpoint_auth_methods_supported"]


@pytest.mark.behaviour(2)
async def test_the_pages_are_named_over_https_where_a_browser_trusts_it(make_world: Any) -> None:
    http = make_world(pages_over_https=True).http
    said = (await http.get(f"/{CONTOSO}/v2.0/.well-known/openid-configuration")).json()
    assert said["authorization_endpoint"].startswith("https://")


@pytest.mark.behaviour(2)
@pytest.mark.parametrize("word", ["organizations", "common"])
async def test_a_word_for_any_tenant_leaves_the_issuer_a_template(entra: Any, word: str) -> None:
    said = await document(entra, word)
    assert said["issuer"].endswith("/{tenantid}/v2.0")
    assert f"/{word}/oauth2/v2.0/" in said["token_endpoint"]


@pytest.mark.behaviour(2)
async def test_an_unknown_tenant_is_a_400(entra: Any) -> None:
    for path in ("v2.0/.well-known/openid-configuration", "discovery/v2.0/keys"):
        answer = await entra.http.get(f"/nobody.example/{path}")
        assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


@pytest.mark.behaviour(2)
async def test_a_tenant_of_another_cloud_is_sent_there(entra: Any) -> None:
    await entra.do("policy_set", tenant="contoso.example", cloud="login.microsoftonline.us")
    said = await document(entra, CONTOSO)
    assert said["error_codes"] == [90038]
    assert "login.microsoftonline.us" in said["error_description"]


async def kids(entra: Any) -> list[str]:
    return [key["kid"] for key in (await entra.http.get(f"/{CONTOSO}/discovery/v2.0/keys")).json()["keys"]]


def signed_with(entra: Any) -> str:
    return str(jwt.get_unverified_header(entra.simulator.entra.sign({}))["kid"])


@pytest.mark.behaviour(3)
async def test_two_keys_are_published_and_the_next_is_known_before_it_signs(entra: Any) -> None:
    before = await kids(entra)
    assert len(before) >= 2
    rotated = await entra.do("keys_rotate")
    assert signed_with(entra) == rotated["kid"]
    assert rotated["kid"] in before


@pytest.mark.behaviour(3)
async def test_an_unannounced_key_is_unknown_to_whoever_kept_the_list(entra: Any) -> None:
    before = await kids(entra)
    rotated = await entra.do("keys_rotate", announced=False)
    assert signed_with(entra) == rotated["kid"]
    assert rotated["kid"] not in before
    assert rotated["kid"] in await kids(entra)


@pytest.mark.behaviour(3)
async def test_a_withdrawn_keys_tokens_no_longer_open_graph(entra: Any) -> None:
    token = entra.world.token("anna@contoso.example", "User.Read")
    graph = entra.world.graph(token)
    assert (await graph.get("/me")).status_code == 200
    await entra.do("keys_rotate")
    assert (await graph.get("/me")).status_code == 200
    fresh = entra.world.graph(entra.world.token("anna@contoso.example", "User.Read"))
    await entra.do("keys_rotate", keep_old=False)
    assert (await fresh.get("/me")).status_code == 401


@pytest.mark.behaviour(4)
async def test_a_client_that_asks_for_instance_discovery_is_answered_and_noticed(entra: Any) -> None:
    own = f"{entra.simulator.settings.https_base_url}/{CONTOSO}/oauth2/v2.0/authorize"
    answer: httpx.Response = await entra.http.get(
        "/common/discovery/instance", params={"api-version": "1.1", "authorization_endpoint": own}
    )
    assert {"tenant_discovery_endpoint", "metadata"} <= set(answer.json())
    (found,) = await entra.world.control.findings()
    assert found["kind"] == "instance_discovery"


@pytest.mark.behaviour(4)
async def test_a_strange_authority_is_an_invalid_instance(entra: Any) -> None:
    strange = {"authorization_endpoint": "https://login.evil.example/x/oauth2/v2.0/authorize"}
    answer = await entra.http.get("/common/discovery/instance", params=strange)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_instance")
