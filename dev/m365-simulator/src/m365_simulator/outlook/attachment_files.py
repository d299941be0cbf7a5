"""Bytes of attachments, as files beside the database, shared by all copies of a message."""

import base64
import binascii
import mimetypes
from pathlib import Path

from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from .rules import rule


def folder(simulator: Simulator) -> Path:
    found = simulator.settings.state_dir / "attachments"
    found.mkdir(exist_ok=True)
    return found


def described(simulator: Simulator, given: Row, size: int, file: str) -> Row:
    """What a message keeps of an attachment; ``file`` is the name of the bytes in ``folder``."""
    name = given.get("name") or "attachment"
    return {
        "id": f"AAMkAT{simulator.ids.text('attachment', 58)}",
        "name": name,
        "contentType": given.get("contentType") or mimetypes.guess_type(name)[0] or "application/octet-stream",
        "size": size,
        "isInline": bool(given.get("isInline")),
        "contentId": given.get("contentId"),
        "contentLocation": given.get("contentLocation"),
        "lastModifiedDateTime": stamp(simulator.now()),
        "file": file,
    }


def inline(simulator: Simulator, given: Row | None) -> Row:
    """One that came whole in a request; raises 400 without bytes and 413 from the inline limit on."""
    if not given or given.get("@odata.type") != "#microsoft.graph.fileAttachment":
        raise GraphError(400, "ErrorInvalidRequest", "The @odata.type must be #microsoft.graph.fileAttachment.")
    if not given.get("name") or given.get("contentBytes") is None:
        raise GraphError(400, "ErrorInvalidRequest", "A fileAttachment needs name and contentBytes.")
    return stored(simulator, given, decoded(given["contentBytes"]))


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise GraphError(400, "ErrorInvalidRequest", "contentBytes is not base64.") from error


def stored(simulator: Simulator, given: Row, content: bytes) -> Row:
    if len(content) >= rule(simulator, "inline_bytes"):
        text = "The attachment is too large to come inline; use an upload session."
        raise GraphError(413, "ErrorMessageSizeExceeded", text)
    file = simulator.ids.text("attachment-file", 24)
    (folder(simulator) / file).write_bytes(content)
    return described(simulator, given, len(content), file)


def content(simulator: Simulator, row: Row) -> bytes:
    found: bytes = (folder(simulator) / str(row["file"])).read_bytes()
    return found


def shown(simulator: Simulator, row: Row, *, whole: bool) -> Row:
    kept = {name: value for name, value in row.items() if name != "file"}
    more = {"contentBytes": base64.b64encode(content(simulator, row)).decode()} if whole else {}
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": row["contentType"],
        **kept,
        **more,
    }
