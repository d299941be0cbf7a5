"""Mail: drafts, sending, delivery, replies, lists and deltas."""

import base64
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

ANNA, BEN, CARL = "anna@contoso.example", "ben@contoso.example", "carl@fabrikam.example"
ALL = "Mail.ReadWrite Mail.Send"
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, ALL))


@pytest.fixture
def ben(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(BEN, ALL))


def to(*addresses: str, **values: Any) -> dict[str, Any]:
    people = [{"emailAddress": {"address": address}} for address in addresses]
    return {"subject": "Lunch?", "body": {"contentType": "Text", "content": "Soup."}, "toRecipients": people, **values}


async def in_folder(client: httpx.AsyncClient, folder: str = "inbox", **params: str) -> list[dict[str, Any]]:
    got = await client.get(f"/me/mailFolders/{folder}/messages", params=params)
    assert got.status_code == 200, got.text
    return got.json()["value"]


@pytest.mark.behaviour(49)
async def test_send_mail_answers_202_without_a_body_and_delivers_after_a_while(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    await world.control.do("outlook_rules", delivery_s=60)
    got = await anna.post("/me/sendMail", json={"message": to(BEN, "else@where.example")})
    assert (got.status_code, got.content) == (202, b"")
    assert await in_folder(ben) == []
    await world.control.advance(61)
    (arrived,) = await in_folder(ben)
    assert (arrived["subject"], arrived["isRead"], arrived["isDraft"]) == ("Lunch?", False, False)
    assert arrived["from"]["emailAddress"] == {"name": "Anna Andersson", "address": ANNA}
    assert arrived["body"]["contentType"] == "text", "as the metadata spells it"
    (kept,) = await in_folder(anna, "sentitems")
    assert kept["internetMessageId"] == arrived["internetMessageId"]
    assert kept["id"] != arrived["id"]


async def test_blind_copies_are_seen_by_the_sender_alone(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    hidden = [{"emailAddress": {"address": BEN}}]
    await anna.post("/me/sendMail", json={"message": to(CARL, bccRecipients=hidden), "saveToSentItems": "true"})
    await world.control.advance(60)
    assert (await in_folder(ben))[0]["bccRecipients"] == []
    assert len((await in_folder(anna, "sentitems"))[0]["bccRecipients"]) == 1


@pytest.mark.behaviour(49)
async def test_a_repeated_send_mail_sends_twice(world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient) -> None:
    await world.control.fault("done_but_reset", match={"path": "/me/sendMail"})
    with pytest.raises(ConnectionResetError):
        await anna.post("/me/sendMail", json={"message": to(BEN), "saveToSentItems": False})
    assert (await anna.post("/me/sendMail", json={"message": to(BEN), "saveToSentItems": False})).status_code == 202
    await world.control.advance(60)
    assert len(await in_folder(ben)) == 2
    assert await in_folder(anna, "sentitems") == []


@pytest.mark.behaviour(49)
async def test_a_draft_is_sent_once_and_found_again_by_its_immutable_id(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    draft = (await anna.post("/me/messages", json=to(BEN), headers=IMMUTABLE)).json()
    assert draft["isDraft"]
    assert draft["internetMessageId"]
    mutable = (await anna.get(f"/me/messages/{draft['id']}")).json()["id"]
    assert (await anna.post(f"/me/messages/{draft['id']}/send")).status_code == 202
    sent = (await anna.get(f"/me/messages/{draft['id']}", headers=IMMUTABLE)).json()
    assert (sent["isDraft"], sent["internetMessageId"]) == (False, draft["internetMessageId"])
    assert (await anna.get(f"/me/messages/{mutable}")).status_code == 404
    assert (await anna.post(f"/me/messages/{draft['id']}/send")).status_code == 400
    await world.control.advance(60)
    assert [row["internetMessageId"] for row in await in_folder(ben)] == [draft["internetMessageId"]]


@pytest.mark.behaviour(49)
async def test_mime_is_sent_and_bad_base64_is_a_400(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    mail = EmailMessage()
    mail["To"], mail["Subject"], mail["X-Prospo"] = f"Ben <{BEN}>", "Grüße", "key-1"
    mail.set_content("Text")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="a.pdf")
    plain = {"Content-Type": "text/plain"}
    good = await anna.post("/me/sendMail", content=base64.b64encode(bytes(mail)), headers=plain)
    assert good.status_code == 202
    bad = await anna.post("/me/sendMail", content=b"To: ben@contoso.example\n\nno", headers=plain)
    assert (bad.status_code, bad.json()["error"]["message"]) == (400, "Invalid base64 string for MIME content.")
    await world.control.advance(60)
    (arrived,) = await in_folder(ben, **{"$expand": "attachments"})
    assert (arrived["subject"], arrived["hasAttachments"]) == ("Grüße", True)
    assert arrived["attachments"][0]["contentBytes"] == base64.b64encode(b"%PDF").decode()
    chosen = await in_folder(ben, **{"$select": "internetMessageHeaders"})
    assert {"name": "X-Prospo", "value": "key-1"} in chosen[0]["internetMessageHeaders"]
    drafted = await anna.post("/me/messages", content=base64.b64encode(bytes(mail)), headers=plain)
    assert (drafted.status_code, drafted.json()["hasAttachments"]) == (201, True)


async def test_own_headers_begin_with_x_and_are_five_at_most(anna: httpx.AsyncClient) -> None:
    def headed(*names: str) -> dict[str, Any]:
        return to(BEN, internetMessageHeaders=[{"name": name, "value": "1"} for name in names])

    assert (await anna.post("/me/messages", json=headed("Received"))).status_code == 400
    assert (await anna.post("/me/messages", json=headed(*(f"x-{n}" for n in range(6))))).status_code == 400
    draft = await anna.post("/me/messages", json=headed(*(f"x-{n}" for n in range(5))))
    assert draft.status_code == 201
    assert "internetMessageHeaders" not in draft.json()


async def test_nobody_to_send_to_and_a_message_over_the_limit_are_refused(world: Any, anna: httpx.AsyncClient) -> None:
    for message in (to(), to("no address")):
        got = await anna.post("/me/sendMail", json={"message": message})
        assert (got.status_code, got.json()["error"]["code"]) == (400, "ErrorInvalidRecipients")
    await world.control.do("outlook_rules", message_bytes=1000)
    large = to(BEN, body={"contentType": "text", "content": "x" * 1001})
    got = await anna.post("/me/sendMail", json={"message": large})
    assert (got.status_code, got.json()["error"]["code"]) == (413, "ErrorMessageSizeExceeded")
    draft = (await anna.post("/me/messages", json=large)).json()["id"]
    assert (await anna.post(f"/me/messages/{draft}/send")).status_code == 413


@pytest.mark.behaviour(49)
async def test_who_has_no_mailbox_cannot_send(world: Any) -> None:
    client = world.graph(world.token("unlicensed@contoso.example", ALL))
    got = await client.post("/me/sendMail", json={"message": to(BEN)})
    assert (got.status_code, got.json()["error"]["code"]) == (404, "MailboxNotEnabledForRESTAPI")


async def test_sending_and_writing_need_permissions_of_their_own(world: Any) -> None:
    writer = world.graph(world.token(ANNA, "Mail.ReadWrite"))
    sender = world.graph(world.token(ANNA, "Mail.Send"))
    assert (await writer.post("/me/sendMail", json={"message": to(BEN)})).status_code == 403
    assert (await sender.post("/me/messages", json=to(BEN))).status_code == 403
    assert (await sender.get("/me/messages")).status_code == 403
    assert (await writer.get(f"/users/{BEN}/messages")).status_code == 403


async def test_replies_and_forwards_stay_in_the_thread_and_quote(
    world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    await anna.post("/me/sendMail", json={"message": to(BEN, CARL)})
    await world.control.advance(60)
    (first,) = await in_folder(ben)
    path = f"/me/messages/{first['id']}"
    reply = await ben.post(f"{path}/createReplyAll", json={"comment": "Yes."})
    assert reply.status_code == 201
    assert reply.json()["subject"] == "RE: Lunch?"
    assert reply.json()["conversationId"] == first["conversationId"]
    assert {one["emailAddress"]["address"] for one in reply.json()["toRecipients"]} == {ANNA, CARL}
    assert reply.json()["body"]["content"].startswith("Yes.")
    assert "Soup." in reply.json()["body"]["content"]
    assert (await ben.post(f"{path}/reply", json={"comment": "Yes."})).status_code == 202
    assert (await ben.post(f"{path}/forward", json={"comment": "See"})).status_code == 400, "to nobody"
    forward = {"comment": "See", "toRecipients": [{"emailAddress": {"address": ANNA}}]}
    assert (await ben.post(f"{path}/forward", json=forward)).status_code == 202
    both = {"comment": "a", "message": {"body": {"contentType": "text", "content": "b"}}}
    assert (await ben.post(f"{path}/reply", json=both)).status_code == 400
    await world.control.advance(60)
    arrived = await in_folder(anna)
    assert {row["subject"] for row in arrived} == {"RE: Lunch?", "FW: Lunch?"}
    (sent,) = await in_folder(anna, "sentitems")
    assert {row["conversationId"] for row in arrived} == {sent["conversationId"]}


async def test_lists_take_published_options_and_refuse_the_rest(world: Any, anna: httpx.AsyncClient) -> None:
    await world.control.do("mail_arrives", user=ANNA, subject="News", count=12, sender="a@b.example")
    await world.control.do("mail_arrives", user=ANNA, subject="Invoice", text="Pay me", sender="c@d.example")
    first = (await anna.get("/me/messages", params={"$select": "subject", "$orderby": "receivedDateTime"})).json()
    assert len(first["value"]) == 10
    assert set(first["value"][0]) == {"@odata.etag", "id", "subject"}
    rest = (await anna.get(first["@odata.nextLink"])).json()["value"]
    assert len(rest) == 3
    one = await in_folder(anna, **{"$filter": "from/emailAddress/address eq 'C@D.example' and isRead eq false"})
    assert [row["subject"] for row in one] == ["Invoice"]
    assert [row["subject"] for row in await in_folder(anna, **{"$search": '"pay"'})] == ["Invoice"]
    assert len(await in_folder(anna, **{"$search": '"from:a@b.example"'})) == 10
    for name, count in {
        "participants:a@b.example": 10,
        "to:anna": 10,
        "cc:anna": 0,
        "recipients:a@b.example": 0,
    }.items():
        assert len(await in_folder(anna, **{"$search": f'"{name}"'})) == count, name
    for bad in (
        {"$search": "pay"},
        {"$search": '"pay"', "$orderby": "subject"},
        {"$filter": "isRead eq false", "$orderby": "subject"},
        {"$filter": "bodyPreview eq 'x'"},
        {"$top": "1001"},
    ):
        assert (await anna.get("/me/messages", params=bad)).status_code == 400, bad


async def test_an_extended_property_can_be_searched_for(anna: httpx.AsyncClient) -> None:
    name = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Key"
    draft = to(BEN, singleValueExtendedProperties=[{"id": name, "value": "k-1"}])
    made = (await anna.post("/me/messages", json=draft)).json()
    wanted = f"singleValueExtendedProperties/any(ep: ep/id eq '{name}' and ep/value eq 'k-1')"
    found = (await anna.get("/me/messages", params={"$filter": wanted})).json()["value"]
    assert [row["id"] for row in found] == [made["id"]]
    assert "singleValueExtendedProperties" not in found[0]
    other = wanted.replace("k-1", "k-2")
    assert (await anna.get("/me/messages", params={"$filter": other})).json()["value"] == []


async def test_a_sent_message_keeps_its_subject_and_a_draft_does_not(world: Any, anna: httpx.AsyncClient) -> None:
    arrived = await world.control.do("mail_arrives", user=ANNA)
    path = f"/me/messages/{arrived['id']}"
    assert (await anna.patch(path, json={"isRead": True})).json()["isRead"]
    assert (await anna.patch(path, json={"subject": "Other"})).status_code == 400
    draft = (await anna.post("/me/messages", json=to(BEN))).json()["id"]
    assert (await anna.patch(f"/me/messages/{draft}", json={"subject": "Other"})).json()["subject"] == "Other"


async def test_folders_count_and_messages_move_copy_and_go_to_the_bin_first(
    world: Any, anna: httpx.AsyncClient
) -> None:
    arrived = await world.control.do("mail_arrives", user=ANNA)
    made = (await anna.post("/me/mailFolders", json={"displayName": "Project"})).json()
    assert (await anna.post("/me/mailFolders", json={"displayName": "project"})).status_code == 409
    path = f"/me/messages/{arrived['id']}"
    copied = await anna.post(f"{path}/copy", json={"destinationId": "archive"})
    moved = await anna.post(f"{path}/move", json={"destinationId": made["id"]})
    assert (copied.status_code, moved.status_code) == (201, 201)
    assert (await anna.get(path)).status_code == 404
    counts = (await anna.get(f"/me/mailFolders/{made['id']}")).json()
    assert (counts["totalItemCount"], counts["unreadItemCount"]) == (1, 1)
    assert (await anna.delete(f"/me/messages/{moved.json()['id']}")).status_code == 204
    (binned,) = await in_folder(anna, "deleteditems")
    assert (await anna.delete(f"/me/messages/{binned['id']}")).status_code == 204
    assert await in_folder(anna, "deleteditems") == []
    assert (await anna.delete("/me/mailFolders/inbox")).status_code == 403


async def test_delta_of_a_folder_takes_one_filter_and_one_order(world: Any, anna: httpx.AsyncClient) -> None:
    path = "/me/mailFolders/inbox/messages/delta"
    await world.control.do("mail_arrives", user=ANNA, subject="Old")
    await world.control.advance(3600)
    since = (world.simulator.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
    await world.control.advance(60)
    await world.control.do("mail_arrives", user=ANNA, subject="New", count=3)
    for bad in ({"$filter": "isRead eq false"}, {"$orderby": "subject"}, {"$filter": "receivedDateTime le 2020-01-01"}):
        assert (await anna.get(path, params=bad)).status_code == 400, bad
    body = (await anna.get(path, params={"$filter": f"receivedDateTime ge {since}"})).json()
    assert {row["subject"] for row in body["value"]} == {"New 1", "New 2", "New 3"}
    ordered = (
        await anna.get(path, params={"$orderby": "receivedDateTime desc"}, headers={"Prefer": "odata.maxpagesize=3"})
    ).json()
    assert "Old" not in [row["subject"] for row in ordered["value"]]
    rest = (await anna.get(ordered["@odata.nextLink"])).json()
    assert [row["subject"] for row in rest["value"]] == ["Old"]
    moved = await world.control.do("mail_move", user=ANNA, message=rest["value"][0]["id"], folder="archive")
    gone = (await anna.get(rest["@odata.deltaLink"])).json()["value"]
    assert [(row["id"], row["@removed"]["reason"]) for row in gone] == [(rest["value"][0]["id"], "changed")]
    assert moved["id"] != gone[0]["id"]


async def test_mail_is_told_for_the_mailbox_and_the_inbox(world: Any) -> None:
    told: list[Any] = []
    world.simulator.changes.listen(told.append)
    await world.control.do("mail_arrives", user=ANNA)
    (change,) = told
    user = change.resource.split("/")[1]
    assert change.change_type == "created"
    assert {f"users/{user}/messages", f"users/{user}/mailFolders('inbox')/messages"} <= set(change.covered_by)


async def test_lost_and_late_mail_can_be_scripted(world: Any, anna: httpx.AsyncClient, ben: httpx.AsyncClient) -> None:
    await world.control.fault("mail_lost", match={"recipient": BEN})
    await world.control.fault("mail_delay", seconds=3600, match={"user": ANNA})
    for _ in range(2):
        await anna.post("/me/sendMail", json={"message": to(BEN)})
    await world.control.advance(600)
    assert await in_folder(ben) == []
    await world.control.advance(3600)
    assert len(await in_folder(ben)) == 1


async def test_delta_can_be_bound_to_one_kind_of_change(world: Any, anna: httpx.AsyncClient) -> None:
    path = "/me/mailFolders/inbox/messages/delta"
    first, second = [await world.control.do("mail_arrives", user=ANNA, subject=word) for word in ("One", "Two")]
    links = {}
    for kind in ("created", "updated", "deleted"):
        body = (await anna.get(path, params={"changeType": kind})).json()
        assert len(body["value"]) == (2 if kind == "created" else 0)
        links[kind] = body["@odata.deltaLink"]
    await world.control.do("mail_read", user=ANNA, message=first["id"])
    await world.control.do("mail_delete", user=ANNA, message=second["id"])
    third = await world.control.do("mail_arrives", user=ANNA, subject="Three")
    told = {kind: [row["id"] for row in (await anna.get(link)).json()["value"]] for kind, link in links.items()}
    assert told == {"created": [third["id"]], "updated": [first["id"]], "deleted": [second["id"]]}
    assert (await anna.get(path, params={"changeType": "moved"})).status_code == 400


@pytest.mark.parametrize(
    "odd",
    [
        {"toRecipients": [None]},
        {"toRecipients": None, "from": {}, "sender": None, "body": None, "subject": None, "importance": None},
        {"ccRecipients": [{"emailAddress": None}], "replyTo": [{}]},
        {"attachments": [None]},
        {"internetMessageHeaders": [None]},
        {"attachments": [{"@odata.type": "#microsoft.graph.fileAttachment", "name": "x", "contentBytes": "A"}]},
        {"flag": None, "categories": None, "body": {}},
    ],
)
async def test_an_odd_message_is_kept_or_refused_and_breaks_nothing(
    anna: httpx.AsyncClient, odd: dict[str, Any]
) -> None:
    made = await anna.post("/me/messages", json=odd)
    assert made.status_code in (201, 400), made.text
    sent = await anna.post("/me/sendMail", json={"message": odd})
    assert sent.status_code == 400
    if made.status_code == 201:
        path = f"/me/messages/{made.json()['id']}"
        assert (await anna.post(f"{path}/createReplyAll", json={"message": odd})).status_code == 201
        assert (await anna.patch(path, json=odd)).status_code == 200
        for wrong in ({"message": "x"}, {"message": [1]}, {"toRecipients": "x"}, []):
            assert (await anna.post(f"{path}/createForward", json=wrong)).status_code in (201, 400)
        assert (await anna.post(f"{path}/send")).status_code == 400
    for wrong in ([], "x", None, {"message": []}):
        assert (await anna.post("/me/sendMail", json=wrong)).status_code == 400


async def test_an_application_reads_any_mailbox_of_its_tenant(world: Any) -> None:
    await world.control.do("mail_arrives", user=ANNA, subject="For all")
    app = world.graph(world.app_token("c0a70500-0000-4000-8000-000000000001", "Mail.Read Contacts.Read"))
    assert [row["subject"] for row in (await app.get(f"/users/{ANNA}/messages")).json()["value"]] == ["For all"]
    assert (await app.get(f"/users/{ANNA}/contacts")).status_code == 200
    assert (await app.get("/me/messages")).status_code == 400


async def test_mail_folders_have_a_delta_of_their_own(anna: httpx.AsyncClient) -> None:
    first = (await anna.get("/me/mailFolders/delta", headers={"Prefer": "odata.maxpagesize=50"})).json()
    assert "Inbox" in [row["displayName"] for row in first["value"]]
    made = (await anna.post("/me/mailFolders/inbox/childFolders", json={"displayName": "Later"})).json()
    await anna.patch(f"/me/mailFolders/{made['id']}", json={"displayName": "Soon"})
    (changed,) = (await anna.get(first["@odata.deltaLink"])).json()["value"]
    assert (changed["id"], changed["displayName"]) == (made["id"], "Soon")


async def test_mail_is_not_sent_as_somebody_else(anna: httpx.AsyncClient) -> None:
    as_ben = to(BEN, **{"from": {"emailAddress": {"address": BEN}}})
    sent = await anna.post("/me/sendMail", json={"message": as_ben})
    draft = (await anna.post("/me/messages", json=as_ben)).json()
    for refused in (sent, await anna.post(f"/me/messages/{draft['id']}/send")):
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ErrorSendAsDenied")
    own = to(BEN, **{"from": {"emailAddress": {"address": ANNA.upper()}}})
    assert (await anna.post("/me/sendMail", json={"message": own})).status_code == 202
