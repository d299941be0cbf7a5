"""Who is free: what is answered of whom, asked of Microsoft as the caller, and kept nowhere."""

from typing import Any

import httpx
import pytest

from shared.testing.serving import NO_TLS

ANNA, BEN, CARL = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example"
PATH = "/v1/meetings/availability"
DAY = {"start": "2030-03-05T00:00:00+01:00", "end": "2030-03-06T00:00:00+01:00", "time_zone": "Europe/Berlin"}
NOT_SEEN = {"visible": False, "blocks": [], "working_hours": None}


async def ask(house: Any, *addresses: str, **more: Any) -> httpx.Response:
    answer: httpx.Response = await house.call("POST", PATH, json={"addresses": list(addresses), **DAY, **more})
    return answer


async def seen(house: Any, *addresses: str, **more: Any) -> list[dict[str, Any]]:
    answer = await ask(house, *addresses, **more)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["people"]
    return found


async def busy(house: Any, hour: int, *, user: str = BEN, **more: Any) -> None:
    """An entry of an hour's length in somebody's calendar, in UTC."""
    hours = {"start": hour, "end": hour + 1}
    times = {name: {"dateTime": f"2030-03-05T{at:02}:00:00", "timeZone": "UTC"} for name, at in hours.items()}
    headers = {"Authorization": f"Bearer {house.accounts[user]['access_token']}"}
    async with httpx.AsyncClient(
        base_url=house.service.settings.graph_base_url, headers=headers, verify=NO_TLS
    ) as graph:
        made = await graph.post("/me/events", json={"subject": "Secret pay talk", **times, **more})
    assert made.status_code == httpx.codes.CREATED, made.text


async def test_a_colleagues_day_is_told_in_the_zone_asked_for_without_words(house: Any) -> None:
    await house.connect()
    await busy(house, 9, attendees=[{"emailAddress": {"address": CARL}}], location={"displayName": "Secret room"})
    await house.microsoft.do("calendar_sharing", user=BEN, level="details")
    await house.microsoft.do("working_hours", user=BEN, days=["tuesday"], zone="W. Europe Standard Time")
    answer = await ask(house, BEN)
    assert answer.json() == {
        "people": [
            {
                "email": BEN,
                "visible": True,
                "code": None,
                "detail": None,
                "blocks": [
                    {"start": "2030-03-05T10:00:00+01:00", "end": "2030-03-05T11:00:00+01:00", "state": "busy"},
                ],
                "working_hours": [{"start": "2030-03-05T08:00:00+01:00", "end": "2030-03-05T17:00:00+01:00"}],
            }
        ]
    }
    for word in ("Secret", CARL, "join", "subject", "location"):
        assert word not in answer.text


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("free", "free"),
        ("tentative", "tentative"),
        ("busy", "busy"),
        ("oof", "out_of_office"),
        ("workingElsewhere", "working_elsewhere"),
        ("unknown", "unknown"),
    ],
)
async def test_each_state_of_an_entry_has_its_word(house: Any, shown: str, state: str) -> None:
    await house.connect()
    await busy(house, 9, user=ANNA, showAs=shown)
    (found,) = await seen(house, ANNA)
    assert [block["state"] for block in found["blocks"]] == [state]


async def test_a_merged_view_alone_tells_when_somebody_is_not_free(house: Any) -> None:
    await house.connect()
    await busy(house, 9)
    await busy(house, 22)
    await house.microsoft.do("calendar_sharing", user=BEN, level="merged")
    (found,) = await seen(house, BEN)
    assert [(block["start"][11:16], block["end"][11:16], block["state"]) for block in found["blocks"]] == [
        ("10:00", "11:00", "busy"),
        ("23:00", "00:00", "busy"),
    ]


async def test_who_is_not_visible_is_told_with_the_reason_and_others_are_seen(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("calendar_sharing", user=BEN, level="none")
    people = await seen(house, BEN, CARL, ANNA)
    assert [(one["email"], one["visible"], one["code"]) for one in people] == [
        (BEN, False, "not_shared"),
        (CARL, False, "unknown_address"),
        (ANNA, True, None),
    ]
    assert people[0] == NOT_SEEN | {
        "email": BEN,
        "code": "not_shared",
        "detail": "Microsoft does not show you this calendar.",
    }


async def test_a_calendar_of_which_microsoft_tells_only_a_part_is_marked(house: Any) -> None:
    await house.connect()
    days = {"type": "numbered", "startDate": "2030-03-05", "numberOfOccurrences": 31}
    for _ in range(33):
        await busy(house, 9, recurrence={"pattern": {"type": "daily", "interval": 1}, "range": days})
    (whole,) = await seen(house, BEN, end="2030-04-05T00:00:00+01:00")
    assert (whole["code"], whole["blocks"]) == ("too_many_entries", [])
    assert len((await seen(house, BEN))[0]["blocks"]) == 33


async def test_an_address_is_asked_for_once_and_in_lower_case(house: Any) -> None:
    await house.connect()
    people = await seen(house, "Ben@Contoso.example", ANNA, BEN)
    assert [(one["email"], one["visible"]) for one in people] == [(BEN, True), (ANNA, True)]


async def connected(house: Any, org: str, user: str, account: str) -> None:
    """Another person, of this or of another organisation, with an account of their own."""
    about = {"org_id": org, "aggregate_version": 1, "tid": "t2"}
    who = {"user_id": user, "oid": house.accounts[account]["oid"], "name": user, "email": account}
    person = house.person(1).model_copy(update=about | who)
    await house.hear(house.tenant(1).model_copy(update=about), person)
    house.user_auth.tokens[(org, user)] = house.accounts[account]


@pytest.mark.parametrize(
    ("org", "user", "account", "sees_ben"),
    [("acme", "anna", ANNA, True), ("acme", "ben", BEN, True), ("globex", "anna", CARL, False)],
)
async def test_microsoft_is_asked_as_the_caller_for_what_they_may_see(
    house: Any, org: str, user: str, account: str, sees_ben: bool
) -> None:
    """People of one organisation, and people of two who have the same id at Prospo."""
    await house.connect()
    await connected(house, org, user, account)
    await busy(house, 9)
    answer = await house.call("POST", PATH, json={"addresses": [BEN], **DAY}, org=org, user=user)
    (found,) = answer.json()["people"]
    assert (found["visible"], bool(found["blocks"])) == (sees_ben, sees_ben)
    (call,) = [one for one in await house.microsoft.calls() if one["path"].endswith("/getSchedule")]
    assert (call["path"], call["app_only"]) == ("/v1.0/me/calendar/getSchedule", False)
    assert call["user"] == house.accounts[account]["oid"]


@pytest.mark.parametrize("stranger", [{"org": "globex", "user": "anna"}, {"org": "acme", "user": "ben"}])
async def test_who_is_not_connected_sees_nobody_by_anothers_connection(house: Any, stranger: dict[str, str]) -> None:
    await house.connect()
    refused = await house.call("POST", PATH, json={"addresses": [BEN], **DAY}, **stranger)
    assert refused.status_code == 409, refused.text
    assert await house.asked("POST", "/getSchedule") == 0


async def test_nothing_of_it_is_stored(house: Any) -> None:
    await house.connect()
    names = [row.tablename for row in await house.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    kept = {name: await house.rows(name) for name in names}
    await busy(house, 9)
    assert (await seen(house, BEN))[0]["blocks"]
    changed = {name for name in names if await house.rows(name) != kept[name]}
    assert changed <= {"rate_limit"}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"addresses": []}, "invalid_request"),
        ({"addresses": [f"p{number}@x.example" for number in range(21)]}, "invalid_request"),
        ({"addresses": ["no address"]}, "invalid_request"),
        ({"addresses": ["a@b\u0000"]}, "invalid_request"),
        ({"addresses": [f"{'a' * 320}@b"]}, "invalid_request"),
        ({"addresses": BEN}, "invalid_request"),
        ({"start": "2030-03-05T00:00:00"}, "invalid_request"),
        ({"start": "9999-03-05T00:00:00Z"}, "invalid_request"),
        ({"time_zone": "Nowhere/Else"}, "invalid_request"),
        ({"time_zone": "../UTC"}, "invalid_request"),
        ({"user": "ben"}, "invalid_request"),
        ({"end": "2030-03-05T00:00:00+01:00"}, "time_too_short"),
        ({"end": "2030-03-04T00:00:00+01:00"}, "time_too_short"),
        ({"end": "2030-03-05T00:04:59+01:00"}, "time_too_short"),
        ({"end": "2030-04-05T00:00:01+01:00"}, "time_too_long"),
    ],
)
async def test_bad_input_is_refused_by_its_field_and_asks_microsoft_nothing(house: Any, more: Any, code: str) -> None:
    await house.connect()
    answer = await ask(house, BEN, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await house.asked("POST", "/getSchedule") == 0


@pytest.mark.parametrize("end", ["2030-03-05T00:05:00+01:00", "2030-03-05T00:20:00+01:00", "2030-04-05T00:00:00+01:00"])
async def test_the_shortest_and_the_longest_time_are_answered(house: Any, end: str) -> None:
    await house.connect()
    assert (await seen(house, BEN, end=end))[0]["visible"]


async def test_what_stands_between_is_named_before_microsoft_is_asked(house: Any) -> None:
    assert (await ask(house, BEN)).json()["code"] == "tenant_not_connected"
    await house.connect()
    await house.hear(house.person(2, connected=False))
    refused = (await ask(house, BEN)).json()
    assert (refused["code"], refused["link"]) == ("account_not_connected", "/integrations")
    assert await house.asked("POST", "/getSchedule") == 0


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [(403, 409, "permission_missing"), (400, 409, "microsoft_refused"), (429, 503, "microsoft_busy")],
)
async def test_what_microsoft_refuses_is_said_with_who_mends_it(
    house: Any, status: int, answered: int, code: str
) -> None:
    await house.connect()
    await house.refuse(status, "*/getSchedule")
    answer = await ask(house, BEN)
    assert (answer.status_code, answer.json()["code"]) == (answered, code)


async def test_a_person_may_look_so_often_an_hour(house: Any) -> None:
    await house.connect()
    house.service.settings.availability_looks_per_hour = 2
    assert [(await ask(house, BEN)).status_code for _ in range(3)] == [200, 200, 429]
