"""Continuous access evaluation: who is challenged, how, and what answers the challenge."""

import base64
import json
import re
from typing import Any

import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
CP1 = json.dumps({"access_token": {"xms_cc": {"values": ["cp1"]}}})


def challenge_of(answer: Any) -> dict[str, Any]:
    header = answer.headers["www-authenticate"]
    assert 'error="insufficient_claims"' in header
    assert "authorization_uri=" in header
    found = re.search(r'claims="([^"]+)"', header)
    assert found is not None
    return dict(json.loads(base64.b64decode(found[1])))


def answering(challenge: dict[str, Any]) -> str:
    """As MSAL merges it with the capability."""
    return json.dumps({"access_token": {**challenge["access_token"], "xms_cc": {"values": ["cp1"]}}})


@pytest.mark.behaviour(13)
async def test_a_capable_client_gets_a_long_token_that_says_so(entra: Any) -> None:
    said = await entra.tokens(ANNA, claims=CP1)
    assert 20 * 3600 <= said["expires_in"] <= 28 * 3600
    assert entra.simulator.entra.read(said["access_token"], "https://graph.microsoft.com")["xms_cc"] == ["cp1"]
    plain = await entra.tokens(ANNA)
    assert plain["expires_in"] < 3600
    assert "xms_cc" not in entra.simulator.entra.read(plain["access_token"], "https://graph.microsoft.com")


@pytest.mark.behaviour(13)
async def test_a_revocation_challenges_capable_tokens_only_and_the_answer_passes(entra: Any) -> None:
    capable, plain = await entra.tokens(ANNA, claims=CP1), await entra.tokens(ANNA)
    other = await entra.tokens(BEN, claims=CP1)
    await entra.do("claims_challenge", user=ANNA)
    refused = await entra.world.graph(capable["access_token"]).get("/me")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    challenge = challenge_of(refused)
    assert challenge["access_token"]["nbf"]["essential"] is True
    for spared in (plain, other):
        assert (await entra.world.graph(spared["access_token"]).get("/me")).status_code == 200
    renewed = await entra.refresh(capable["refresh_token"], claims=answering(challenge))
    assert (await entra.world.graph(renewed.json()["access_token"]).get("/me")).status_code == 200


@pytest.mark.behaviour(13)
async def test_a_needed_context_lets_only_a_token_with_the_claims_pass(entra: Any) -> None:
    said = await entra.tokens(ANNA, claims=CP1)
    await entra.do("claims_challenge", user=ANNA, context="c1")
    challenge = challenge_of(await entra.world.graph(said["access_token"]).get("/me"))
    assert challenge["access_token"]["acrs"] == {"essential": True, "value": "c1"}
    without = (await entra.refresh(said["refresh_token"], claims=CP1)).json()
    assert (await entra.world.graph(without["access_token"]).get("/me")).status_code == 401
    answered = (await entra.refresh(said["refresh_token"], claims=answering(challenge))).json()
    assert (await entra.world.graph(answered["access_token"]).get("/me")).status_code == 200
    await entra.do("claims_challenge", user=ANNA, context="")
    assert (await entra.world.graph(without["access_token"]).get("/me")).status_code == 200


@pytest.mark.behaviour(13, 16)
async def test_revocation_and_disabling_reach_capable_tokens_before_expiry(entra: Any) -> None:
    capable = await entra.tokens(ANNA, claims=CP1)
    await entra.do("sessions_revoke", user=ANNA)
    challenge = challenge_of(await entra.world.graph(capable["access_token"]).get("/me"))
    refused = await entra.refresh(capable["refresh_token"], claims=answering(challenge))
    assert refused.json()["error_codes"] == [50173]
    again = await entra.tokens(ANNA, claims=CP1)
    assert (await entra.world.graph(again["access_token"]).get("/me")).status_code == 200
    await entra.do("user_change", user=ANNA, enabled=False)
    assert (await entra.world.graph(again["access_token"]).get("/me")).status_code == 401
    assert (await entra.refresh(again["refresh_token"])).json()["error_codes"] == [50057]
