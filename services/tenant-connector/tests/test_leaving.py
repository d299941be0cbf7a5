"""A disconnect says to the Org Admin what was removed at Microsoft, what stays, and when all of it is known."""

from datetime import UTC, datetime
from typing import Any

from m365_simulator.directory import CONTOSO
from shared.events import LeftBehind, MeetingApplicationTracesRemoved, UserLeft, UserState

STAYS = LeftBehind(kind="automatic_recording", count=2, code="refused", until=datetime(2030, 1, 1, tzinfo=UTC))


def person(user: str, version: int = 1, *, connected: bool = True) -> UserState:
    about = {"org_id": "acme", "user_id": user, "aggregate_version": version, "tid": "t", "oid": user, "name": user}
    about |= {"email": f"{user}@x.example", "changed_at": datetime.now(UTC), "connected": connected}
    return UserState.model_validate(about | {"status": "connected" if connected else "disconnected"})


def left(user: str, version: int = 3, **more: Any) -> UserLeft:
    about = {"org_id": "acme", "user_id": user, "aggregate_version": version, "ended_in": 2}
    return UserLeft.model_validate(about | {"removed": 3, "left": [], "silent": []} | more)


async def application_left(house: Any, removed: int = 2, *, of_version: int | None = None, **more: Any) -> None:
    """What meetings tells of the last end of the connection, or of another one."""
    version = of_version or (await house.published("tenant.disconnected"))[-1]["aggregate_version"]
    about = {"org_id": "acme", "aggregate_version": version, "removed": removed, "left": []}
    await house.hear(MeetingApplicationTracesRemoved.model_validate(about | more))


async def disconnected(house: Any, *people: str) -> Any:
    await house.connect()
    await house.hear(*map(person, people))
    answer = await house.call("DELETE", "/v1/tenant")
    assert answer.status_code == 200
    return answer.json()


async def leaving(house: Any) -> Any:
    return (await house.tenant())["leaving"]


async def test_it_is_over_when_everybody_who_was_connected_has_left(house: Any) -> None:
    shown = await disconnected(house, "anna", "ben")
    assert (shown["status"], shown["leaving"]["over"], shown["leaving"]["people"]) == ("disconnected", False, 2)
    (fact,) = await house.published("tenant.disconnected")
    states = await house.published("tenant.state")
    assert (states[-1]["connected"], states[-1]["leaving_until"]) == (False, fact["leaving_until"])
    assert datetime.fromisoformat(fact["leaving_until"]) == datetime.fromisoformat(shown["leaving"]["until"])

    await house.hear(left("anna", left=[STAYS]))
    await application_left(house)
    assert await house.published("tenant.left") == []
    await house.hear(left("ben", left=[STAYS]))
    (told,) = await house.published("tenant.left")
    assert (told["people"], told["people_unknown"], told["removed"]) == (2, 0, 8)
    assert [(one["kind"], one["count"], one["code"]) for one in told["left"]] == [("automatic_recording", 4, "refused")]
    now = await leaving(house)
    assert (now["over"], now["removed"], now["left"]) == (True, 8, told["left"])


async def test_at_the_deadline_it_is_over_and_who_has_not_told_is_counted(house: Any) -> None:
    await disconnected(house, "anna", "ben")
    await house.hear(left("anna", silent=["mail"]))
    await house.hurry("end_leaving")
    await house.work()
    (told,) = await house.published("tenant.left")
    assert (told["people"], told["people_unknown"], told["removed"]) == (2, 2, 3)
    assert told["application_unknown"]
    await house.hear(left("ben"), left("anna", version=4, removed=4), left("anna", version=3))
    last = (await house.published("tenant.left"))[-1]
    assert (last["people_unknown"], last["removed"]) == (0, 7)
    await application_left(house, removed=1)
    last = (await house.published("tenant.left"))[-1]
    assert (last["application_unknown"], last["removed"]) == (False, 8)
    assert last["aggregate_version"] > told["aggregate_version"]


async def test_with_nobody_connected_it_is_over_when_the_application_left(house: Any) -> None:
    shown = await disconnected(house)
    assert (shown["leaving"]["over"], shown["leaving"]["people"]) == (False, 0)
    subscription = STAYS.model_copy(update={"kind": "subscription", "count": 1})
    await application_left(house, left=[subscription])
    (told,) = await house.published("tenant.left")
    assert (told["removed"], [one["kind"] for one in told["left"]]) == (2, ["subscription"])
    assert (await leaving(house))["left"] == told["left"]


async def test_what_the_application_left_at_an_earlier_end_is_no_news(house: Any) -> None:
    await disconnected(house)
    first = (await house.published("tenant.disconnected"))[-1]["aggregate_version"]
    await house.connect()
    await house.call("DELETE", "/v1/tenant")
    await application_left(house, of_version=first)
    assert (await leaving(house))["over"] is False
    await application_left(house, removed=0)
    assert ((await leaving(house))["over"], (await leaving(house))["removed"]) == (True, 0)


async def token(house: Any, **more: Any) -> int:
    caller = {"Authorization": f"Bearer {house.bearer_of_service('meetings')}"}
    answer = await house.http.post("/internal/app-token", json={"org_id": "acme"} | more, headers=caller)
    return int(answer.status_code)


async def test_the_applications_token_serves_for_leaving_only_until_it_is_over(house: Any) -> None:
    assert await token(house, leaving=True) == 409
    await house.connect()
    assert (await token(house), await token(house, leaving=True)) == (200, 409), "nothing is left while it is connected"
    await house.call("DELETE", "/v1/tenant")
    assert (await token(house), await token(house, leaving=True)) == (409, 200)
    assert await token(house) == 409, "nothing is kept of it"
    await house.sql("""UPDATE tenant SET leaving = leaving || '{"until": "2020-01-01T00:00:00+00:00"}'""")
    assert await token(house, leaving=True) == 409
    await house.sql("""UPDATE tenant SET leaving = leaving || '{"until": "2099-01-01T00:00:00+00:00"}'""")
    assert await token(house, leaving=True) == 200
    await application_left(house)
    assert await token(house, leaving=True) == 409


async def test_a_tenant_that_microsoft_ended_gives_no_token_to_leave(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    await house.hurry("look_after_tenant")
    await house.work()
    assert await token(house, leaving=True) == 409


async def test_a_person_who_leaves_alone_is_no_leaving_of_the_organisation(house: Any) -> None:
    await house.connect()
    await house.hear(person("anna"), left("anna"))
    assert (await leaving(house), await house.published("tenant.left")) == (None, [])


async def test_a_reconnect_begins_anew(house: Any) -> None:
    await disconnected(house, "anna")
    await house.connect()
    assert await leaving(house) is None
    await house.hear(left("anna"))
    await house.hurry("end_leaving")
    await house.work()
    assert (await leaving(house), await house.published("tenant.left")) == (None, [])


async def test_a_second_disconnect_counts_those_of_its_own(house: Any) -> None:
    await disconnected(house, "anna", "ben")
    await house.hear(left("anna"), left("ben"))
    await application_left(house)
    await house.connect()
    await house.hear(person("ben", 2, connected=False))
    shown = (await house.call("DELETE", "/v1/tenant")).json()
    assert (shown["leaving"]["people"], shown["leaving"]["removed"]) == (1, 0)


async def test_what_microsoft_ended_is_left_without_time_to_remove_anything(house: Any) -> None:
    await house.connect()
    await house.hear(person("anna"))
    await house.microsoft.do("consent_revoke", tenant=CONTOSO)
    await house.hurry("look_after_tenant")
    await house.work()
    (fact,) = await house.published("tenant.disconnected")
    assert (fact["code"], fact["leaving_until"]) == ("unknown_at_microsoft", None)
    assert await leaving(house) is None
