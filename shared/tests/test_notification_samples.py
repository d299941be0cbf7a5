"""What Microsoft shows of notifications is understood by the receiver, and decrypts.

A page leaves out or replaces by prose what cannot be printed: secrets, tokens, encrypted data, ids. Those are filled
in; the rest is posted as it stands.
"""

import json
import os
import re
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from m365_simulator.directory import CONTOSO
from m365_simulator.notifying import sealing
from shared.subscriptions.notifications import ChangeNotification, LifecycleNotification, load, state_hash
from shared.subscriptions.rich import NotGenuine
from shared.testing.samples import Sample, samples

TOPICS = ("change notification", "lifecycle notification", "meetingCallEvents notification")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
DOCUMENT = {"id": "opened", "subject": "what was encrypted"}


def items_of(body: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body.get("value", [body])
    return found


def spelt(item: dict[str, Any]) -> str | None:
    """The name under which an item shows encrypted content, if it shows any."""
    return next((name for name, value in item.items() if name.lower() == "encryptedcontent" and value), None)


def prepared(watch: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The page's body, with real secrets, encryption and tokens where it shows prose."""
    filled: dict[str, Any] = json.loads(json.dumps(body))
    for number, item in enumerate(items_of(filled)):
        item["clientState"] = item.get("clientState") or f"the page shows none, {number}"
        if "validationTokens" in filled and not GUID.fullmatch(item.get("tenantId", CONTOSO)):
            item["tenantId"] = CONTOSO
        if name := spelt(item):
            wanted = watch.ring.wanted()
            certificate = sealing.certificate_of(wanted["encryptionCertificate"])
            plain, secret = json.dumps(DOCUMENT).encode(), os.urandom(32)
            shown = item[name] if isinstance(item[name], dict) else {}
            item[name] = shown | sealing.encrypt(certificate, wanted["encryptionCertificateId"], plain, secret)
    if "validationTokens" in filled:
        tenants = sorted({item.get("tenantId", CONTOSO) for item in items_of(filled)})
        app = watch.simulator.settings.client_id
        filled["validationTokens"] = [sealing.validation_token(watch.simulator, app, tenant) for tenant in tenants]
    return filled


async def subscribe(watch: Any, items: list[dict[str, Any]]) -> None:
    """A subscription of ours for each item, whose secret is the item's."""
    for number, item in enumerate(items):
        await watch.rows(
            """INSERT INTO graph_subscription (org_id, user_id, resource, client_state_hash, subscription_id)
               VALUES ('acme', 'anna', :resource, :hash, :id) ON CONFLICT DO NOTHING""",
            resource=f"subscribed-{number}",
            hash=state_hash(item["clientState"]),
            id=f"{item.get('subscriptionId')}-{number}",
        )


@pytest.mark.parametrize("sample", samples(*TOPICS, requests=True))
async def test_a_published_notification_is_stored_and_read_right(watch: Any, sample: Sample) -> None:
    body = prepared(watch, sample.request["body"])
    items = items_of(body)
    await subscribe(watch, items)
    assert (await watch.http.post("/webhooks/graph", content=json.dumps(body))).status_code == 202
    rows = await watch.rows("SELECT id FROM graph_notification ORDER BY id")
    assert len(rows) == len(items)
    kinds = [job.kind for job in await watch.rows("SELECT kind FROM job ORDER BY id")]
    wanted = [LifecycleNotification if "lifecycleEvent" in item else ChangeNotification for item in items]
    assert kinds == [work.kind for work in wanted]
    for row, item in zip(rows, items, strict=True):
        async with watch.service.db.unit_of_work("acme") as work:
            told = await load(work.session, "acme", row.id)
        assert told is not None
        assert told.resource.startswith("subscribed-")
        assert told.lifecycle_event == item.get("lifecycleEvent")
        assert told.body == {name: value for name, value in item.items() if name != "clientState"}
        name = spelt(item)
        assert told.encrypted_content == (item[name] if name else None)
        if name:
            assert watch.ring.open(told.encrypted_content) == DOCUMENT


@pytest.mark.parametrize("sample", samples(*TOPICS, requests=True))
async def test_a_published_notification_with_another_secret_is_not_stored(watch: Any, sample: Sample) -> None:
    body = prepared(watch, sample.request["body"])
    await subscribe(watch, items_of(body))
    for item in items_of(body):
        item["clientState"] += "!"
    assert (await watch.http.post("/webhooks/graph", content=json.dumps(body))).status_code == 202
    assert await watch.rows("SELECT * FROM graph_notification") == []


@pytest.mark.parametrize("sample", samples(*TOPICS, requests=False))
async def test_a_published_document_is_read_right(watch: Any, sample: Sample) -> None:
    document = sample.response.get("body")
    if not isinstance(document, dict):
        return
    if "aud" in document and "tid" in document:
        await check_claims(watch, document)
        return
    wanted = watch.ring.wanted()
    certificate = sealing.certificate_of(wanted["encryptionCertificate"])
    plain = json.dumps(document).encode()
    content = sealing.encrypt(certificate, wanted["encryptionCertificateId"], plain, os.urandom(32))
    assert watch.ring.open(content) == document


async def check_claims(watch: Any, claims: dict[str, Any]) -> None:
    """A token with the page's claims, of today, is believed by the application it is for, and by no other."""
    now = int(time.time())
    token = watch.simulator.entra.sign(claims | {"iat": now, "nbf": now, "exp": now + 600})
    watch.service.settings.client_id = claims["aud"]
    await watch.verifier.check([token], [claims["tid"]])
    with pytest.raises(NotGenuine):
        await watch.verifier.check([token], [CONTOSO])
    watch.service.settings.client_id = CONTOSO
    with pytest.raises(NotGenuine):
        await watch.verifier.check([token], [claims["tid"]])


@pytest.mark.parametrize("sample", samples("notification URL validation", requests=True))
async def test_a_published_validation_request_is_answered(watch: Any, sample: Sample) -> None:
    query = dict(parse_qsl(urlsplit(sample.request["url"]).query))
    answer = await watch.http.request(
        sample.request["method"], "/webhooks/graph", params=query, headers=sample.request["headers"]
    )
    assert (answer.status_code, answer.text) == (200, query["validationToken"])
    assert answer.headers["content-type"].startswith("text/plain")
