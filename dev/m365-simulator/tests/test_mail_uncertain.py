"""Sending as it is when answers are lost or late: what became of the draft, who got what, what can be searched for."""

from typing import Any

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
ALL = "Mail.ReadWrite Mail.Send"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
KEY = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Key"


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    client = world.graph(world.token(ANNA, ALL))
    client.headers.update(IMMUTABLE)
    return client


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    client = world.graph(world.token(BEN, ALL))
    client.headers.update(IMMUTABLE)
    return client


async def draft(client: httpx.AsyncClient, **values: Any) -> dict[str, Any]:
    people = [{"emailAddress": {"address": BEN}}]
    made = await client.post("/me/messages", json={"subject": "Lunch?", "toRecipients": people, **values})
    assert made.status_code == 201, made.text
    return made.json()


async def sent(client: httpx.AsyncClient, message: dict[str, Any]) -> int:
    return (await client.post(f"/me/messages/{message['id']}/send")).status_code


async def in_folder(client: httpx.AsyncClient, folder: str, **params: str) -> list[dict[str, Any]]:
    return (await client.get(f"/me/mailFolders/{folder}/messages", params=params)).json()["value"]


@pytest.mark.behaviour(59)
@pytest.mark.parametrize("rule", ["same", "new"])
async def test_the_sent_copy_has_the_drafts_id_or_a_new_one(world: Any, anna: httpx.AsyncClient, rule: str) -> None:
    await world.control.do("outlook_rules", sent_id=rule)
    made = await draft(anna)
    assert await sent(anna, made) == 202
    (copy,) = await in_folder(anna, "sentitems")
    assert (copy["id"] == made["id"]) is (rule == "same")
    assert copy["internetMessageId"] == made["internetMessageId"]
    read = await anna.get(f"/me/messages/{made['id']}")
    assert read.status_code == (200 if rule == "same" else 404)


@pytest.mark.behaviour(59)
@pytest.mark.parametrize("rule", ["same", "new"])
async def test_a_drafts_id_may_lead_nowhere_for_a_while_after_sending(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient, rule: str
) -> None:
    await world.control.do("outlook_rules", sent_id=rule, sent_copy_s=90)
    made = await draft(anna)
    link = (await anna.get("/me/mailFolders/sentitems/messages/delta")).json()["@odata.deltaLink"]
    assert await sent(anna, made) == 202
    await world.control.advance(60)
    assert (await anna.get(f"/me/messages/{made['id']}")).status_code == 404
    assert await in_folder(anna, "drafts") == await in_folder(anna, "sentitems") == []
    assert len(await in_folder(ben, "inbox")) == 1, "the recipient has it all the same"
    await world.control.advance(31)
    (copy,) = await in_folder(anna, "sentitems")
    assert ((copy["id"] == made["id"]), copy["isDraft"]) == (rule == "same", False)
    assert [row["id"] for row in (await anna.get(link)).json()["value"]] == [copy["id"]]


@pytest.mark.behaviour(60)
async def test_a_sent_message_may_never_come_to_sent_items(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    await world.control.fault("mail_not_filed", match={"user": ANNA})
    made = await draft(anna)
    assert await sent(anna, made) == 202
    await world.control.advance(3600)
    assert await in_folder(anna, "drafts") == await in_folder(anna, "sentitems") == []
    assert len(await in_folder(ben, "inbox")) == 1


@pytest.mark.behaviour(60)
async def test_a_send_that_answered_504_may_happen_later(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    await world.control.fault("mail_sent_late", seconds=120, match={"user": ANNA})
    made = await draft(anna)
    assert await sent(anna, made) == 504
    await world.control.advance(100)
    assert (await anna.get(f"/me/messages/{made['id']}")).json()["isDraft"]
    assert (await in_folder(anna, "sentitems"), await in_folder(ben, "inbox")) == ([], [])
    await world.control.advance(30)
    assert not (await anna.get(f"/me/messages/{made['id']}")).json()["isDraft"]
    assert [row["internetMessageId"] for row in await in_folder(ben, "inbox")] == [made["internetMessageId"]]


@pytest.mark.behaviour(60)
@pytest.mark.parametrize(("rule", "status", "mails"), [("delivers_again", 202, 2), ("refused", 400, 1)])
async def test_a_second_send_while_the_first_is_under_way_may_deliver_again(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient, rule: str, status: int, mails: int
) -> None:
    await world.control.do("outlook_rules", second_send=rule)
    await world.control.fault("mail_sent_late", seconds=120)
    made = await draft(anna)
    assert await sent(anna, made) == 504
    assert await sent(anna, made) == status
    await world.control.advance(300)
    assert len(await in_folder(ben, "inbox")) == len(await in_folder(anna, "sentitems")) == mails


@pytest.mark.behaviour(61)
async def test_drafts_and_sent_copies_are_found_by_property_and_message_id(anna: httpx.AsyncClient) -> None:
    own = "<own-1@mail.example>"
    made = await draft(anna, singleValueExtendedProperties=[{"id": KEY, "value": "k-1"}], internetMessageId=own)
    assert made["internetMessageId"] == own
    by_key = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY}' and ep/value eq 'k-1')"
    for folder, is_draft in (("drafts", True), ("sentitems", False)):
        for wanted in (by_key, f"internetMessageId eq '{own}'"):
            (found,) = await in_folder(anna, folder, **{"$filter": wanted})
            assert (found["isDraft"], found["internetMessageId"]) == (is_draft, own)
        assert await in_folder(anna, folder, **{"$filter": by_key.replace("k-1", "k-2")}) == []
        expand = {"$expand": f"singleValueExtendedProperties($filter=id eq '{KEY}')"}
        shown = (await anna.get(f"/me/messages/{found['id']}", params=expand)).json()
        assert shown["singleValueExtendedProperties"] == [{"id": KEY, "value": "k-1"}]
        if is_draft:
            assert await sent(anna, made) == 202
    assert await in_folder(anna, "drafts", **{"$filter": by_key}) == []


@pytest.mark.behaviour(62)
@pytest.mark.parametrize("action", ["createReply", "createReplyAll", "reply"])
async def test_an_answer_has_the_headers_of_its_thread(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient, action: str
) -> None:
    first = await draft(anna)
    await sent(anna, first)
    await world.control.advance(60)
    (arrived,) = await in_folder(ben, "inbox")
    answer = await ben.post(f"/me/messages/{arrived['id']}/{action}", json={"comment": "Yes."})
    if action != "reply":
        mine = [{"name": "x-own", "value": "1"}]
        path = f"/me/messages/{answer.json()['id']}"
        assert (await ben.patch(path, json={"internetMessageHeaders": mine})).status_code == 200
        assert await sent(ben, answer.json()) == 202
    await world.control.advance(60)
    (back,) = await in_folder(anna, "inbox", **{"$select": "internetMessageHeaders"})
    headers = {one["name"]: one["value"] for one in back["internetMessageHeaders"]}
    assert headers.pop("x-own", None) == (None if action == "reply" else "1")
    assert headers == {"In-Reply-To": first["internetMessageId"], "References": first["internetMessageId"]}
    again = (await anna.post(f"/me/messages/{back['id']}/createReply")).json()
    assert await sent(anna, again) == 202
    await world.control.advance(60)
    newest = (await in_folder(ben, "inbox", **{"$select": "internetMessageHeaders,internetMessageId"}))[0]
    line = {one["name"]: one["value"] for one in newest["internetMessageHeaders"]}["References"]
    assert line.split()[0] == first["internetMessageId"]
    assert len(line.split()) == 2


@pytest.mark.behaviour(62)
async def test_nobody_sets_the_headers_of_a_thread_by_hand(anna: httpx.AsyncClient) -> None:
    for name in ("In-Reply-To", "References", "Thread-Index"):
        headers = [{"name": name, "value": "<a@b.example>"}]
        refused = await anna.post("/me/messages", json={"subject": "x", "internetMessageHeaders": headers})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidInternetMessageHeader")
