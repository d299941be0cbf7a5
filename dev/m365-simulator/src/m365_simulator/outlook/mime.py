"""Messages that come as MIME: base64 of an RFC 5322 text."""

import base64
import binascii
import email
import email.message
import email.policy
from email.utils import getaddresses

from m365_simulator.store import Row
from m365_simulator.wire import GraphError


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
