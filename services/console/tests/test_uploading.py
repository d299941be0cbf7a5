"""A file out of a browser's form goes to storage in pieces, whatever its size, and what storage says is shown."""

from typing import Any

import httpx
import pytest

from console.uploading import PIECE
from services.console.tests.harness import Site
from services.console.tests.locations import FILE, FILE_ID
from services.console.tests.state import problem

LISTED = {"/v1/files": {"items": [], "next_cursor": None}}
UPLOAD = f"/v1/files/uploads/{FILE_ID}"


def answers(size: int, received: int = 0, **more: Any) -> dict[str, Any]:
    begun = {"id": FILE_ID, "size_bytes": size, "received_bytes": received, "range_max": PIECE, "state": "coming"}
    done = {f"PUT {UPLOAD}": (202, {}), f"POST /v1/files/{FILE_ID}/complete": FILE}
    return LISTED | {"POST /v1/files": (201, begun)} | done | more


def upload(site: Site, body: bytes, name: str = "Offer 😀.pdf", **fields: str) -> httpx.Response:
    with site.client() as browser:
        files = {"file": (name, body, "application/pdf")}
        return browser.post("/files/upload", data={"key": "k1"} | fields, files=files)


@pytest.mark.parametrize("size", [0, 1, 300_000, PIECE, 2 * PIECE + 5])
def test_a_form_becomes_ranges_of_the_file_it_has(site: Site, size: int) -> None:
    body = bytes(n % 251 for n in range(251)) * (size // 251 + 1)
    body = body[: size - 4] + b"\r\n--" if size > 4 else body[:size]
    site.apis.answers = answers(size)
    before = len(site.apis.calls)
    answer = upload(site, body, shared="true")
    assert (answer.status_code, answer.headers["location"]) == (303, "/files?done=stored")
    calls = [call for call in site.apis.calls[before:] if "/uploads/" in call.path or call.method == "POST"]
    begun, *puts, done = calls
    assert begun.body == {
        "name": "Offer 😀.pdf",
        "content_type": "application/pdf",
        "size_bytes": size,
        "shared": True,
    }
    assert begun.headers["idempotency-key"] == "k1"
    assert b"".join(call.body for call in puts) == body
    assert max([len(call.body) for call in puts], default=0) <= PIECE
    ends = [call.headers["content-range"] for call in puts]
    assert ends[-1:] == ([f"bytes {(len(puts) - 1) * PIECE}-{size - 1}/{size}"] if size else [])
    assert done.path.endswith("/complete")


def test_a_form_that_was_sent_before_goes_on_where_it_ended(site: Site) -> None:
    size = 2 * PIECE
    site.apis.answers = answers(size, received=PIECE)
    before = len(site.apis.calls)
    assert upload(site, b"x" * size).status_code == 303
    puts = [call.headers["content-range"] for call in site.apis.calls[before:] if call.method == "PUT"]
    assert puts == [f"bytes {PIECE}-{size - 1}/{size}"]


def test_a_file_that_storage_does_not_take_is_said_on_the_page(site: Site) -> None:
    refused = problem("quota_reached", "Your organisation's room for files is used up.", 507)
    site.apis.answers = answers(5) | {"POST /v1/files": refused}
    answer = upload(site, b"x" * 3_000_000)
    assert (answer.status_code, "room for files is used up" in answer.text) == (507, True)
    assert "The file was not stored" in answer.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"key=k1", "application/x-www-form-urlencoded"),
        (b"no boundary at all", "multipart/form-data; boundary=b"),
        (b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b--\r\n', "multipart/form-data; boundary=b"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
        (b"", "multipart/form-data"),
    ],
)
def test_what_is_no_form_with_a_file_says_to_choose_one(site: Site, content: bytes, kind: str) -> None:
    site.apis.answers = answers(0)
    before = len(site.apis.sent("PUT"))
    with site.client() as browser:
        answer = browser.post("/files/upload", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, "The file was not stored" in answer.text) == (422, True)
    assert len(site.apis.sent("PUT")) == before


def test_a_form_of_another_site_uploads_nothing(site: Site) -> None:
    site.apis.answers = answers(1)
    before = len(site.apis.calls)
    with site.client(Origin="https://evil.example") as browser:
        answer = browser.post("/files/upload", files={"file": ("a", b"x", "text/plain")})
    assert (answer.status_code, len(site.apis.calls)) == (403, before)
