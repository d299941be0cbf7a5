"""The development issuer's tokens for programs: OAuth 2.0 client credentials, in the form and by HTTP Basic."""

from typing import Any

import httpx
import pytest

from m365_simulator.prospo import PROGRAM_SECRET

WHERE = "/prospo-issuer/oauth2/token"
GRANT = {"grant_type": "client_credentials"}
KNOWN = {"client_id": "acme-archive", "client_secret": PROGRAM_SECRET}


async def test_a_program_gets_a_token_that_says_what_it_is(world: Any) -> None:
    by_basic = httpx.BasicAuth("acme-archive", PROGRAM_SECRET)
    for answer in (
        await world.http.post(WHERE, data=GRANT | KNOWN),
        await world.http.post(WHERE, data=GRANT, auth=by_basic),
    ):
        said = answer.raise_for_status().json()
        assert said["token_type"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        claims = world.simulator.prospo.read(said["access_token"], world.simulator.settings.prospo_audience)
        assert (claims["sub"], claims["client_id"], claims["org_id"]) == ("acme-archive", "acme-archive", "acme")
        assert claims["roles"] == ["artefacts.read"]
        assert 0 < said["expires_in"] <= claims["exp"] - claims["iat"]


@pytest.mark.parametrize(
    ("given", "status", "error"),
    [
        (GRANT | KNOWN | {"client_secret": "guessed"}, 401, "invalid_client"),
        (GRANT | KNOWN | {"client_id": "acme-anna"}, 401, "invalid_client"),
        (GRANT, 401, "invalid_client"),
        (KNOWN | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (KNOWN, 400, "unsupported_grant_type"),
    ],
)
async def test_a_wrong_request_for_a_token_is_refused(
    world: Any, given: dict[str, str], status: int, error: str
) -> None:
    answer = await world.http.post(WHERE, data=given)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_credentials_that_are_no_basic_ones_are_refused(world: Any) -> None:
    for value in ("Basic", "Basic !!", "Basic /w==", "Basic Og=="):
        answer = await world.http.post(WHERE, data=GRANT | KNOWN, headers={"Authorization": value})
        assert answer.status_code == 401, value
        assert answer.headers["www-authenticate"].startswith("Basic")
