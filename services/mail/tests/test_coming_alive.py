"""An organisation that was connected before mail could be switched on is followed without anything being told anew."""

from typing import Any

import pytest

from services.mail.tests.post_office import ADA, READS
from shared.events import UserState
from shared.hosting.migrate import migrate
from shared.testing.migrating import back_to

CROWD = 45
"""More than two batches."""


@pytest.mark.parametrize("on", [True, False])
async def test_who_was_connected_before_is_followed_after_the_migration(house: Any, on: bool) -> None:
    settings = house.service.settings
    await house.post.arrives(ADA, "Before")
    house.user_auth.tokens["acme", "anna"] = house.token("anna@contoso.example", READS)
    crowd = [UserState(**(house.person(1).model_dump() | {"user_id": f"one-{n:02}"})) for n in range(CROWD)]
    await house.hear(house.tenant(1, on=on), house.person(1), *crowd)
    await house.sql("DELETE FROM job")  # an earlier version followed nobody
    await back_to("0003", "mail", settings.migration_database_url)
    for _ in range(2):
        await migrate("mail", settings)
    assert [job["kind"] for job in await house.jobs()] == ["follow_everybody"] * on
    house.post.contacts.log.append({"contact_id": "c", "user_id": "anna", "shared": False, "addresses": [ADA]})
    await house.work()
    assert len(await house.jobs("sync_mailbox")) == (CROWD + 1) * on
    assert await house.post.subjects() == [("Before", 1)] * on


async def test_a_consent_without_mail_is_said_and_costs_no_call(house: Any) -> None:
    """As people's tokens tell. Microsoft is not asked for each of them; the next token that has it goes on."""
    post = await house.follow("anna")
    await house.hear(house.person(2).model_copy(update={"mail_permitted": False}))
    await house.work()
    shown = await post.mailbox()
    assert (shown["state"], shown["problem"]["code"]) == ("stopped", "permission_missing")
    assert "administrator accepts the permissions for everybody" in shown["problem"]["detail"]
    assert shown["next_round_at"] is not None
    assert await house.asked() == 0
    await house.microsoft.fault("refused", times=1, status=403, code="ErrorAccessDenied")
    folders = (await house.call("GET", "/v1/mail/mailbox/folders")).json()
    assert folders["code"] == "permission_missing"
    assert "administrator accepts the permissions for everybody" in folders["detail"]
    await post.arrives(ADA, "Before")
    await house.hear(house.person(3).model_copy(update={"mail_permitted": True}))
    await house.work()
    assert ((await post.mailbox())["state"], await post.subjects()) == ("in_step", [("Before", 1)])
