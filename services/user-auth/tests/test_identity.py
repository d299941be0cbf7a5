"""Who an account is at Microsoft is its directory id, whatever address it has; and how its tokens are asked for."""

from typing import Any

import httpx

from m365_simulator.directory import find_user

ANNA = "anna@contoso.example"


def hand_over_address(house: Any, giver: str, taker: str) -> None:
    """As an administrator does it when somebody leaves: the address belongs to another account now."""
    store = house.microsoft.simulator.store
    left, came = find_user(store, giver), find_user(store, taker)
    store.put("users", left["id"], left | {"address": f"former.{giver}"})
    store.put("users", came["id"], came | {"address": giver})


async def test_two_accounts_with_the_same_address_are_two_identities(house: Any) -> None:
    await house.connect(ANNA)
    hand_over_address(house, ANNA, "ben@contoso.example")
    refused = await house.connect(ANNA)
    assert (refused.status_code, refused.json()["code"]) == (409, "another_account")
    assert (await house.connect(ANNA, user="ben")).status_code == 200
    kept = {row["user_id"]: (row["email"], row["oid"]) for row in await house.rows("connection")}
    assert [email for email, _ in kept.values()] == [ANNA, ANNA]
    assert len({oid for _, oid in kept.values()}) == 2
    for person, (_, oid) in kept.items():
        assert (await house.token(user=person)).json()["oid"] == oid


async def test_a_connection_uses_code_and_refresh_token_and_no_other_grant(house: Any) -> None:
    house.short_tokens(10)
    started = (await house.start()).json()
    asked = httpx.URL(started["authorize_url"]).params
    assert (asked["response_type"], "password" in asked) == ("code", False)
    await house.connect()
    assert (await house.token()).status_code == 200
    await house.call("POST", "/v1/connection/check")
    await house.disconnect()
    assert set(house.microsoft.door.grants) == {"authorization_code", "refresh_token"}
