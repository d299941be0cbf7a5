"""The client under random faults: nothing is done twice, no wait is cut short, no limit is exceeded."""

import asyncio
import base64
import json
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.database.unit_of_work import Database
from shared.graph import BatchAnswer, BatchRequest, Graph, GraphCaller
from shared.graph.errors import GraphError, GraphRetry
from shared.testing.databases import TestDatabase
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import (
    CountedTokens,
    Naps,
    Reply,
    ScriptedServer,
    Seen,
    client_settings,
    scripted_server,
    whole,
)

BOUNDED = settings(max_examples=60)
CLAIMS = base64.b64encode(b'{"access_token":{}}').decode()
CHALLENGE = f'Bearer realm="", error="insufficient_claims", claims="{CLAIMS}"'
WRITES = ("post", "patch", "put", "delete")
PEOPLE = count()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


class DeadAtTimes(httpx.AsyncHTTPTransport):
    """Real connections; those that are due go to a port where nobody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = 0
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.refuse:
            self.refuse -= 1
            self.refused += 1
            request.url = request.url.copy_with(port=9)
        return await super().handle_async_request(request)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a database that is there may answer late."""
    monkeypatch.setattr("shared.graph.slots._DATABASE_S", 60.0)


@pytest.fixture
async def db(database: TestDatabase) -> AsyncIterator[Database]:
    made = Database(database.url)
    yield made
    await made.close()


@pytest.fixture
async def graph(server: ScriptedServer, db: Database, platform_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0"), CountedTokens(), db)
    await made.http.aclose()
    made.http = httpx.AsyncClient(transport=DeadAtTimes(), timeout=10, trust_env=False)
    yield made
    await made.aclose()


def door(graph: Graph) -> DeadAtTimes:
    assert isinstance(graph.http._transport, DeadAtTimes)
    return graph.http._transport


def somebody(graph: Graph) -> GraphCaller:
    """A person of whom nothing is known yet."""
    return graph.as_user("acme", f"person-{next(PEOPLE)}")


# Calls ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What befalls a request. ``done``: Microsoft acted all the same; ``wait`` and ``form``: its Retry-After."""

    kind: str
    status: int = 200
    done: bool = False
    wait: float = 0
    form: str = ""

    def reply(self, server: ScriptedServer) -> Reply:
        match self.kind:
            case "reset before" | "reset after":
                return Reply(reset="before" if self.kind == "reset before" else "after")
            case "cut":
                return Reply(json={"a": "long enough"}, cut=2)
            case "truncated":
                return Reply(body=b'{"value": [{"id": ')
            case "slow":
                return Reply(json={"a": "x" * 100}, slices=5)
            case "claims":
                return Reply(401, headers={"www-authenticate": CHALLENGE})
            case "own redirect" | "foreign redirect":
                host = server.url if self.kind == "own redirect" else "http://127.0.0.1:9"
                return Reply(302, headers={"location": f"{host}/v1.0/me/elsewhere"})
            case "moved":
                return Reply(410, json={}, headers={"location": f"{server.url}/v1.0/me/anew"})
        return Reply(self.status, json={"error": {"code": "x"}}, headers=self.headers())

    def headers(self) -> dict[str, str]:
        moment = datetime.now(UTC) + timedelta(seconds=self.wait)
        forms = {"seconds": str(int(self.wait)), "fraction": f"{self.wait:.3f}", "date": format_datetime(moment, True)}
        return {"retry-after": forms[self.form]} if self.form else {}

    @property
    def least_s(self) -> float:
        """A date has whole seconds, and time passes until it is read."""
        return {"": 0.0, "seconds": int(self.wait), "fraction": self.wait - 0.001, "date": self.wait - 3}[self.form]


FORMS = st.sampled_from(["", "seconds", "fraction", "date"])
FAULTS = st.one_of(
    st.builds(Fault, st.just("throttled"), st.just(429), st.just(False), st.floats(0, 30), FORMS),
    st.builds(Fault, st.just("busy"), st.just(503), st.booleans(), st.floats(0, 30), FORMS),
    st.builds(Fault, st.just("error"), st.sampled_from([408, 500, 502, 504, 509]), st.booleans()),
    st.builds(Fault, st.just("refused"), st.sampled_from([400, 402, 403, 404, 409, 410, 412, 413, 423, 501, 507])),
    st.builds(Fault, st.sampled_from(["reset after", "cut", "truncated", "slow"]), st.just(200), st.just(True)),
    st.builds(Fault, st.sampled_from(["reset before", "own redirect", "foreign redirect", "moved", "no connection"])),
    st.builds(Fault, st.sampled_from(["token", "claims"]), st.just(401)),
)
METHODS = st.sampled_from(["get", *WRITES, "put content", "download"])


async def run(caller: GraphCaller, method: str) -> None:
    match method:
        case "get":
            await caller.get("/me/events")
        case "delete":
            await caller.delete("/me/events/1")
        case "download":
            await whole(caller, "/me/events/1/attachments/2/$value")
        case "put content":
            await caller.put("/me/contacts/1/photo/$value", content=b"abc")
        case _:
            await getattr(caller, method)("/me/events/1", {"a": 1})


REPEATABLE = {"throttled", "no connection", "token", "claims"}


def check_repeats(method: str, used: list[Fault], naps: list[float]) -> None:
    """Each of ``used`` was followed by another try, after the nap beside it."""
    for fault, nap in zip(used, naps, strict=True):
        assert method in {"get", "download"} or fault.kind in REPEATABLE, f"a write was repeated after {fault}"
        assert fault.kind not in {"refused", "moved"}, f"repeated after {fault}"
        assert nap >= fault.least_s, f"{nap} s after {fault}"
    assert sum(fault.status == 401 for fault in used) <= 1


@BOUNDED
@given(method=METHODS, faults=st.lists(FAULTS, max_size=6))
@example(method="post", faults=[Fault("busy", 503, True, 1, "seconds")])
@example(method="put", faults=[Fault("reset after", done=True)])
@example(method="get", faults=[Fault("throttled", 429, False, 9.5, "fraction")])
@example(method="download", faults=[Fault("own redirect")])
async def test_no_write_is_done_twice_and_no_wait_is_cut_short(
    server: ScriptedServer, graph: Graph, method: str, faults: list[Fault]
) -> None:
    naps, left, met = Naps(), deque(faults), list[Fault]()
    server.clear()
    server.otherwise = Reply(json={})
    graph.tokens = CountedTokens()

    def lay_out() -> None:
        server.script.clear()
        door(graph).refuse = 0
        met.append(left.popleft() if left else Fault("none", done=True))
        if met[-1].kind == "no connection":
            door(graph).refuse = 1
        elif met[-1].kind != "none":
            server.script.append(met[-1].reply(server))

    async def nap(seconds: float) -> None:
        await naps(seconds)
        lay_out()

    graph.sleep = nap
    lay_out()
    error: GraphError | None = None
    try:
        await run(somebody(graph), method)
    except GraphError as refused:
        error = refused
    check_repeats(method, met[:-1], naps.taken)
    if method not in {"get", "download"}:
        assert sum(fault.done for fault in met) <= 1
        surely_not = not (isinstance(error, GraphRetry) and error.maybe_done)
        assert error is None or not met[-1].done or not surely_not, f"{error!r} after {met[-1]}"
    assert len(met) <= 5
    for seen in server.seen:  # a download goes on without our token
        assert ("authorization" in seen.headers) != seen.target.endswith("/elsewhere")
    assert graph.limits.turns.lines == {}


# Four at a time ------------------------------------------------------------------------------------------------------


@settings(BOUNDED, max_examples=15)
@given(methods=st.lists(METHODS, min_size=8, max_size=16), faults=st.lists(FAULTS, max_size=12))
async def test_two_clients_together_have_at_most_four_in_flight_per_mailbox(
    server: ScriptedServer, graph: Graph, db: Database, methods: list[str], faults: list[Fault]
) -> None:
    server.clear()
    other = Graph(graph.settings, CountedTokens(), db)
    graph.sleep = other.sleep = Naps()
    door(graph).refuse = sum(fault.kind == "no connection" for fault in faults)
    server.script.extend(replace(f.reply(server), hold_s=0.002) for f in faults if f.kind != "no connection")
    server.otherwise = Reply(json={}, hold_s=0.002)
    name = f"person-{next(PEOPLE)}"
    calls = (run((graph, other)[at % 2].as_user("acme", name), method) for at, method in enumerate(methods))
    ended = await asyncio.gather(*calls, return_exceptions=True)
    await other.aclose()
    assert all(result is None or isinstance(result, GraphError) for result in ended)
    assert server.most_in_flight <= 4
    await server.until_in_flight(0)  # a client that is refused may hear of it before the server has ended


async def test_two_processes_together_have_at_most_four_in_flight_per_mailbox(
    server: ScriptedServer, database: TestDatabase, platform_keys: PlatformKeys
) -> None:
    server.otherwise = Reply(json={}, hold_s=0.05)
    odd = [Reply(429, headers={"retry-after": "0"}), Reply(503), Reply(reset="after"), Reply(reset="before")]
    server.script.extend(replace(odd[at % 4]) if at % 5 == 0 else replace(server.otherwise) for at in range(80))
    values = client_settings(platform_keys, graph_base_url=f"{server.url}/v1.0", database_url=database.url)
    said = {"settings": values.model_dump(mode="json") | {"client_secret": ""}, "people": ["anna", "bob"], "calls": 50}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("graph_process.py")),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    feeds = [json.dumps(said | {"seed": seed}).encode() for seed in range(2)]
    outputs = await asyncio.gather(*(p.communicate(feed) for p, feed in zip(processes, feeds, strict=True)))
    ended = [Counter(json.loads(output.splitlines()[-1])) for output, _ in outputs]
    assert [counts.total() for counts in ended] == [50, 50]
    assert all(counts["done"] > 25 for counts in ended), ended
    people = {token.split("-")[2] for token in server.most_of_token if "secret" in token}
    assert people == {"anna", "bob"}
    assert 1 < max(server.most_of_token.values()) <= 4  # a slow machine does not reach four


# Batches -------------------------------------------------------------------------------------------------------------

ITEMS = st.sampled_from(["201", "201", "429", "503 done", "503", "404", "left out", "left out, done"])
WHOLE = st.sampled_from(["", "", "", "429", "503", "503 done", "reset after", "cut done"])


class Contacts:
    """Makes contacts by ``$batch``, not always saying so."""

    def __init__(self, items: list[str], whole: list[str]) -> None:
        self.items, self.whole = deque(items), deque(whole)
        self.made: Counter[int] = Counter()

    def __call__(self, seen: Seen) -> Reply:
        fate = self.whole.popleft() if self.whole else ""
        requests = seen.json()["requests"]
        if fate in {"429", "503"}:
            return Reply(int(fate), headers={"retry-after": "1"})
        answers = [answer for request in requests if (answer := self._item(request)) is not None]
        if not fate:
            return Reply(json={"responses": answers[::-1]})
        return Reply(503, reset="after" if fate == "reset after" else None)

    def _item(self, request: dict[str, Any]) -> dict[str, Any] | None:
        fate = self.items.popleft() if self.items else "201"
        if fate == "201" or "done" in fate:
            self.made[request["body"]["number"]] += 1
        status = int(fate[:3]) if fate[0].isdigit() else 0
        headers = {"Retry-After": "2"} if status == 429 else {}
        return {"id": request["id"], "status": status, "headers": headers, "body": {}} if status else None


@BOUNDED
@given(size=st.integers(1, 45), items=st.lists(ITEMS, max_size=60), whole=st.lists(WHOLE, max_size=6))
async def test_no_item_of_a_batch_is_done_twice_and_each_answer_is_true(
    server: ScriptedServer, graph: Graph, size: int, items: list[str], whole: list[str]
) -> None:
    server.clear()
    graph.sleep = Naps()
    server.respond = contacts = Contacts(items, whole)
    requests = [BatchRequest("POST", "/me/contacts", {"number": number}) for number in range(size)]
    try:
        answers = await somebody(graph).batch(requests)
    except GraphRetry as error:
        answers = [BatchAnswer(0, None, error)] * size
    for number, answer in enumerate(answers):
        made = contacts.made[number]
        assert made <= 1
        if answer.error is None:
            assert made == 1
        else:
            assert not made or getattr(answer.error, "maybe_done", False), answer
