"""The addresses of an account are Microsoft's, and told with its state."""

from typing import Any

import pytest

ANNA, ALIAS = "anna@contoso.example", "Anna.Andersson@contoso.example"


async def told(house: Any) -> Any:
    return (await house.published("user.state"))[-1]["addresses"]


async def test_all_addresses_of_the_directory_are_told_in_lower_case(house: Any) -> None:
    await house.microsoft.client.do("user_change", user=ANNA, aliases=[ALIAS])
    await house.connect()
    assert await told(house) == sorted([ANNA, ALIAS.lower()])


async def test_they_are_told_when_microsoft_did_not_say_them_at_the_sign_in(house: Any) -> None:
    await house.microsoft.client.fault("server_error", times=None, match={"path": "*/me"}, retry_after=60)
    await house.connect()
    assert await told(house) == []
    await house.microsoft.client.clear_faults()
    await house.hurry("keep_alive")
    await house.work()
    assert await told(house) == [ANNA]


@pytest.mark.parametrize(("days", "read_again"), [(1, False), (8, True)])
async def test_addresses_that_were_read_long_ago_are_read_again(house: Any, days: int, read_again: bool) -> None:
    await house.connect()
    await house.microsoft.client.do("user_change", user=ANNA, aliases=[ALIAS])
    await house.sql(f"UPDATE connection SET addresses_at = addresses_at - interval '{days} days'")
    await house.hurry("keep_alive")
    await house.work()
    assert (ALIAS.lower() in await told(house)) is read_again


async def test_what_is_the_same_still_is_not_told_again(house: Any) -> None:
    await house.connect()
    before = len(await house.published("user.state"))
    await house.call("POST", "/v1/connection/check")
    assert len(await house.published("user.state")) == before


async def test_another_account_has_no_address_of_the_one_before(house: Any) -> None:
    await house.connect()
    await house.disconnect()
    await house.microsoft.client.fault("server_error", times=None, match={"path": "*/me"}, retry_after=60)
    await house.connect("ben@contoso.example")
    assert await told(house) == []
