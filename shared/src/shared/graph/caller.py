"""Microsoft Graph as one person, or as the application in one organisation's tenant."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from shared.database.work import Priority
from shared.graph.batch import (
    SIZE,
    BatchAnswer,
    BatchRequest,
    again,
    read_answers,
    refused,
    unanswered,
    unsent,
)
from shared.graph.bounded import TOO_LARGE
from shared.graph.download import Download, start_download
from shared.graph.errors import GraphDeltaGone, GraphError, GraphGiveUp, GraphNotFound, GraphRetry, GraphTooLarge
from shared.graph.limits import Scope
from shared.graph.paths import is_outlook, service
from shared.graph.transport import PATIENCE_S, TRIES, Call, Transport, read_json, request_id
from shared.graph.upload import Upload, Uploads, UploadSession, read_session

CONTENT_BYTES = 4 * 1024 * 1024
"""Most bytes of one request; more goes through an upload session, which can be resumed."""
SMALLER = 8
"""A page that was too long to be read is asked for again with so many times fewer items."""


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page of changes; the last has ``delta_link``.

    ``full``: the pass lists everything, so what it never names is gone. ``first``: a pass begins here; with a second
    one, forget which items the earlier one named.
    """

    items: list[dict[str, Any]]
    full: bool
    first: bool
    delta_link: str | None
    next_link: str | None = None
    """The page after this one: a pass that broke off goes on there. Whether it was ``full`` its caller remembers."""


class GraphCaller:
    """Every method raises ``GraphError``. Paths are Graph's (``/me/events``), or links that Graph answered.

    A write is repeated only when Graph surely did not act. With ``etag`` it is done only while that is the current one,
    else ``GraphChanged`` is raised.
    """

    def __init__(
        self,
        graph: Transport,
        org_id: str,
        user_id: str | None,
        priority: Priority = "fresh",
        *,
        leaving: bool = False,
    ) -> None:
        self._graph = graph
        self._leaving = leaving
        self.org_id = org_id
        self.user_id = user_id
        self.priority: Priority = priority
        self.answered = ""
        """Microsoft's request id of the last answer that was a success, for a history that support reads."""

    async def get(
        self, path: str, params: dict[str, str] | None = None, *, page_size: int | None = None
    ) -> dict[str, Any]:
        prefer = {"Prefer": f"odata.maxpagesize={page_size}"} if page_size else {}
        return await self._json("GET", path, params=params, headers=prefer, read=True)

    async def post(self, path: str, json: Any = None) -> dict[str, Any]:
        return await self._json("POST", path, json=json)

    async def patch(self, path: str, json: Any, *, etag: str | None = None) -> dict[str, Any]:
        return await self._json("PATCH", path, json=json, headers={} if etag is None else {"If-Match": etag})

    async def put(self, path: str, json: Any = None, *, content: bytes | None = None) -> dict[str, Any]:
        """JSON, or the bytes of a small file. Raises ``GraphTooLarge`` beyond ``CONTENT_BYTES``."""
        if content is None:
            return await self._json("PUT", path, json=json)
        if len(content) > CONTENT_BYTES:
            raise GraphTooLarge(f"More than {CONTENT_BYTES} bytes are sent through an upload session.")
        return await self._json("PUT", path, content=content, headers={"Content-Type": "application/octet-stream"})

    async def delete(self, path: str) -> dict[str, Any]:
        return await self._json("DELETE", path)

    async def upload_session(self, path: str, body: Any = None) -> UploadSession:
        """A new session from ``…/createUploadSession``. Its address is a secret: whoever has it may write."""
        return read_session(await self.post(path, body or {}))

    def upload(self, session: UploadSession, size: int) -> Upload:
        """Sends a file of ``size`` bytes to a session, from wherever it stands."""
        scope = Scope(self.org_id, self.user_id or "", "files", priority=self.priority)
        gate = partial(self._graph.limits.enter, scope)
        return Upload(Uploads(self._graph.http, self._graph.links, gate), session, size, sleep=self._graph.sleep)

    async def pages(
        self, path: str, params: dict[str, str] | None = None, *, page_size: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page after page. A link to a foreign host raises ``GraphGiveUp``."""
        async for page in self.lists(path, params, page_size=page_size):
            for item in page:
                yield item

    async def lists(
        self, path: str, params: dict[str, str] | None = None, *, page_size: int | None = None
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The same, a page at a time, for whoever keeps what was read before reading on."""
        answer, page_size = await self._page(path, params, page_size)
        while True:
            yield _items(answer)
            link = answer.get("@odata.nextLink")
            if not link:
                return
            answer, page_size = await self._page(_another(link, path), None, page_size)
            path = link

    async def _page(
        self, path: str, params: dict[str, str] | None, page_size: int | None
    ) -> tuple[dict[str, Any], int | None]:
        """A page, and the size to ask for from now on: a page that is too long to be read is asked for with less."""
        while True:
            try:
                return await self.get(path, params, page_size=page_size), page_size
            except GraphGiveUp as error:
                if error.code != TOO_LARGE or page_size is None or page_size == 1:
                    raise
                page_size = max(1, page_size // SMALLER)

    async def delta(
        self,
        path: str,
        params: dict[str, str] | None = None,
        *,
        link: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[DeltaPage]:
        """Changes since ``link`` (an earlier ``delta_link``), or everything that ``path`` lists.

        When Graph forgot the link's state, the pass begins anew from where Graph says, else from ``path``: its pages
        are ``full``. When that state is lost as well, ``GraphDeltaGone`` is raised.
        """
        at, full, first, restarted = link or path, link is None, True, False
        while True:
            try:
                answer, page_size = await self._page(at, None if at != path else params, page_size)
            except GraphNotFound as error:
                at = _restart(error, path, again=restarted, began=at != path)
                full, first, restarted = True, True, True
                continue
            delta_link = answer.get("@odata.deltaLink")
            if delta_link:
                self._graph.links.check_link(delta_link)
            next_link = None if delta_link else _another(answer.get("@odata.nextLink"), at)
            yield DeltaPage(_items(answer), full, first, delta_link, next_link)
            first = False
            if next_link is None:
                return
            at = next_link

    async def batch(self, requests: Sequence[BatchRequest]) -> list[BatchAnswer]:
        """The answers in the order of ``requests``, twenty at a time; each error stands in its answer.

        Raises only when nothing was done yet: what was answered is never lost to a later refusal.
        """
        answers: list[BatchAnswer] = []
        for at in range(0, len(requests), SIZE):
            try:
                answers += await self._batch(requests[at : at + SIZE])
            except GraphError as error:
                if not answers:
                    raise
                answers += [refused(error)] * len(requests[at : at + SIZE])
                return answers + [unsent()] * (len(requests) - len(answers))
        return answers

    async def _batch(self, requests: Sequence[BatchRequest]) -> list[BatchAnswer]:
        answers: dict[int, BatchAnswer] = {}
        due, patience_s, waited_until = list(range(len(requests))), PATIENCE_S, 0.0
        for attempt in range(1, TRIES + 1):
            try:
                answers |= await self._ask_batch(requests, due, attempt, waited_until)
            except GraphError as error:
                if not answers:
                    raise
                answers |= dict.fromkeys(due, refused(error))
                break
            waited_until = self._learn(requests, answers, due)
            due = again(requests, answers, patience_s)
            if not due or attempt == TRIES:
                break
            pause_s = max(said.after_s for number in due if isinstance(said := answers[number].error, GraphRetry))
            patience_s -= pause_s
            await self._graph.sleep(pause_s)
        return [answers[number] for number in range(len(requests))]

    async def _ask_batch(
        self, requests: Sequence[BatchRequest], due: list[int], attempt: int, waited_until: float
    ) -> dict[int, BatchAnswer]:
        body = {"requests": [requests[number].described(number) for number in due]}
        more = {"read": all(requests[number].method == "GET" for number in due), "waited_until": waited_until}
        about = _about([requests[number].path for number in due])
        said = read_answers(await self._json("POST", "/$batch", json=body, about=about, **more), attempt)
        return {number: said.get(number) or unanswered(requests[number]) for number in due}

    def _learn(self, requests: Sequence[BatchRequest], answers: dict[int, BatchAnswer], due: list[int]) -> float:
        """An item's refusal is for others too; its own next try comes after its own wait, at the latest moment here."""
        latest = 0.0
        for number in due:
            answer = answers[number]
            scope = Scope(self.org_id, self.user_id or "", service(requests[number].path))
            latest = max(latest, self._graph.limits.learn(scope, answer.status, answer.headers))
        return latest

    @asynccontextmanager
    async def download(self, path: str, start: int = 0, *, accept: str | None = None) -> AsyncIterator[Download]:
        """Bytes from ``start`` on. Redirects are followed without our token; memory does not grow with the file.

        ``accept`` is the media type asked for. ``GraphRetry`` while reading means that the bytes so far are good: go
        on from there.
        """
        headers = {"Accept-Encoding": "identity"}
        headers |= {"Accept": accept} if accept else {}
        headers |= {"Range": f"bytes={start}-"} if start else {}
        async with AsyncExitStack() as stack:
            call = self._call("GET", path, headers=headers, read=True, stream=True)
            yield await start_download(self._graph, call, start, stack)

    def _call(self, method: str, path: str, **more: Any) -> Call:
        base_url, more = self._graph.base_url, more | {"priority": self.priority, "leaving": self._leaving}
        base = httpx.URL(base_url).path.rstrip("/")
        if not path.startswith(("http://", "https://")):  # what Graph calls a content URL may be relative
            path = "/" + path.lstrip("/").removeprefix(base.lstrip("/") + "/" if base else "")
            return Call(method, base_url + path, path, self.org_id, self.user_id, **more)
        url = self._graph.links.check_link(path)
        return Call(method, url, httpx.URL(url).path.removeprefix(base), self.org_id, self.user_id, **more)

    async def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        async with AsyncExitStack() as stack:
            answer = await self._graph.send(self._call(method, path, **more), stack)
        self.answered = request_id(answer)
        body = read_json(answer) if answer.content else {}
        if not isinstance(body, dict):
            writes = not more.get("read")
            raise GraphRetry(
                "Microsoft's answer cannot be read.", answer.status_code, "", request_id(answer), maybe_done=writes
            )
        return body


class Graph(Transport):
    """One per service; ``as_user`` and ``as_app`` give callers.

    ``priority`` is that of the work the calls are part of: somebody waits for it (interactive), it keeps the platform
    current (fresh), or it fetches the past (backfill).
    """

    def as_user(self, org_id: str, user_id: str, priority: Priority = "fresh") -> GraphCaller:
        return GraphCaller(self, org_id, user_id, priority)

    def as_leaver(self, org_id: str, user_id: str | None, priority: Priority = "fresh") -> GraphCaller:
        """A caller for a person, or with None for the application, whose connection has ended: only to remove what was
        set at Microsoft."""
        return GraphCaller(self, org_id, user_id, priority, leaving=True)

    def as_app(self, org_id: str, priority: Priority = "fresh") -> GraphCaller:
        return GraphCaller(self, org_id, None, priority)


def _items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    items = answer.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GraphRetry("Microsoft's answer is not a list of items.", code="no_list")
    return items


def _about(paths: Sequence[str]) -> str:
    """The path whose limits a batch counts against: Outlook's, which are the narrowest, when any of it is Outlook's."""
    return next(filter(is_outlook, paths), paths[0])


def _another(link: Any, current: str) -> str:
    """The next page's link; a page that names itself, or none, would never end."""
    if not isinstance(link, str) or link == current:
        raise GraphGiveUp("Graph answered a page without a way on.", 0, "no_next_page")
    return link


def _restart(error: GraphNotFound, path: str, *, again: bool, began: bool) -> str:
    """Where a pass whose state is lost begins anew. Raises ``error`` when it is another one, or the second time."""
    gone = isinstance(error, GraphDeltaGone)
    if not (gone or error.status == 410) or again or not began:
        raise error
    return (error.location if isinstance(error, GraphDeltaGone) else None) or path
