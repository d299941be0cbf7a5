"""A file in SharePoint is read to its end, although downloads break off and ranges are not always heeded."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from .office import BODY, SIZE, Office


class _Broken(httpx.AsyncByteStream):
    """The same bytes, but for those after the first ``left``, in whose place the connection is lost."""

    def __init__(self, stream: Any, left: int) -> None:
        self._stream, self._left = stream, left

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece[: self._left]
            self._left -= len(piece)
            if self._left < 0:
                raise httpx.ReadError("lost")

    async def aclose(self) -> None:
        await self._stream.aclose()


class Downloads:
    """Stands on the wire to SharePoint: ``left`` has after how many bytes each of the next downloads breaks off."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._send = http.send
        self.left: list[int] = []
        self.heeds_ranges = True
        self.asked: list[str] = []

    async def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        downloads = "/items/" not in request.url.path and "authorization" not in request.headers
        if downloads:
            self.asked.append(request.headers.get("range", ""))
            if not self.heeds_ranges:
                request.headers.pop("range", None)
        answer = await self._send(request, **more)
        if downloads and self.left:
            answer.stream = _Broken(answer.stream, self.left.pop(0))
        return answer


@pytest.fixture
async def file_id(office: Office) -> str:
    await office.in_use()
    return str((await office.store())["file_id"])


@pytest.fixture
def downloads(office: Office, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    http = office.service.guest("graph").http
    made = Downloads(http)
    monkeypatch.setattr(http, "send", made.send)
    return made


async def test_a_download_that_breaks_off_goes_on_at_the_byte(
    office: Office, file_id: str, downloads: Downloads
) -> None:
    downloads.left = [100_000, 7, 0]
    assert (await office.content(file_id)).content == BODY
    assert downloads.asked == ["", "bytes=100000-", "bytes=100007-", "bytes=100007-"]


async def test_a_range_is_cut_out_of_a_whole_file_that_came_in_its_place(
    office: Office, file_id: str, downloads: Downloads
) -> None:
    downloads.heeds_ranges = False
    for first, last in ((10, 19), (400_000, 400_000), (SIZE - 3, SIZE - 1)):
        part = await office.content(file_id, f"bytes={first}-{last}")
        assert (part.status_code, part.content) == (206, BODY[first : last + 1])
    downloads.left = [300_000]
    assert (await office.content(file_id, "bytes=200000-")).content == BODY[200_000:]
    assert downloads.asked[-2:] == ["bytes=200000-", "bytes=300000-"]


async def test_a_range_ends_where_it_was_asked_to(office: Office, file_id: str, downloads: Downloads) -> None:
    """A download has no end of its own: it goes on to the file's."""
    for first, last in ((0, 0), (0, 99), (350_000, 350_100)):
        part = await office.content(file_id, f"bytes={first}-{last}")
        assert part.content == BODY[first : last + 1]
    assert {one.rpartition("-")[2] for one in downloads.asked} == {""}


async def test_one_that_brings_nothing_is_not_asked_for_ever(
    office: Office, file_id: str, downloads: Downloads
) -> None:
    downloads.left = [0] * 20
    answer = await office.content(file_id)
    assert (answer.status_code, answer.json()["code"]) == (503, "sharepoint_busy")
    assert len(downloads.asked) < 10
