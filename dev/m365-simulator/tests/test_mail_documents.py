"""Messages in the shapes that foreign clients send and read: spellings, whole documents, MIME."""

import base64
import email
import email.policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
HTML = {"contentType": "HTML", "content": "Soup &amp; <b>bread</b>?"}
TEXT = {"Prefer": 'outlook.body-content-type="text"'}


@pytest.fixture
def anna(world: Any) -> httpx.AsyncClient:
    return world.graph(world.token(ANNA, "Mail.ReadWrite Mail.Send"))


async def draft(anna: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    to = [{"emailAddress": {"address": BEN}}]
    got = await anna.post("/me/messages", json={"subject": "Lunch", "body": HTML, "toRecipients": to, **more})
    assert got.status_code == 201, got.text
    return got.json()


def is_document(body: dict[str, Any]) -> bool:
    return body["contentType"] == "html" and body["content"].count("<html") == body["content"].count("</body>") == 1


@pytest.mark.parametrize("name", ["destinationId", "DestinationId"])
@pytest.mark.parametrize("action", ["move", "copy"])
async def test_a_message_is_moved_and_copied_however_the_folder_is_named(
    anna: httpx.AsyncClient, name: str, action: str
) -> None:
    message = await draft(anna)
    got = await anna.post(f"/me/messages/{message['id']}/{action}", json={name: "archive"})
    assert got.status_code == 201, got.text
    archived = (await anna.get("/me/mailFolders/archive/messages")).json()["value"]
    assert [one["id"] for one in archived] == [got.json()["id"]]


async def test_html_comes_back_as_a_whole_document(anna: httpx.AsyncClient) -> None:
    message = await draft(anna)
    path = f"/me/messages/{message['id']}"
    assert is_document(message["body"])
    assert "Soup &amp; <b>bread</b>?" in message["body"]["content"]
    assert message["bodyPreview"] == "Soup & bread ?"
    given_back = (await anna.patch(path, json={"body": message["body"]})).json()["body"]
    assert given_back == message["body"], "a document is not put into another"
    changed = (await anna.patch(path, json={"body": {"contentType": "html", "content": "None."}})).json()["body"]
    assert is_document(changed)
    plain = (await draft(anna, body={"contentType": "text", "content": "a < b"}))["body"]
    assert plain == {"contentType": "text", "content": "a < b"}


async def test_a_body_is_shown_as_text_to_whoever_prefers_text(anna: httpx.AsyncClient) -> None:
    message = await draft(anna)
    text = {"contentType": "text", "content": "Soup & bread?"}
    assert (await anna.get(f"/me/messages/{message['id']}", headers=TEXT)).json()["body"] == text
    (listed,) = (await anna.get("/me/mailFolders/drafts/messages", headers=TEXT)).json()["value"]
    assert listed["body"] == text


@pytest.mark.parametrize("action", ["createReply", "createReplyAll", "createForward"])
async def test_an_answer_is_one_document_that_quotes_the_original(anna: httpx.AsyncClient, action: str) -> None:
    message = await draft(anna)
    made = (await anna.post(f"/me/messages/{message['id']}/{action}", json={"comment": "Yes & no"})).json()["body"]
    assert is_document(made)
    below = made["content"].index("divRplyFwdMsg")
    assert made["content"].index("Yes &amp; no") < below < made["content"].index("<b>bread</b>")
    assert "Anna Andersson &lt;anna@contoso.example&gt;" in made["content"]


async def test_a_message_is_read_as_mime_with_its_attachments(anna: httpx.AsyncClient) -> None:
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentType": "text/plain"}
    header = {"name": "x-prospo", "value": "1"}
    bytes_ = {"contentBytes": base64.b64encode(b"hello").decode()}
    message = await draft(anna, attachments=[file | bytes_], internetMessageHeaders=[header])
    got = await anna.get(f"/me/messages/{message['id']}/$value")
    assert (got.status_code, got.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    parsed = email.message_from_bytes(got.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert (parsed["subject"], parsed["to"], parsed["x-prospo"]) == ("Lunch", f"Ben Berg <{BEN}>", "1")
    assert parsed["message-id"] == message["internetMessageId"]
    body = parsed.get_body(("html",))
    assert body is not None
    assert "<b>bread</b>" in body.get_content()
    assert [(one.get_filename(), one.get_content()) for one in parsed.iter_attachments()] == [("a.txt", "hello")]
    again = await anna.post(
        "/me/messages", content=base64.b64encode(got.content), headers={"Content-Type": "text/plain"}
    )
    assert again.json()["subject"] == "Lunch", "what was written can be read"
