"""A file out of a browser's form on its way to storage: in pieces, nothing on disk, a few megabytes in memory at most.

The file is the form's last field, so its size follows from the length of the whole form, and storage is told it before
the first byte.
"""

import uuid
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from console.backend import Json, Refused, backend_of
from shared.problems import request_id_of
from shared.web.words import whole_number

PIECE = 4 * 1024 * 1024
_FIELD_MAX = 10_000
_PLAIN = "application/octet-stream"


class Form:
    """A form of ``length`` bytes as it comes: ``fields`` first, then ``name``, ``kind`` and ``size`` of the file."""

    def __init__(self, boundary: bytes, length: int) -> None:
        self._rest = length - len(boundary) - 8  # up to the line break before the closing boundary
        self._fed = 0
        self._header: list[bytes] = []
        self._headers: dict[str, bytes] = {}
        self._field: str | None = None
        self.fields: dict[str, str] = {}
        self.name: str | None = None
        self.kind = _PLAIN
        self.size: int | None = None
        self.bytes = bytearray()
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        callbacks = {f"on_{name}": getattr(self, f"_{name}") for name in (*names, "headers_finished")}
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> None:
        """Raises ``MultipartParseError`` for what is no form."""
        self._parser.write(chunk)
        self._fed += len(chunk)

    def _part_begin(self) -> None:
        self._headers, self._header, self._field = {}, [b"", b""], None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header[0].decode("latin-1").lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"filename" in options and self.name is None:
            self.name = options[b"filename"].decode("utf-8", "replace")
            self.kind = self._headers.get("content-type", b"").decode("latin-1") or _PLAIN
        else:
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            self.fields[self._field] = ""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self.fields[self._field] += data[start:end].decode("utf-8", "replace")[:_FIELD_MAX]
            return
        if self.size is None:
            self.size = self._rest - self._fed - start
        self.bytes += data[start:end]

    def _part_end(self) -> None:
        if self._field is None and self.size is None:
            self.size = 0


async def take(request: Request) -> Json:
    """Store the form's file as the person's. Returns storage's record of it.

    Raises ``Refused``, after the rest of the form was read: a browser shows no answer before that.
    """
    stream = request.stream()
    try:
        return await _take(request, stream)
    except MultipartParseError as error:
        raise _refused(request, "The form is not one that a browser sends.") from error
    finally:
        async for _ in stream:
            pass


async def _take(request: Request, stream: AsyncIterator[bytes]) -> Json:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    length = whole_number(request.headers.get("content-length", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary") or length is None:
        raise _refused(request, "The form is not one that a browser sends.")
    form = Form(options[b"boundary"], length)
    async for chunk in stream:
        form.feed(chunk)
        if form.size is not None:
            break
    if not form.name or form.size is None:
        raise _refused(request, "Choose a file first.")
    backend, key = backend_of(request), form.fields.get("key") or uuid.uuid4().hex
    wanted = {"name": form.name, "content_type": form.kind, "size_bytes": form.size}
    wanted |= {"shared": form.fields.get("shared") == "true"}
    upload = (await backend.call(request, "POST", "/v1/files", json=wanted, headers={"Idempotency-Key": key})).json()
    await _send(request, form, stream, upload)
    done: Json = (await backend.call(request, "POST", f"/v1/files/{upload['id']}/complete", patient=True)).json()
    return done


async def _send(request: Request, form: Form, stream: AsyncIterator[bytes], upload: Json) -> None:
    """What storage does not have yet; a form that was sent twice goes on where the first one ended."""
    at, size, most = 0, upload["size_bytes"], min(PIECE, upload["range_max"])
    path = f"/v1/files/uploads/{upload['id']}"
    while at < size:
        async for chunk in stream:
            form.feed(chunk)
            if len(form.bytes) >= most:
                break
        piece = bytes(form.bytes[:most])
        del form.bytes[:most]
        if not piece:
            raise _refused(request, "The file did not come whole. Send it again.")
        if at + len(piece) > upload["received_bytes"]:
            headers = {"Content-Range": f"bytes {at}-{at + len(piece) - 1}/{size}"}
            await backend_of(request).call(request, "PUT", path, content=piece, headers=headers, patient=True)
        at += len(piece)


def _refused(request: Request, detail: str) -> Refused:
    said = {"title": "Not stored", "detail": detail, "code": "no_file", "request_id": request_id_of(request)}
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, said)
