"""Ten megabytes at the receivers of notifications, which anybody reaches: every service refuses them early."""

import json
from collections.abc import AsyncIterator

from sqlalchemy import text

from tests.contracts.conftest import Hosted

RECEIVERS = {"contacts", "mail", "meetings", "recording-ingest"}
NEWS = json.dumps({"value": [{"subscriptionId": "s", "clientState": "x", "resource": "r" * 1000}] * 9_900}).encode()
PIECE = 64 * 1024


async def test_a_notification_of_ten_megabytes_is_refused_early(hosted: Hosted) -> None:
    if hosted.service.name not in RECEIVERS:
        assert (await hosted.http.post("/webhooks/graph", content=b"{}")).status_code == 404
        return
    assert len(NEWS) > 10_000_000
    taken = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal taken
        for at in range(0, len(NEWS), PIECE):
            taken += PIECE
            yield NEWS[at : at + PIECE]

    declared = await hosted.http.post("/webhooks/graph", content=NEWS)
    streamed = await hosted.http.post("/webhooks/graph", content=pieces())
    for answer in (declared, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert taken <= hosted.service.settings.request_body_limit_bytes + 2 * PIECE
    async with hosted.service.db.system_work() as work:
        assert (await work.session.execute(text("SELECT count(*) FROM graph_notification"))).scalar_one() == 0
    assert (await hosted.http.post("/webhooks/graph", json={"value": []})).status_code == 202
