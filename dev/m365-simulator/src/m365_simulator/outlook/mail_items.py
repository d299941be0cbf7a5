"""Messages as rows: what Outlook fills in, folders they stand in, and how they are shown."""

import base64
import hashlib

from fastapi import Request

from m365_simulator import changelog
from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.directory import find_user
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from . import attachment_files, bodies, folders, items
from .rules import rule

KIND, FAMILY = "messages", "mailFolders"
RECIPIENTS = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
HIDDEN = ("internetMessageHeaders", "singleValueExtendedProperties", "multiValueExtendedProperties", "uniqueBody")
OWN = ("id", "changeKey", "createdDateTime", "lastModifiedDateTime", "parentFolderId", "attachments", "webLink")
AFTER_SENDING = ("isRead", "categories", "importance", "flag", "inferenceClassification", *HIDDEN[1:3])
KEPT = ("body", "from", "sender")
"""Null leaves them as they are."""


def person(user: Row) -> Row:
    return {"emailAddress": {"name": user["name"], "address": user["address"]}}


def _recipient(simulator: Simulator, given: Row | None) -> Row:
    told = (given or {}).get("emailAddress") or {}
    address = told.get("address") or ""
    known = find_user(simulator.store, address) or {}
    name = told.get("name") or known.get("name") or address
    return {"emailAddress": {"name": name, "address": address}}


def conversation(user: str, thread: str) -> Row:
    """Ids of a thread, as one mailbox has them."""
    digest = hashlib.sha256(f"{user}/{thread}".encode()).digest()
    index = base64.b64encode(b"\x01" + digest[:21]).decode()
    return {"conversationId": f"AAQk{base64.urlsafe_b64encode(digest).decode()}", "conversationIndex": index}


def check_headers(simulator: Simulator, body: Row) -> None:
    """Own headers begin with x-; how many there may be is a rule."""
    headers = body.get("internetMessageHeaders") or []
    for header in headers:
        name = str((header or {}).get("name") or "")
        if not name.lower().startswith("x-"):
            text = f"The internet message header name '{name}' should start with 'x-' or 'X-'."
            raise GraphError(400, "InvalidInternetMessageHeader", text)
    most = rule(simulator, "x_headers")
    if len(headers) > most:
        text = f"Maximum number of headers in one message should be less than or equal to {most}."
        raise GraphError(400, "InvalidInternetMessageHeaderCollection", text)


def filled(simulator: Simulator, user: Row, body: Row) -> Row:
    """A whole message of what was given; raises 400 for headers that are not own ones."""
    check_headers(simulator, body)
    given = {name: value for name, value in body.items() if name not in OWN and value is not None}
    now = stamp(simulator.now())
    people: Row = {name: [_recipient(simulator, one) for one in given.get(name) or []] for name in RECIPIENTS}
    people |= {name: _recipient(simulator, given.pop(name)) for name in ("from", "sender") if given.get(name)}
    content = bodies.kept(given.get("body") or {"contentType": "text", "content": ""})
    host = user["address"].partition("@")[2]
    return {
        "subject": "",
        "importance": "normal",
        "categories": [],
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "inferenceClassification": "focused",
        "flag": {"flagStatus": "notFlagged"},
        "sender": person(user),
        "from": person(user),
        "internetMessageId": f"<{simulator.ids.guid('internet-message')}@{host}>",
        **given,
        **people,
        "body": content,
        "bodyPreview": bodies.preview(content),
        "receivedDateTime": now,
        "sentDateTime": now,
        "isRead": True,
        "isDraft": True,
    }


def stand(simulator: Simulator, user: str, folder: str, body: Row, thread: str, attachments: list[Row]) -> Row:
    """A new message in a folder (well-known name), told."""
    place = folders.folder(simulator, FAMILY, user, folder)
    row = items.made(simulator, KIND, user, place["id"], body | conversation(user, thread))
    row |= {"thread": thread, "attachments": attachments}
    simulator.store.put(f"{KIND}/{user}", row["id"], row)
    changelog.note(simulator, items.collection(row), row["id"])
    tell(simulator, row, "created")
    return row


def draft(simulator: Simulator, user: Row, body: Row, thread: str | None = None) -> Row:
    files = [attachment_files.inline(simulator, one) for one in body.get("attachments") or []]
    made = filled(simulator, user, body)
    return stand(simulator, user["id"], "drafts", made, thread or simulator.ids.guid("thread"), files)


def change(simulator: Simulator, row: Row, body: Row) -> Row:
    given = {name: value for name, value in body.items() if name not in OWN and not (value is None and name in KEPT)}
    given |= {name: [_recipient(simulator, one) for one in given[name] or []] for name in RECIPIENTS if name in given}
    if "internetMessageHeaders" in given:
        given["internetMessageHeaders"] = [*threading(row["body"]), *(given["internetMessageHeaders"] or [])]
    if "body" in given:
        given["body"] = bodies.kept(given["body"])
        given["bodyPreview"] = bodies.preview(given["body"])
    row = items.touched(simulator, row, given)
    changelog.note(simulator, items.collection(row), row["id"])
    tell(simulator, row, "updated")
    return row


def move(simulator: Simulator, row: Row, folder: Row, values: Row | None = None) -> Row:
    tell(simulator, row, "deleted", left=True)
    row["body"] |= values or {}
    row = items.moved(simulator, row, folder["id"], rule(simulator, "moved_reason"))
    tell(simulator, row, "created")
    return row


def threading(body: Row) -> list[Row]:
    """The headers by which mail programs find the thread; nobody sets them through Graph's JSON."""
    headers = body.get("internetMessageHeaders") or []
    return [one for one in headers if one["name"].lower() in ("in-reply-to", "references")]


def answering(original: Row) -> list[Row]:
    """These headers for an answer to a message."""
    known = [one["value"] for one in threading(original) if one["name"].lower() == "references"]
    line = " ".join([*known, original["internetMessageId"]])
    return [{"name": "In-Reply-To", "value": original["internetMessageId"]}, {"name": "References", "value": line}]


def vanish(simulator: Simulator, row: Row) -> None:
    """Out of its folder for good, told."""
    items.gone(simulator, row)
    tell(simulator, row, "deleted", left=True)


def file_again(simulator: Simulator, row: Row, folder: str) -> None:
    """Put a message that had vanished into a folder (well-known name) again, under its immutable id."""
    row["folder"] = folders.folder(simulator, FAMILY, row["user"], folder)["id"]
    row = items.touched(simulator, items.renamed(simulator, row), {})
    changelog.note(simulator, items.collection(row), row["id"])
    tell(simulator, row, "created")


def delete(simulator: Simulator, row: Row) -> None:
    """To Deleted Items first, from there for good."""
    bin_ = folders.well_known(simulator, FAMILY, row["user"], "deleteditems")
    if rule(simulator, "delete_to_bin") and row["folder"] != bin_["id"]:
        move(simulator, row, bin_)
        return
    vanish(simulator, row)


def tell(simulator: Simulator, row: Row, change_type: str, *, left: bool = False) -> None:
    folder = folders.folder(simulator, FAMILY, row["user"], row["folder"])
    data = None if left else visible(body_of(row, row["mutable"]), ())
    items.tell(simulator, row, change_type, folders.names(folder), data)


def shown(request: Request, row: Row) -> Row:
    """With what only $select and $expand bring; ``visible`` takes it away."""
    found = body_of(row, items.shown_id(request, row))
    return found | {"body": bodies.shown(found["body"], as_text=bodies.wants_text(request))}


def body_of(row: Row, key: str) -> Row:
    return {
        "@odata.etag": items.etag(row),
        "id": key,
        "parentFolderId": row["folder"],
        "hasAttachments": any(not one["isInline"] for one in row["attachments"]),
        "webLink": f"https://outlook.office365.com/owa/?ItemID={key}&exvsurl=1&viewmodel=ReadMessageItem",
        **row["body"],
    }


def visible(body: Row, asked: tuple[str, ...]) -> Row:
    return {name: value for name, value in body.items() if name not in HIDDEN or name in asked}


def of_folder(simulator: Simulator, user: str, folder: str | None) -> list[Row]:
    """The newest first."""
    rows = [row for row in simulator.store.all(f"{KIND}/{user}") if folder in (None, row["folder"])]
    return sorted(rows, key=lambda row: str(row["body"]["receivedDateTime"]), reverse=True)
