"""Bytes of attachments, as files beside the database, shared by all copies of a message."""

import base64
import binascii
import json
import mimetypes
from pathlib import Path

from m365_simulator.clock import stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from .rules import rule

FILE, ITEM = "#microsoft.graph.fileAttachment", "#microsoft.graph.itemAttachment"


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
    """Read an attachment that came whole. Raises 400 without bytes or item, and 413 from the inline limit on."""
    kind = (given or {}).get("@odata.type")
    if given and kind == ITEM:
        return _item(simulator, given)
    if not given or kind != FILE:
        raise GraphError(400, "ErrorInvalidRequest", f"The @odata.type must be {FILE} or {ITEM}.")
    if not given.get("name") or given.get("contentBytes") is None:
        raise GraphError(400, "ErrorInvalidRequest", "A fileAttachment needs name and contentBytes.")
    return stored(simulator, given, decoded(given["contentBytes"]))


def _item(simulator: Simulator, given: Row) -> Row:
    """A message, event or contact; the metadata has checked it by its own @odata.type."""
    item = given.get("item")
    if not given.get("name") or not item or not item.get("@odata.type"):
        raise GraphError(400, "ErrorInvalidRequest", "An itemAttachment needs a name and an item with its @odata.type.")
    size = len(json.dumps(item))
    _check_size(simulator, size)
    return described(simulator, {**given, "contentType": None}, size, "") | {"item": item, "contentType": None}


def _check_size(simulator: Simulator, size: int) -> None:
    if size >= rule(simulator, "inline_bytes"):
        text = "The attachment is too large to come inline; use an upload session."
        raise GraphError(413, "ErrorMessageSizeExceeded", text)


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise GraphError(400, "ErrorInvalidRequest", "contentBytes is not base64.") from error


def stored(simulator: Simulator, given: Row, content: bytes) -> Row:
    _check_size(simulator, len(content))
    file = simulator.ids.text("attachment-file", 24)
    (folder(simulator) / file).write_bytes(content)
    return described(simulator, given, len(content), file)


def content(simulator: Simulator, row: Row) -> bytes:
    found: bytes = (folder(simulator) / str(row["file"])).read_bytes()
    return found


def shown(simulator: Simulator, row: Row, *, whole: bool, item: bool = False) -> Row:
    """``whole`` brings the bytes of a file, ``item`` what an itemAttachment holds."""
    kept = {name: value for name, value in row.items() if name not in ("file", "item")}
    if "item" in row:
        of_files = ("contentId", "contentLocation")
        kept = {name: value for name, value in kept.items() if name not in of_files}
        return {"@odata.type": ITEM, **kept, **({"item": row["item"]} if item else {})}
    more = {"contentBytes": base64.b64encode(content(simulator, row)).decode()} if whole else {}
    return {
        "@odata.type": FILE,
        "@odata.mediaContentType": row["contentType"],
        **kept,
        **more,
    }
