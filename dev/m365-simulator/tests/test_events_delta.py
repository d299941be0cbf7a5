"""Calendar views and what changed in them."""

from typing import Any

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


async def made(graph: httpx.AsyncClient, subject: str) -> dict[str, Any]:
    times = {
        name: {"dateTime": f"2030-01-01T{hour}:00:00", "timeZone": "UTC"} for name, hour in (("start", 10), ("end", 11))
    }
    answer = await graph.post("/me/events", json={"subject": subject, **times})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(ANNA, "Calendars.ReadWrite"))
    return client


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = world.graph(world.token(BEN, "Calendars.ReadWrite"))
    return client


@pytest.mark.parametrize(
    "params",
    [{}, {"startDateTime": "2030-01-01T00:00:00Z"}, {"startDateTime": "2030-02-01", "endDateTime": "2030-01-01"}],
)
async def test_a_calendar_view_needs_its_window(anna: httpx.AsyncClient, params: dict[str, str]) -> None:
    for path in ("/me/calendarView", "/me/calendarView/delta"):
        assert (await anna.get(path, params=params)).status_code == 400


async def rounds(graph: httpx.AsyncClient, url: str, **more: Any) -> tuple[list[dict[str, Any]], str]:
    """All items of a round and the delta link."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await graph.get(url, **more)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["value"]
        if "@odata.deltaLink" in body:
            return found, body["@odata.deltaLink"]
        url, more = body["@odata.nextLink"], {}


async def test_the_delta_of_a_calendar_view_gives_what_is_new_changed_and_gone(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    first, second = await made(anna, "first"), await made(anna, "second")
    params = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
    headers = {"Prefer": "odata.maxpagesize=1"}
    found, link = await rounds(anna, "/me/calendarView/delta", params=params, headers=headers)
    assert [one["id"] for one in found] == [first["id"], second["id"]]
    assert (await rounds(anna, link))[0] == []
    await anna.patch(f"/me/events/{first['id']}", json={"subject": "third"})
    await anna.delete(f"/me/events/{second['id']}")
    found, link = await rounds(anna, link)
    by_id = {one["id"]: one for one in found}
    assert by_id[first["id"]]["subject"] == "third"
    assert by_id[second["id"]]["@removed"] == {"reason": "deleted"}
    assert (await rounds(anna, link))[0] == []
    assert (await ben.get(link)).status_code == 410
    for bad in ({"$select": "subject"}, {"$filter": "subject eq 'x'"}):
        assert (await anna.get("/me/calendarView/delta", params=params | bad)).status_code == 400


async def test_a_lost_delta_link_is_answered_with_410_and_where_to_start_again(
    world: Any, anna: httpx.AsyncClient
) -> None:
    params = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
    _, link = await rounds(anna, "/me/calendarView/delta", params=params)
    await world.control.fault("calendar_delta_lost")
    lost = await anna.get(link)
    assert (lost.status_code, lost.json()["error"]["code"]) == (410, "syncStateNotFound")
    assert lost.headers["location"].endswith("?$deltatoken=")
    assert (await anna.get(link)).status_code == 200
