"""Messages as MIME (RFC 5322): read from base64, and written out."""

import base64
import binascii
import email
import email.message
import email.policy
from email.utils import format_datetime, formataddr, getaddresses

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from . import attachment_files, bodies


def message_of(body: bytes) -> tuple[Row, list[tuple[Row, bytes]]]:
    """Graph's message of it, and attachments with their bytes; raises the 400 of bad base64."""
    try:
        raw = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        text = "Invalid base64 string for MIME content."
        raise GraphError(400, "ErrorMimeContentInvalidBase64String", text) from error
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    if not isinstance(parsed, email.message.EmailMessage) or not parsed.keys():
        raise GraphError(400, "ErrorMimeContentInvalid", "Invalid MIME content.")
    found: Row = {
        "subject": str(parsed.get("subject", "")),
        "body": _body(parsed),
        "toRecipients": _people(parsed, "to"),
        "ccRecipients": _people(parsed, "cc"),
        "bccRecipients": _people(parsed, "bcc"),
        "replyTo": _people(parsed, "reply-to"),
    }
    own = [{"name": name, "value": str(value)} for name, value in parsed.items() if name.lower().startswith("x-")]
    if own:
        found["internetMessageHeaders"] = own
    if parsed.get("message-id"):
        found["internetMessageId"] = str(parsed["message-id"])
    return found, [_attachment(part) for part in parsed.iter_attachments()]


def _people(parsed: email.message.EmailMessage, header: str) -> list[Row]:
    pairs = getaddresses([str(value) for value in parsed.get_all(header, [])])
    return [{"emailAddress": {"name": name or address, "address": address}} for name, address in pairs if address]


def _body(parsed: email.message.EmailMessage) -> Row:
    part = parsed.get_body(("html", "plain"))
    if part is None:
        return {"contentType": "text", "content": ""}
    kind = "html" if part.get_content_subtype() == "html" else "text"
    return {"contentType": kind, "content": str(part.get_content())}


def _attachment(part: email.message.Message) -> tuple[Row, bytes]:
    content = part.get_payload(decode=True)
    inline = part.get_content_disposition() == "inline"
    described = {
        "name": part.get_filename() or "attachment",
        "contentType": part.get_content_type(),
        "isInline": inline,
        "contentId": str(part.get("content-id", "")).strip("<>") or None,
    }
    return described, content if isinstance(content, bytes) else b""


def text_of(simulator: Simulator, row: Row) -> bytes:
    """A message as it is kept, as MIME."""
    body = row["body"]
    made = email.message.EmailMessage(policy=email.policy.SMTP)
    made["Subject"] = " ".join(str(body.get("subject") or "").split())
    for header, name in (("From", "from"), ("To", "toRecipients"), ("Cc", "ccRecipients")):
        people = body.get(name) or []
        if people:
            made[header] = ", ".join(_address(one) for one in (people if isinstance(people, list) else [people]))
    if body.get("internetMessageId"):
        made["Message-ID"] = body["internetMessageId"]
    if body.get("sentDateTime"):
        made["Date"] = format_datetime(moment_of(body["sentDateTime"]))
    for header in body.get("internetMessageHeaders") or []:
        made[header["name"]] = " ".join(str(header["value"]).split())
    content = body.get("body") or {}
    made.set_content(content.get("content") or "", subtype="html" if bodies.is_html(content) else "plain")
    for one in row.get("attachments") or []:
        _attach(simulator, made, one)
    return made.as_bytes()


def _address(given: Row) -> str:
    told = given["emailAddress"]
    return formataddr((" ".join(str(told.get("name") or "").split()), told.get("address") or ""))


def _attach(simulator: Simulator, made: email.message.EmailMessage, one: Row) -> None:
    main, _, sub = str(one.get("contentType") or "application/octet-stream").partition("/")
    more = {"disposition": "inline" if one["isInline"] else "attachment", "filename": one["name"]}
    if "item" not in one:
        content = attachment_files.content(simulator, one)
        made.add_attachment(content, maintype=main, subtype=sub.partition(";")[0] or "octet-stream", **more)
