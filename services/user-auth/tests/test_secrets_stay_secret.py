"""Tokens, codes, verifiers, states and browser keys stay out of logs, events, problems and plain columns."""

import json
import logging
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.telemetry import TALKATIVE


async def test_no_secret_of_a_whole_life_is_seen_anywhere(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    for name in TALKATIVE:  # as `set_up_logs` does in a running service
        logging.getLogger(name).setLevel(logging.WARNING)
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        house.short_tokens(200)
        answer = await house.at_microsoft("anna@contoso.example")
        flow_rows = await house.rows("sign_in_attempt")
        for body in (answer, answer, answer | {"state": "another"}):
            seen += [(await house.complete(body)).text]
        refresh = await house.token()
        house.microsoft.door.refuse_with = (503, {})
        await house.token()
        house.microsoft.door.refuse_with = None
        house.microsoft.door.edit = lambda said: said.update(id_token="eyJ.forged.token", expires_in=200)
        seen.append((await house.complete(await house.at_microsoft("anna@contoso.example"))).text)
        await house.microsoft.client.fault("token_invalid_grant")
        seen.append((await house.token()).text)
        seen.append((await house.disconnect()).text)
    assert refresh.status_code == 200
    secrets = house.secrets | house.microsoft.door.secrets - {"eyJ.forged.token"}
    assert len(secrets) >= 10
    browser = house.microsoft.settings.http_base_url  # what the test's browser does is its own affair
    lines = [caplog.handler.format(record) for record in caplog.records]
    seen += [line for line in lines if browser not in line and not line.startswith("DEBUG    httpcore")]
    seen.append(json.dumps(logs, default=str))
    for topic in ("user.connected", "user.connection_expired", "user.disconnected", "user.state"):
        seen.append(json.dumps(await house.published(topic)))
    for table in ("connection", "sign_in_attempt", "audit", "outbox"):
        seen.append(str(await house.rows(table)))
    seen.append(str(flow_rows))
    for secret in secrets:
        found = [text for text in seen if secret in text]
        assert not found, f"{secret[:6]}… is seen in {found[0][:300]!r}"
