"""Photos of contacts and people, and the translation between the two kinds of Outlook ids."""

import struct

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, json_of

from . import contact_items, items
from .items import CONTACTS, CONTACTS_WRITE, mailbox_route, opened

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
MOST = 4 * 1024 * 1024
SIZES = (48, 64, 96, 120, 240, 360, 432, 504, 648)
IDS_AT_ONCE = 1000
ID_FORMATS = ("restId", "restImmutableEntryId")
UNSUPPORTED = ("entryId", "ewsId", "immutableEntryId")
OF_CONTACT = ("/contacts/{id}/photo", "/contactFolders/{folder}/contacts/{id}/photo")


def _no_photo() -> GraphError:
    return GraphError(404, "ImageNotFound", "Exception of type 'Microsoft.Fast.Profile.Core.Exception.ImageNotFound'.")


def size_of(image: bytes) -> tuple[str, int, int] | None:
    """Media type, width and height of a PNG, GIF or JPEG; None for anything else."""
    if image.startswith(b"\x89PNG\r\n\x1a\n") and len(image) >= 24:
        return ("image/png", *struct.unpack(">II", image[16:24]))
    if image[:6] in (b"GIF87a", b"GIF89a") and len(image) >= 10:
        return ("image/gif", *struct.unpack("<HH", image[6:10]))
    at = 2
    while image.startswith(b"\xff\xd8") and at + 9 <= len(image) and image[at] == 0xFF:
        mark, length = image[at + 1], int.from_bytes(image[at + 2 : at + 4])
        if mark in (0xC0, 0xC1, 0xC2):
            height, width = struct.unpack(">HH", image[at + 5 : at + 9])
            return "image/jpeg", width, height
        at += 2 + length
    return None


def _subject(request: Request, *, write: bool = False) -> tuple[Caller, Row, str]:
    """The owner and the key of the photo: a contact's, or the person's own."""
    if "id" not in request.path_params:
        wanted = "User.ReadWrite User.ReadWrite.All" if write else "User.Read User.Read.All User.ReadBasic.All"
        caller = Caller(request).need(delegated=wanted, role="User.Read.All", place="outlook")
        user = caller.user(request.path_params.get("user"), place="outlook")
        return caller, user, str(user["id"])
    caller, user = opened(request, CONTACTS_WRITE if write else CONTACTS)
    row = items.find(caller.simulator, contact_items.KIND, user["id"], items.part(request))
    if row is None:
        raise items.not_found()
    return caller, user, str(row["id"])


@mailbox_route(router, "GET", "/photo", *OF_CONTACT)
async def metadata(request: Request) -> Response:
    caller, user, key = _subject(request)
    row = caller.store.get("photos", key)
    if row is None:
        raise _no_photo()
    shown = {
        "@odata.mediaContentType": row["type"],
        "@odata.mediaEtag": row["etag"],
        "id": f"{row['width']}X{row['height']}",
        "width": row["width"],
        "height": row["height"],
    }
    return answer(caller.simulator, f"users('{user['id']}')/photo/$entity", shown, kind="graph.profilePhoto")


@mailbox_route(router, "GET", "/photo/$value", *(f"{path}/$value" for path in OF_CONTACT))
async def value(request: Request) -> Response:
    caller, _, key = _subject(request)
    row = caller.store.get("photos", key)
    if row is None:
        raise _no_photo()
    return Response(bytes.fromhex(row["bytes"]), media_type=row["type"], headers={"ETag": row["etag"]})


def _sized(request: Request) -> tuple[Caller, Row, str]:
    """The photo in a size that it is large enough for; its bytes are the same in each."""
    caller, _, key = _subject(request)
    row, size = caller.store.get("photos", key), items.part(request, "size").lower()
    if row is None or size not in [f"{one}x{one}" for one in SIZES if one <= max(row["width"], row["height"])]:
        raise _no_photo()
    return caller, row, size


@mailbox_route(router, "GET", "/photos/{size}")
async def metadata_of_size(request: Request) -> Response:
    caller, row, size = _sized(request)
    side = int(size.partition("x")[0])
    shown = {"@odata.mediaContentType": row["type"], "id": size, "width": side, "height": side}
    return answer(caller.simulator, "photos/$entity", shown, kind="graph.profilePhoto")


@mailbox_route(router, "GET", "/photos/{size}/$value")
async def value_of_size(request: Request) -> Response:
    _, row, _ = _sized(request)
    return Response(bytes.fromhex(row["bytes"]), media_type=row["type"], headers={"ETag": row["etag"]})


@mailbox_route(router, "PUT", "/photo/$value", *(f"{path}/$value" for path in OF_CONTACT))
async def replace(request: Request) -> Response:
    caller, _, key = _subject(request, write=True)
    image = await request.body()
    if len(image) > MOST:
        raise GraphError(413, "ErrorImageTooLarge", "The photo is larger than 4 MB.")
    found = size_of(image)
    if found is None:
        raise GraphError(400, "ErrorInvalidImage", "The body is not an image that is known.")
    kind, width, height = found
    tag = f'"{caller.simulator.ids.text("photo", 8)}"'
    row = {"type": kind, "width": width, "height": height, "etag": tag, "bytes": image.hex()}
    caller.store.put("photos", key, row)
    return Response(status_code=200)


@mailbox_route(router, "POST", "/translateExchangeIds")
async def translate(request: Request) -> Response:
    """restId is the id that changes with a move, restImmutableEntryId the one that stays."""
    permissions = "User.ReadBasic User.Read User.ReadWrite Mail.Read Mail.ReadWrite Contacts.Read Contacts.ReadWrite"
    caller, user = opened(request, permissions)
    body = await json_of(request)
    keys, source, target = _wanted(body)
    found = [_translated(caller, user, key, source, target) for key in keys]
    text = "Collection(microsoft.graph.convertIdResult)"
    return answer(caller.simulator, text, {"value": found}, kind=None)


def _wanted(body: object) -> tuple[list[str], str, str]:
    given = body if isinstance(body, dict) else {}
    keys, formats = given.get("inputIds"), [given.get("sourceIdType"), given.get("targetIdType")]
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise GraphError(400, "ErrorInvalidRequest", "inputIds must be a collection of ids.")
    if len(keys) > IDS_AT_ONCE:
        raise GraphError(400, "ErrorInvalidRequest", f"At most {IDS_AT_ONCE} ids can be translated at once.")
    for name in formats:
        if name not in ID_FORMATS:
            known = "is not simulated" if name in UNSUPPORTED else "is not a valid exchangeIdFormat"
            raise GraphError(400, "ErrorInvalidRequest", f"'{name}' {known}.")
    return keys, str(formats[0]), str(formats[1])


def _translated(caller: Caller, user: Row, key: str, source: str, target: str) -> Row:
    for kind in ("messages", "contacts"):
        row = items.find(caller.simulator, kind, user["id"], key)
        if row is not None and key == row["mutable" if source == "restId" else "id"]:
            return {"sourceId": key, "targetId": row["mutable"] if target == "restId" else row["id"]}
    detail = {"code": "ErrorInvalidId", "message": "The id is malformed or of an item that is not there."}
    return {"sourceId": key, "targetId": None, "errorDetails": detail}
