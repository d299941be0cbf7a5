"""Attachments of events, and messages, events and contacts that are attached to something."""

import base64
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
ALL = "Mail.ReadWrite Calendars.ReadWrite"
AT = {"dateTime": "2030-01-01T10:00:00", "timeZone": "UTC"}
SIZE = 3 * 1024 * 1024 + 1
WEEKLY = {
    "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["tuesday"]},
    "range": {"type": "numbered", "startDate": "2030-01-01", "numberOfOccurrences": 2},
}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, ALL))


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(BEN, ALL))


def file(name: str, content: bytes = b"agenda") -> dict[str, Any]:
    given = {"name": name, "contentBytes": base64.b64encode(content).decode()}
    return {"@odata.type": "#microsoft.graph.fileAttachment", **given}


async def event(anna: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    invited = [{"emailAddress": {"address": BEN}}]
    got = await anna.post("/me/events", json={"subject": "Board", "start": AT, "end": AT, "attendees": invited, **more})
    assert got.status_code == 201, got.text
    return got.json()


async def names(client: httpx.AsyncClient, path: str) -> list[str]:
    return [one["name"] for one in (await client.get(f"{path}/attachments")).json()["value"]]


async def invitation(ben: httpx.AsyncClient) -> str:
    (one,) = (await ben.get("/me/events")).json()["value"]
    return f"/me/events/{one['id']}"


async def test_what_the_organizer_attaches_stands_in_every_calendar(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    path = f"/me/events/{(await event(anna))['id']}"
    made = await anna.post(f"{path}/attachments", json=file("agenda.txt"))
    assert (made.status_code, made.json()["size"]) == (201, 6)
    one = f"{path}/attachments/{made.json()['id']}"
    assert (await anna.get(f"{one}/$value")).content == b"agenda"
    assert (await anna.get(path)).json()["hasAttachments"]
    whole = (await anna.get(path, params={"$expand": "attachments"})).json()["attachments"]
    assert [found["name"] for found in whole] == ["agenda.txt"]
    there = await invitation(ben)
    assert (await ben.post(f"{there}/attachments", json=file("mine.txt"))).status_code == 201
    assert await names(ben, there) == ["agenda.txt", "mine.txt"]
    assert await names(anna, path) == ["agenda.txt"]
    assert (await anna.delete(one)).status_code == 204
    assert not (await anna.get(path)).json()["hasAttachments"]
    assert (await anna.get(one)).status_code == 404


async def test_an_occurrence_has_attachments_of_its_own(anna: httpx.AsyncClient) -> None:
    master = f"/me/events/{(await event(anna, recurrence=WEEKLY))['id']}"
    window = {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2030-02-01T00:00:00Z"}
    first, second = (await anna.get(f"{master}/instances", params=window)).json()["value"]
    await anna.post(f"/me/events/{second['id']}/attachments", json=file("minutes.txt"))
    assert await names(anna, f"/me/events/{second['id']}") == ["minutes.txt"]
    assert await names(anna, f"/me/events/{first['id']}") == []


async def test_a_large_file_is_uploaded_to_an_event(world: Any, anna: httpx.AsyncClient) -> None:
    path = f"/me/events/{(await event(anna))['id']}"
    item = {"attachmentType": "file", "name": "film.bin", "size": SIZE}
    session = await anna.post(f"{path}/attachments/createUploadSession", json={"AttachmentItem": item})
    assert session.status_code == 201, session.text
    url = session.json()["uploadUrl"]
    assert "/Events('" in url
    got = await world.http.put(url, content=b"x" * SIZE, headers={"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"})
    assert got.status_code == 201
    (made,) = (await anna.get(f"{path}/attachments", params={"$select": "size,name"})).json()["value"]
    assert (made["name"], made["size"]) == ("film.bin", SIZE)
    assert urlsplit(got.headers["location"]).path.endswith(f"/Attachments('{made['id']}')")
    item["attachmentType"] = "item"
    refused = await anna.post(f"{path}/attachments/createUploadSession", json={"AttachmentItem": item})
    assert refused.status_code == 400, "items come inline"


@pytest.mark.parametrize("to", ["messages", "events"])
async def test_an_item_is_attached_and_shown_only_when_expanded(anna: httpx.AsyncClient, to: str) -> None:
    made = await event(anna) if to == "events" else (await anna.post("/me/messages", json={"subject": "x"})).json()
    path = f"/me/{to}/{made['id']}/attachments"
    message = {"@odata.type": "#microsoft.graph.message", "subject": "Offer", "body": {"content": "It is cheap."}}
    given = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "Offer", "item": message}
    got = await anna.post(path, json=given)
    assert got.status_code == 201, got.text
    one = f"{path}/{got.json()['id']}"
    plain = (await anna.get(one)).json()
    assert (plain["@odata.type"], plain["name"], "item" in plain) == (given["@odata.type"], "Offer", False)
    expanded = (await anna.get(one, params={"$expand": "microsoft.graph.itemattachment/item"})).json()
    assert expanded["item"]["subject"] == "Offer"
    assert b"It is cheap." in (await anna.get(f"{one}/$value")).content


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x"},
        {"name": "x", "item": {"subject": "of no type"}},
        {"name": "x", "item": {"@odata.type": "#microsoft.graph.message", "colour": "red"}},
        {"item": {"@odata.type": "#microsoft.graph.contact"}},
    ],
)
async def test_an_item_that_is_none_is_refused(anna: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    made = (await anna.post("/me/messages", json={"subject": "x"})).json()
    given = {"@odata.type": "#microsoft.graph.itemAttachment", **wrong}
    got = await anna.post(f"/me/messages/{made['id']}/attachments", json=given)
    assert got.status_code == 400, got.text
    assert await names(anna, f"/me/messages/{made['id']}") == []
