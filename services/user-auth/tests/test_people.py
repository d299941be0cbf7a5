"""Who of the organisation is connected, as an Org Admin reads it."""

from typing import Any

ADMIN: dict[str, Any] = {"user": "ada", "roles": ("org_admin", "user")}


async def people(house: Any, **query: str) -> Any:
    answer = await house.call("GET", "/v1/connection/people", params=query, **ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_org_admin_reads_who_is_connected_expired_or_never_was(house: Any) -> None:
    await house.connect()
    await house.connect("ben@contoso.example", user="ben")
    await house.disconnect(user="ben")
    assert (await house.connection(user="carl"))["status"] == "not_connected"
    said = await people(house)
    assert [(one["user_id"], one["status"], one["email"]) for one in said["items"]] == [
        ("anna", "connected", "anna@contoso.example"),
        ("ben", "disconnected", None),
        ("carl", "never_connected", None),
    ]
    assert said["counts"] == {"connected": 1, "disconnected": 1, "never_connected": 1}
    assert said["next_cursor"] is None


async def test_the_people_come_page_by_page(house: Any) -> None:
    for name in ("a", "b", "c"):
        await house.connection(user=name)
    first = await people(house, limit="2")
    assert [one["user_id"] for one in first["items"]] == ["a", "b"]
    second = await people(house, limit="2", cursor=first["next_cursor"])
    assert ([one["user_id"] for one in second["items"]], second["next_cursor"]) == (["c"], None)


async def test_the_people_of_another_organisation_are_not_among_them(house: Any) -> None:
    await house.connection(user="anna")
    await house.connection(user="carl", org="globex")
    assert [one["user_id"] for one in (await people(house))["items"]] == ["anna"]
    elsewhere = await house.call("GET", "/v1/connection/people", org="globex", **ADMIN)
    assert [one["user_id"] for one in elsewhere.json()["items"]] == ["carl"]


async def test_who_is_no_org_admin_reads_nobody(house: Any) -> None:
    answer = await house.call("GET", "/v1/connection/people", user="anna")
    assert (answer.status_code, answer.json()["code"]) == (403, "org_admin_required")
