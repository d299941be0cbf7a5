"""A page of the trip that is loaded again within its ten minutes: nothing that could be kept is lost."""

from typing import Any

import pytest

from m365_simulator.directory import CONTOSO
from shared.entra.aadsts import EntraRetry
from shared.web.issuer_keys import IssuerKeys

ADMIN = "admin@contoso.example"


def once(real: Any, error: Exception, *, after: bool = False) -> Any:
    """Like ``real``, but for the first call: that one breaks, before or after it was done."""
    calls: list[Any] = []

    async def call(*asked: Any) -> Any:
        calls.append(asked)
        if len(calls) > 1:
            return await real(*asked)
        if after:
            await real(*asked)
        raise error

    return call


def no_keys(*_asked: Any) -> None:
    """What comes from Microsoft instead of its signing keys."""
    raise ValueError("This is no list of keys.")


async def test_the_first_page_loaded_again_sends_on_to_a_new_sign_in(house: Any) -> None:
    body = await house.consent()
    first, second = [(await house.complete(body)).json()["sign_in_url"] for _ in range(2)]
    assert first != second
    assert len(await house.rows("consent_attempt")) == 1
    old = await house.back_from(first, body["browser_key"], ADMIN)
    assert (await house.sign_in(old)).json()["code"] == "consent_attempt_unknown"
    new = await house.back_from(second, body["browser_key"], ADMIN)
    assert (await house.sign_in(new)).status_code == 202


async def test_the_last_page_loaded_again_answers_and_claims_nothing_anew(house: Any) -> None:
    back = await house.signed_in(await house.consent())
    assert [(await house.sign_in(back)).json()["status"] for _ in range(2)] == ["proving", "proving"]
    await house.service.runner.drain()
    again = await house.sign_in(back)
    assert (again.status_code, again.json()["status"]) == (202, "connected")
    assert await house.jobs("prove") == []
    assert (await house.trail()).count(("consent.sign_in", "done", None)) == 1


async def test_an_answered_page_answers_no_other_browser_or_person(house: Any) -> None:
    body = await house.consent()
    back = await house.signed_in(body)
    for other in (body | {"browser_key": "another"}, body | {"browser_key": ""}):
        assert (await house.complete(other)).json()["code"] == "consent_attempt_unknown"
    assert (await house.complete(body, user="eve")).json()["code"] == "consent_attempt_unknown"
    assert (await house.sign_in(back)).status_code == 202
    assert (await house.sign_in(back | {"browser_key": "another"})).json()["code"] == "consent_attempt_unknown"
    assert (await house.sign_in(back, user="eve")).json()["code"] == "consent_attempt_unknown"
    assert (await house.tenant())["status"] == "proving"


async def test_a_disconnect_ends_what_could_be_loaded_again(house: Any) -> None:
    back = await house.signed_in(await house.consent())
    await house.sign_in(back)
    await house.call("DELETE", "/v1/tenant")
    assert (await house.sign_in(back)).json()["code"] == "consent_attempt_unknown"


async def test_whoever_came_by_a_link_reads_what_became_of_it_too(house: Any) -> None:
    token = await house.make_link()
    started = (await house.by_link("start", token)).json()
    body = await house.returned(started, ADMIN)
    taken = (await house.by_link("complete", token, **body)).json()
    back = await house.back_from(taken["sign_in_url"], body["browser_key"], ADMIN)
    assert (await house.by_link("sign-in", token, **back)).json() == {"status": "proving"}
    await house.service.runner.drain()
    assert (await house.by_link("sign-in", token, **back)).json() == {"status": "connected"}
    for leg, sent in (("sign-in", body), ("complete", body), ("start", {}), ("open", {})):
        assert (await house.by_link(leg, token, **sent)).status_code == 404, leg


async def test_what_broke_on_our_side_is_given_back(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    consents = house.service.provided["consents"]
    for name in ("_send_on", "_opened_flow"):
        monkeypatch.setattr(consents, name, once(getattr(consents, name), OSError("the database went away")))
    body = await house.consent()
    assert (await house.complete(body)).status_code == 503
    back = await house.signed_in(body)
    assert (await house.sign_in(back)).status_code == 503
    assert (await house.sign_in(back)).status_code == 202


async def test_a_leg_whose_process_died_is_held_for_two_minutes(house: Any) -> None:
    body = await house.consent()
    held = "UPDATE consent_attempt SET taken_until = clock_timestamp() + make_interval(secs => :s)"
    await house.sql(held, s=1.0)
    busy = await house.complete(body)
    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "consent_under_way", "2")
    await house.sql(held, s=-0.01)
    assert (await house.complete(body)).status_code == 202


async def test_the_code_is_not_redeemed_before_the_keys_are_there(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    back = await house.signed_in(await house.consent())
    with monkeypatch.context() as away:
        away.setattr(IssuerKeys, "accept", no_keys)
        busy = await house.sign_in(back)
    assert (busy.status_code, busy.json()["code"]) == (503, "microsoft_busy")
    assert house.asked("/token") == []
    monkeypatch.setattr("shared.web.issuer_keys.RETRY_S", -1.0)
    assert (await house.sign_in(back)).status_code == 202


async def test_a_new_key_not_fetched_after_the_code_was_redeemed_ends_the_trip(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.connect()
    back = await house.signed_in(await house.consent())
    await house.microsoft.do("keys_rotate", announced=False)
    monkeypatch.setattr("shared.web.issuer_keys.MIN_AGE_S", -1.0)
    monkeypatch.setattr(IssuerKeys, "accept", no_keys)
    refused = await house.sign_in(back)
    assert (refused.status_code, refused.json()["code"]) == (409, "sign_in_spent")
    assert "Start again with Connect" in refused.json()["detail"]
    assert (await house.trail())[-1] == ("consent.sign_in", "refused", "sign_in_spent")
    assert (await house.sign_in(back)).json()["code"] == "consent_attempt_unknown"


async def test_a_lost_answer_of_the_token_endpoint_ends_the_trip(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    back = await house.signed_in(await house.consent())
    entra = house.service.provided["entra"]
    real, lost = entra.end_sign_in, [EntraRetry("Microsoft's sign-in cannot be reached (ReadTimeout).")]

    def end_sign_in(*asked: Any) -> Any:
        said = real(*asked)
        if lost:
            raise lost.pop()
        return said

    monkeypatch.setattr(entra, "end_sign_in", end_sign_in)
    assert (await house.sign_in(back)).json()["code"] == "microsoft_busy"
    refused = await house.sign_in(back)
    assert (refused.status_code, refused.json()["code"], refused.json()["aadsts"]) == (409, "sign_in_spent", 54005)
    assert "Start again with Connect" in refused.json()["detail"]
    assert (await house.tenant())["problem"]["code"] == "sign_in_spent"
    assert (await house.connect())["status"] == "connected"


async def test_the_whole_trip_with_a_microsoft_that_is_slow_to_know_the_consent(house: Any) -> None:
    house.service.settings.sign_in_patience_s = 30
    await house.microsoft.do("policy_set", tenant=CONTOSO, consent_unknown_s=60, consent_delay_s=120)
    back = await house.signed_in(await house.consent())
    for _ in range(2):
        answer = await house.sign_in(back)
        assert (answer.status_code, answer.json()["status"]) == (202, "not_connected")
        assert (await house.trail())[-1] == ("consent.sign_in", "refused", "consent_not_in_force")
        back = await house.back_from(answer.json()["sign_in_url"], back["browser_key"], ADMIN)
    await house.microsoft.advance(61, clock="service")
    claimed = (await house.sign_in(back)).json()
    assert (claimed["status"], "sign_in_url" in claimed) == ("proving", False)
    await house.service.runner.drain()
    tenant = await house.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("proving", "permissions_missing")
    await house.microsoft.advance(60, clock="service")
    assert (await house.until("connected"))["problem"] is None


async def test_a_consent_that_microsoft_does_not_know_for_too_long_is_refused(house: Any) -> None:
    house.service.settings.sign_in_patience_s = 30
    await house.microsoft.do("policy_set", tenant=CONTOSO, consent_unknown_s=600)
    token = await house.make_link()
    body = await house.returned((await house.by_link("start", token)).json(), ADMIN)
    for leg in ("complete", "sign-in"):
        answer = await house.by_link(leg, token, **body)
        assert (answer.status_code, set(answer.json())) == (202, {"sign_in_url"})
        body = await house.back_from(answer.json()["sign_in_url"], body["browser_key"], ADMIN)
    await house.sql("UPDATE consent_attempt SET consented_at = consented_at - interval '30 seconds'")
    refused = await house.by_link("sign-in", token, **body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_not_in_force")
    assert (await house.tenant())["problem"]["code"] == "consent_not_in_force"
