"""Resource data end to end: subscribed to, sent by the simulated Graph, believed, stored, opened; or hostile."""

import logging
from typing import Any

import jwt
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM
from m365_simulator.notifying.sealing import WRONGS, validation_token
from m365_simulator.verbs import perform
from shared import metrics
from shared.problems import Unavailable
from shared.subscriptions.notifications import load
from shared.subscriptions.rich import NotGenuine, Unopenable, ValidationTokens, new_certificate
from shared.web import issuer_keys

from .conftest import application_token

RESOURCE = "communications/onlineMeetings/getAllRecordings"
SECRET = "the words nobody else may read"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the metric of notifications was given."""
    found: list[tuple[int, str]] = []

    class Counter:
        def add(self, count: int, labels: dict[str, str]) -> None:
            found.append((count, labels["outcome"]))

    monkeypatch.setattr(metrics, "graph_notifications", Counter())
    return found


async def subscribe(watch: Any, resource: str = RESOURCE, **more: Any) -> None:
    await watch.subscriptions.ensure(watch.caller, resource, rich=True, **more)


async def notifications(watch: Any) -> list[Any]:
    found = []
    for row in await watch.rows("SELECT id, org_id FROM graph_notification ORDER BY id"):
        async with watch.service.db.unit_of_work(row.org_id) as work:
            found.append(await load(work.session, row.org_id, row.id))
    return found


@pytest.mark.behaviour(43)
async def test_resource_data_comes_through_and_is_in_no_log(
    watch: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], counted: list[tuple[int, str]]
) -> None:
    caplog.set_level(logging.DEBUG)
    await subscribe(watch)
    key = watch.change(subject=SECRET)
    watch.strike("capital_encrypted_content")
    other = watch.change(subject=SECRET)
    await watch.simulator.settle()
    told = await notifications(watch)
    assert [watch.open(one)["id"] for one in told] == [key, other]
    assert watch.open(told[0])["subject"] == SECRET
    assert counted == [(2, "stored")]
    assert SECRET not in caplog.text + "".join(capsys.readouterr())
    assert SECRET not in str(await watch.rows("SELECT * FROM graph_notification"))


@pytest.mark.behaviour(43)
@pytest.mark.parametrize("wrong", WRONGS)
async def test_one_bad_token_makes_the_whole_batch_hostile(
    watch: Any, wrong: str, counted: list[tuple[int, str]]
) -> None:
    await subscribe(watch)
    watch.strike("bad_validation_token", wrong=wrong)
    watch.change()
    watch.change()
    await watch.simulator.settle()
    log = watch.simulator.store.all("notifications")
    assert [one["attempts"][0]["status"] for one in log] == [202, 202]
    assert await notifications(watch) == []
    assert counted == [(2, "hostile")]
    watch.change()
    await watch.simulator.settle()
    assert len(await notifications(watch)) == 1


@pytest.mark.behaviour(43)
async def test_a_good_token_does_not_cover_another_tenant_or_a_missing_one(watch: Any) -> None:
    await subscribe(watch)
    state = watch.at_graph()[0]["clientState"]
    app = watch.simulator.settings.client_id
    good = validation_token(watch.simulator, app, CONTOSO)
    other = validation_token(watch.simulator, app, FABRIKAM)
    sealed = {"subscriptionId": "s", "clientState": state, "encryptedContent": {"data": "x"}, "resource": "r"}
    ours, theirs = sealed | {"tenantId": CONTOSO}, sealed | {"tenantId": FABRIKAM}
    hostile = [
        {"value": [ours]},
        {"value": [ours], "validationTokens": []},
        {"value": [ours], "validationTokens": [good, other]},
        {"value": [ours, theirs], "validationTokens": [good]},
        {"value": [theirs], "validationTokens": [good]},
        {"value": [ours], "validationTokens": [good, "x"]},
        {"value": [ours], "validationTokens": [good] * 101},
        {"value": [{**ours, "encryptedContent": None}], "validationTokens": ["x"]},
    ]
    for body in hostile:
        answer = await watch.http.post("/webhooks/graph", json=body)
        assert (answer.status_code, answer.content) == (202, b"")
        assert await notifications(watch) == [], body
    good_ones = [
        {"value": [{**ours, "id": "1"}], "validationTokens": [good]},
        {"value": [{**ours, "id": "2"}, {**theirs, "id": "3"}], "validationTokens": [other, good]},
        {"value": [{**sealed, "id": "4"}], "validationTokens": [good]},
    ]
    for body in good_ones:
        assert (await watch.http.post("/webhooks/graph", json=body)).status_code == 202
    assert len(await notifications(watch)) == 4


async def test_tokens_of_both_versions_are_believed_and_no_other_algorithm(watch: Any) -> None:
    verifier = ValidationTokens(watch.service.settings)
    app = watch.simulator.settings.client_id
    for version in (1, 2):
        await verifier.check([validation_token(watch.simulator, app, CONTOSO, version=version)], [CONTOSO.upper()])
        for wrong in ("audience", "expired", "publisher", "issuer", "signature"):
            bad = validation_token(watch.simulator, app, CONTOSO, wrong, version=version)
            with pytest.raises(NotGenuine):
                await verifier.check([bad], [CONTOSO])
    good = validation_token(watch.simulator, app, CONTOSO)
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    forged = [
        jwt.encode(claims, None, "none", {"kid": kid}),
        jwt.encode(claims, "k" * 64, "HS256", {"kid": kid}),
        watch.simulator.entra.sign({**claims, "aud": [app, "another"]}),
        watch.simulator.entra.sign({**claims, "ver": "2.0"}),
        watch.simulator.entra.sign({name: value for name, value in claims.items() if name != "tid"}),
    ]
    for token in forged:
        with pytest.raises(NotGenuine):
            await verifier.check([token], [CONTOSO])


async def test_keys_are_fetched_again_for_an_unknown_one_but_seldom(
    watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = ValidationTokens(watch.service.settings)
    app = watch.simulator.settings.client_id

    def fetches() -> int:
        return int(watch.before.asked.count("/common/discovery/v2.0/keys"))

    for _ in range(3):
        await verifier.check([validation_token(watch.simulator, app, CONTOSO)], [CONTOSO])
    for _ in range(5):
        with pytest.raises(NotGenuine):
            await verifier.check([validation_token(watch.simulator, app, CONTOSO, "unknown_key")], [CONTOSO])
    assert fetches() == 1
    for _ in range(3):
        watch.simulator.entra.rotate()
    monkeypatch.setattr(issuer_keys, "MIN_AGE_S", -1.0)
    await verifier.check([validation_token(watch.simulator, app, CONTOSO)], [CONTOSO])
    assert fetches() == 2


async def test_while_microsofts_keys_cannot_be_had_the_batch_is_to_come_again(
    watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(watch)
    microsoft, watch.verifier.keys.url = watch.verifier.keys.url, "http://127.0.0.1:1"
    watch.change()
    await watch.simulator.settle()
    (log,) = watch.simulator.store.all("notifications")
    assert [one["status"] for one in log["attempts"]] == [503]
    watch.verifier.keys.url = microsoft
    with pytest.raises(Unavailable, match="Send the notifications again"):
        await watch.verifier.check([validation_token(watch.simulator, "app", CONTOSO)], [])
    monkeypatch.setattr(issuer_keys, "RETRY_S", -1.0)
    watch.simulator.advance(60, "service")
    await watch.simulator.settle()
    assert len(await notifications(watch)) == 1


@pytest.mark.behaviour(43)
async def test_tampered_data_is_stored_and_does_not_open(watch: Any) -> None:
    await subscribe(watch)
    watch.strike("tamper_signature")
    watch.change()
    await watch.simulator.settle()
    (told,) = await notifications(watch)
    with pytest.raises(Unopenable, match="signature"):
        watch.open(told)


@pytest.mark.behaviour(43)
async def test_a_new_certificate_reaches_graph_and_the_old_one_still_opens(watch: Any) -> None:
    await subscribe(watch)
    early = watch.change()
    watch.certificates.made += (new_certificate(2048),)
    current = watch.certificates.made[-1][0]
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert (watch.calls("POST"), watch.calls("PATCH")) == (1, 1)
    assert watch.at_graph()[0]["encryptionCertificateId"] == current
    late = watch.change()
    await watch.simulator.settle()
    told = await notifications(watch)
    assert [watch.open(one)["id"] for one in told] == [early, late]
    assert len({one.encrypted_content["encryptionCertificateId"] for one in told}) == 2
    await watch.subscriptions.ensure(watch.caller, RESOURCE)
    assert watch.calls("PATCH") == 1


async def test_call_events_of_one_meeting_are_all_kept(watch: Any) -> None:
    """They name the same resource and often neither an id nor a version."""
    perform(watch.simulator, "application_change", {"roles": ["OnlineMeetings.Read.All"]})
    watch.tokens.values["acme"] = await application_token(watch.simulator.settings)
    await subscribe(watch, "communications/onlineMeetings(joinWebUrl='https%3A%2F%2Fteams%2F1')/meetingCallEvents",
                    change_types="updated")  # fmt: skip
    state = watch.at_graph()[0]["clientState"]
    token = validation_token(watch.simulator, watch.simulator.settings.client_id, CONTOSO)
    item = {"subscriptionId": "s", "clientState": state, "tenantId": CONTOSO, "changeType": "updated", "resource": "r"}
    for data in ("started", "ended", "started"):
        body = {"value": [{**item, "encryptedContent": {"data": data}}], "validationTokens": [token]}
        assert (await watch.http.post("/webhooks/graph", json=body)).status_code == 202
    assert [one.encrypted_content["data"] for one in await notifications(watch)] == ["started", "ended"]


async def test_a_batch_without_tokens_is_hostile_even_with_the_secret(
    watch: Any, counted: list[tuple[int, str]]
) -> None:
    await subscribe(watch)
    row = watch.at_graph()[0]
    item = {"clientState": row["clientState"], "encryptedContent": {"data": "x"}}
    perform(watch.simulator, "notification_forge", {"subscription": row["id"], "item": item})
    await watch.simulator.settle()
    assert counted == [(1, "hostile")]
    assert await notifications(watch) == []
