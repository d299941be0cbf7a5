"""``$batch``: at most twenty requests in one, answered through the same routes, in no promised order.

A body that is no JSON stands in it as base64, in a request and in an answer.
"""

import asyncio
import base64
import binascii
import random
from typing import Any

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from .faults import fault
from .limits import PER_MAILBOX
from .store import Row
from .wire import Caller, GraphError, GraphRoute, json_of

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
SIZE = 20
METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE"}
BATCH_ITEM = fault("batch_item", "one item of a batch is answered `status`", "status", "retry_after")


@router.post("/$batch")
async def batch(request: Request) -> Response:
    """Items without ``dependsOn`` run side by side, as many at once as Outlook takes."""
    caller = Caller(request)
    items = _items(await json_of(request))
    transport = httpx.ASGITransport(request.scope["simulator"].app)
    headers = {"authorization": request.headers["authorization"]}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
        answers = await _Run(caller, http, items).all()
    random.Random(len(answers)).shuffle(answers)
    return JSONResponse({"responses": answers})


def _items(body: Any) -> list[Row]:
    items = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(items, list) or not items:
        raise GraphError(400, "BadRequest", "Invalid batch payload format.")
    if len(items) > SIZE:
        raise GraphError(400, "BadRequest", f"The batch holds more than the maximum of {SIZE} requests.")
    names = [item.get("id") if isinstance(item, dict) else None for item in items]
    for item, name in zip(items, names, strict=True):
        if not name or not isinstance(name, str) or names.count(name) > 1:
            raise GraphError(400, "BadRequest", "Each request of a batch needs an id of its own, a string.")
        if item.get("method") not in METHODS or not isinstance(item.get("url"), str):
            raise GraphError(400, "BadRequest", f"Request {name} needs a method and a relative url.")
        if item.get("body") is not None and not _content_type(item):
            raise GraphError(400, "BadRequest", f"Request {name} has a body and no Content-Type header.")
        if strange := set(item.get("dependsOn") or []) - set(names[: names.index(name)]):
            raise GraphError(400, "BadRequest", f"Request {name} depends on {sorted(strange)}, which is not before it.")
    return items


def _content_type(item: Row) -> str | None:
    headers = item.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == "content-type"), None)


class _Run:
    def __init__(self, caller: Caller, http: httpx.AsyncClient, items: list[Row]) -> None:
        self._caller, self._http, self._items = caller, http, items
        self._room = asyncio.Semaphore(PER_MAILBOX)
        self._done: dict[str, asyncio.Future[Row]] = {}

    async def all(self) -> list[Row]:
        for item in self._items:
            self._done[item["id"]] = asyncio.ensure_future(self._one(item))
        return list(await asyncio.gather(*self._done.values()))

    async def _one(self, item: Row) -> Row:
        before = [await self._done[name] for name in item.get("dependsOn") or []]
        if any(one["status"] >= 400 for one in before):
            text = "The request depends on one that failed."
            return {"id": item["id"], "status": 424, "body": {"error": {"code": "FailedDependency", "message": text}}}
        struck = self._caller.simulator.faults.due(BATCH_ITEM, path=item["url"], method=item["method"])
        if struck is not None:
            return _struck(item, struck)
        async with self._room:
            return await self._asked(item)

    async def _asked(self, item: Row) -> Row:
        url = item["url"] if item["url"].startswith("/") else f"/{item['url']}"
        try:
            given = _given(item)
        except binascii.Error:
            text = f"The body of request {item['id']} is neither JSON nor base64."
            return {"id": item["id"], "status": 400, "body": {"error": {"code": "BadRequest", "message": text}}}
        got = await self._http.request(item["method"], f"/v1.0{url}", headers=item.get("headers") or {}, **given)
        found: Row = {"id": item["id"], "status": got.status_code, "headers": dict(got.headers)}
        if got.content:
            is_json = "json" in got.headers.get("content-type", "")
            found["body"] = got.json() if is_json else base64.b64encode(got.content).decode()
        return found


def _given(item: Row) -> Row:
    """What is sent: JSON as it is, else the bytes whose base64 (also the one of URLs) stands in the batch."""
    body = item.get("body")
    if body is None or "json" in str(_content_type(item)).lower():
        return {"json": body} if body is not None else {}
    text = str(body).replace("-", "+").replace("_", "/")
    return {"content": base64.b64decode(text + "=" * (-len(text) % 4), validate=True)}


def _struck(item: Row, struck: Row) -> Row:
    status, wait = struck.get("status", 429), struck.get("retry_after", 1)
    code = "TooManyRequests" if status == 429 else "serviceNotAvailable"
    headers = {} if wait is None else {"Retry-After": str(wait)}
    error = {"code": code, "message": "The item of the batch was not answered."}
    return {"id": item["id"], "status": status, "headers": headers, "body": {"error": error}}
