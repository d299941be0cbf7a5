"""Switch and disconnect stop sending at once; what was queued waits and says so, for a day at most."""

from typing import Any

import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


@pytest.mark.parametrize(
    ("stop", "go", "code"),
    [
        ({"tenant": {"on": False}}, {"tenant": {}}, "feature_off"),
        ({"tenant": {"connected": False}}, {"tenant": {}}, "tenant_not_connected"),
        ({"person": {"connected": False}}, {"person": {}}, "account_not_connected"),
        ({"person": {"account": BEN}}, {"person": {}}, "another_account"),
    ],
)
async def test_what_was_queued_waits_says_so_and_goes_on(house: Any, stop: Any, go: Any, code: str) -> None:
    await house.connect()
    mail = await house.send()
    await hear(house, 2, stop)
    await house.work()
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"], mail["may_cancel"]) == ("queued", code, True)
    assert "the mail is then sent by itself" in mail["problem"]["detail"]
    if code != "another_account":
        refused = await house.call("POST", "/v1/mail", **house.asks())
        assert (refused.status_code, refused.json()["code"]) == (409, code)
    assert await house.asked("POST", "/messages") == 0
    await house.pass_time(3600)
    await hear(house, 3, go)
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert len(await house.folder(BEN, "inbox")) == 1


async def hear(house: Any, version: int, what: Any) -> None:
    await house.hear(*(getattr(house, name)(version, **more) for name, more in what.items()))


@pytest.mark.parametrize("comes_back", [True, False])
async def test_after_a_day_a_mail_is_not_sent_unasked(house: Any, comes_back: bool) -> None:
    await house.connect()
    mail = await house.send()
    await house.hear(house.tenant(2, on=False))
    await house.work()
    if comes_back:
        await house.sql("UPDATE outgoing_mail SET queued_at = queued_at - interval '86401 seconds'")
        await house.hear(house.tenant(3))
        await house.work()
    else:
        await house.pass_time(86_402)
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"]) == ("failed", "waited_too_long")
    assert await house.asked("POST", "/messages") == 0
    if comes_back:
        assert (await house.act(mail, "send-again")).status_code == 200
        await house.settle_down()
        assert (await house.mail(mail))["status"] == "seen_in_sent"


async def test_the_switch_stops_a_mail_between_draft_and_send(house: Any) -> None:
    await house.connect()
    mail = await house.send()

    async def switch_off() -> None:
        await house.hear(house.tenant(2, on=False))

    house.wire.during("POST", "/me/messages", switch_off, done=True)
    await house.work()
    house.wire.instead = None
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"]) == ("queued", "feature_off")
    assert await house.asked("POST", "/send") == 0
    await house.hear(house.tenant(3))
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await house.asked("POST", "/me/messages") - await house.asked("POST", "/send") == 1, "the draft was kept"


async def test_a_lost_answer_is_looked_for_after_a_reconnect(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("done_but_reset", match={"path": "*/send"})
    mail = await house.sent()
    await house.hear(house.person(2, connected=False))
    await house.settle_down()
    mail = await house.mail(mail)
    assert (mail["status"], mail["problem"]["code"]) == ("unknown", "account_not_connected")
    await house.hear(house.person(3))
    await house.work()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert len(await house.folder(BEN, "inbox")) == 1


@pytest.mark.parametrize("told", [True, False])
async def test_without_the_permission_the_mail_waits_and_says_who_acts(house: Any, told: bool) -> None:
    """The organisation's consent is told of when an Org Admin connects again, and by the next token otherwise."""
    house.user_auth.tokens["acme", "anna"] = house.token(ANNA, "Contacts.Read")
    await house.connect()
    mail = await house.sent()
    assert (mail["status"], mail["problem"]["code"]) == ("queued", "permission_missing")
    assert "administrator accepts the permissions for everybody" in mail["problem"]["detail"]
    house.user_auth.tokens["acme", "anna"] = house.token(ANNA)
    if told:
        await house.hear(house.person(2))
    else:
        house.service.guest("tokens").forget("acme", "anna")  # as when its hour is over
        await house.pass_time(3601)
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
