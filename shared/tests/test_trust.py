"""Whose certificate is believed: the public authorities', or the bundle's that is set, and nobody's beside."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from m365_simulator.tls import ensure_certificates
from shared.problems import Unavailable
from shared.settings import ServiceSettings
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.serving import serving
from shared.web.identity import UserTokens


async def test_keys_are_fetched_from_a_server_of_a_known_authority_only(
    make_settings: MakeSettings, platform_keys: PlatformKeys, tmp_path: Path
) -> None:
    certificate, key = ensure_certificates(tmp_path / "issuer")
    ensure_certificates(tmp_path / "another")
    issuer = FastAPI()
    issuer.add_api_route("/jwks", platform_keys.jwks)
    async with serving(issuer, ssl_certfile=certificate, ssl_keyfile=key) as url:

        def tokens(**more: Any) -> UserTokens:
            return UserTokens(make_settings(ServiceSettings, "notes", jwt_jwks_url=f"{url}/jwks", **more))

        for untrusting in (tokens(), tokens(ca_bundle=tmp_path / "another" / "ca.pem")):
            with pytest.raises(Unavailable, match="keys cannot be fetched"):
                await untrusting.verify(platform_keys.token())
        trusting = tokens(ca_bundle=tmp_path / "issuer" / "ca.pem")
        assert (await trusting.verify(platform_keys.token())).user_id == "anna"
