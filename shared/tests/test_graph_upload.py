"""Upload sessions: strictly in order, whole, resumable elsewhere."""

import asyncio
import re
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest

from shared.graph import Graph, GraphCaller, UploadSession
from shared.graph.errors import (
    GraphChanged,
    GraphConflict,
    GraphError,
    GraphFull,
    GraphGiveUp,
    GraphPastEnd,
    GraphRetry,
    GraphSessionGone,
    GraphTooLarge,
)
from shared.graph.links import Links
from shared.graph.upload import CHUNK, CHUNK_LIMIT, MULTIPLE, Upload, Uploads
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import (
    CountedTokens,
    Naps,
    Reply,
    ScriptedServer,
    UploadHost,
    client_settings,
    scripted_server,
)

SIZE = 4 * MULTIPLE + 17
FILE = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


@pytest.fixture
async def host() -> AsyncIterator[ScriptedServer]:
    """Where upload sessions lead, and Graph itself."""
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def graph(host: ScriptedServer, made_keys: PlatformKeys) -> AsyncIterator[Graph]:
    made = Graph(client_settings(made_keys, graph_base_url=f"{host.url}/v1.0"), CountedTokens())
    made.sleep = Naps()
    yield made
    await made.aclose()


@pytest.fixture
def anna(graph: Graph) -> GraphCaller:
    return graph.as_user("acme", "anna")


def naps(graph: Graph) -> list[float]:
    assert isinstance(graph.sleep, Naps)
    return graph.sleep.taken


def session(host: ScriptedServer, chunk: int = MULTIPLE, **more: Any) -> UploadSession:
    return UploadSession(f"{host.url}/up/hush?sig=hush", chunk=chunk, **more)


async def source(start: int) -> AsyncGenerator[bytes, None]:
    for at in range(start, SIZE, 50_000):
        yield FILE[at : at + 50_000]


def microsoft(host: ScriptedServer, *faults: str, **more: Any) -> UploadHost:
    host.respond = UploadHost(SIZE, *faults, **more)
    return host.respond


def ranges(host: ScriptedServer) -> list[int]:
    """Where each range began."""
    puts = [seen for seen in host.seen if seen.method == "PUT"]
    return [int(seen.headers["content-range"].removeprefix("bytes ").partition("-")[0]) for seen in puts]


async def test_a_session_is_made_and_a_file_sent_in_order_without_our_token(
    host: ScriptedServer, anna: GraphCaller
) -> None:
    there = microsoft(host)
    said = {"uploadUrl": f"{host.url}/up/hush", "expirationDateTime": "2026-01-29T09:21:55.5230000Z"}
    host.script.append(Reply(json=said))
    made = await anna.upload_session("/drives/1/root:/a.mp4:/createUploadSession", {"item": {}})
    positions: list[int] = []

    async def saved(position: int) -> None:
        positions.append(position)

    item = await anna.upload(made, SIZE).send(source, start=0, saved=saved)
    assert (item["id"], bytes(there.received), there.broken_rules) == ("item-1", FILE, [])
    assert positions == [SIZE]
    assert ["authorization" in seen.headers for seen in host.seen] == [True, False]


async def test_ranges_are_multiples_and_none_is_held_in_memory(host: ScriptedServer, anna: GraphCaller) -> None:
    there = microsoft(host)
    await anna.upload(session(host, 2 * MULTIPLE), SIZE).send(source, start=0)
    assert [len(seen.body) for seen in host.seen] == [2 * MULTIPLE, 2 * MULTIPLE, 17]
    assert bytes(there.received) == FILE


@pytest.mark.parametrize("chunk", [0, 1, MULTIPLE + 1, CHUNK_LIMIT, CHUNK_LIMIT + MULTIPLE])
def test_a_range_that_microsoft_would_refuse_is_never_planned(chunk: int) -> None:
    with pytest.raises(ValueError, match="A range has"):
        UploadSession("https://a.example/", chunk=chunk)
    assert CHUNK % MULTIPLE == 0
    with pytest.raises(ValueError, match="empty file"):
        Upload(Uploads(httpx.AsyncClient(), Links("https://a.example", [])), UploadSession("https://a.example/"), 0)


@pytest.mark.parametrize(
    ("fault", "at"),
    [(f, n) for f in UploadHost.FAULTS for n in (0, 2, 4) if n < 4 or f not in {"stored", "silent"}],
)
async def test_whatever_happens_to_a_range_the_file_arrives_whole(
    host: ScriptedServer, anna: GraphCaller, fault: str, at: int
) -> None:
    there = microsoft(host, *[""] * at, fault)
    item = await anna.upload(session(host, 2 * MULTIPLE if fault == "413" else MULTIPLE), SIZE).send(source, start=0)
    assert item["id"] == "item-1"
    assert bytes(there.received) == FILE
    assert there.broken_rules == []


async def test_a_range_that_was_stored_despite_the_refusal_is_not_sent_again(
    host: ScriptedServer, anna: GraphCaller
) -> None:
    microsoft(host, "", "stored", "", "silent")
    await anna.upload(session(host), SIZE).send(source, start=0)
    assert ranges(host) == [0, MULTIPLE, 2 * MULTIPLE, 3 * MULTIPLE, 4 * MULTIPLE]
    assert [seen.method for seen in host.seen].count("GET") == 2


async def test_another_process_goes_on_from_the_sealed_secret(
    host: ScriptedServer, graph: Graph, anna: GraphCaller
) -> None:
    there = microsoft(host, "", "", "507")
    first = session(host)
    with pytest.raises(GraphFull):
        await anna.upload(first, SIZE).send(source, start=0)
    again = UploadSession.of_secret(first.secret())
    assert again == first
    item = await graph.as_app("acme").upload(again, SIZE).send(source)
    assert (item["id"], bytes(there.received)) == ("item-1", FILE)
    assert ranges(host) == [0, MULTIPLE, 2 * MULTIPLE, 2 * MULTIPLE, 3 * MULTIPLE, 4 * MULTIPLE]


@pytest.mark.parametrize("after", ["1", None])
async def test_a_throttled_range_waits_as_told(
    host: ScriptedServer, graph: Graph, anna: GraphCaller, after: str | None
) -> None:
    microsoft(host)
    host.script.append(Reply(429, headers={"retry-after": "7"} if after else {}))
    await anna.upload(session(host), SIZE).send(source, start=0)
    assert naps(graph)[0] >= (7 if after else 0.5)


async def test_a_long_wait_is_left_to_the_job_and_goes_on_then(host: ScriptedServer, anna: GraphCaller) -> None:
    there = microsoft(host, "")
    host.script.extend([Reply(429, headers={"retry-after": "600"})])
    with pytest.raises(GraphRetry) as error:
        await anna.upload(session(host), SIZE).send(source, start=0)
    assert error.value.after_s == 600
    await anna.upload(session(host), SIZE).send(source)
    assert bytes(there.received) == FILE


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("401", GraphSessionGone),
        ("403", GraphSessionGone),
        ("404", GraphSessionGone),
        ("410", GraphSessionGone),
        ("409", GraphConflict),
        ("412", GraphChanged),
        ("507", GraphFull),
        ("400", GraphGiveUp),
        ("302", GraphGiveUp),
    ],
)
async def test_what_no_repeat_helps_is_told_by_what_to_do_next(
    host: ScriptedServer, anna: GraphCaller, fault: str, kind: type[GraphError]
) -> None:
    microsoft(host, "", fault)
    with pytest.raises(kind) as error:
        await anna.upload(session(host), SIZE).send(source, start=0)
    assert type(error.value) is kind
    assert len(ranges(host)) == 2
    assert not getattr(error.value, "maybe_done", False)


@pytest.mark.parametrize("fault", ["stored", "silent"])
async def test_a_lost_last_answer_says_to_look_for_the_file_first(
    host: ScriptedServer, anna: GraphCaller, fault: str
) -> None:
    there = microsoft(host, "", "", "", "", fault)
    with pytest.raises(GraphSessionGone) as error:
        await anna.upload(session(host), SIZE).send(source, start=0)
    assert there.done
    assert error.value.maybe_done
    assert len(ranges(host)) == 5


async def test_ranges_shrink_until_they_are_taken_and_no_further(host: ScriptedServer, anna: GraphCaller) -> None:
    there = microsoft(host, "413", "413")
    await anna.upload(session(host, 4 * MULTIPLE), SIZE).send(source, start=0)
    assert [len(seen.body) for seen in host.seen if seen.method == "PUT"][:4] == [n * MULTIPLE for n in (4, 2, 1, 1)]
    assert bytes(there.received) == FILE
    there = microsoft(host, "413")
    await anna.upload(session(host, 3 * MULTIPLE), SIZE).send(source, start=0)
    assert (there.broken_rules, bytes(there.received)) == ([], FILE)
    host.respond = None
    host.otherwise = Reply(413)
    with pytest.raises(GraphTooLarge):
        await anna.upload(session(host), SIZE).send(source, start=0)


@pytest.mark.parametrize("fault", ["lost", "416", "reset", "429"])
async def test_a_service_that_never_goes_on_is_left_for_later(
    host: ScriptedServer, anna: GraphCaller, fault: str
) -> None:
    microsoft(host, *[fault] * 50)
    with pytest.raises(GraphRetry):
        await anna.upload(session(host), SIZE).send(source, start=0)
    assert len(ranges(host)) <= 6


@pytest.mark.parametrize(
    "wanted",
    [
        ["655360-"],
        ["655360"],
        [655360],
        "655360-",
        ["655360-1310736"],
        ["655360-1310737"],
        [" 655360 - "],
        ["983040-1310719", "655360-819199"],
        ["655360-983039", "1310720-"],
    ],
)
async def test_every_way_to_say_what_is_missing_is_read(host: ScriptedServer, anna: GraphCaller, wanted: Any) -> None:
    host.script.append(Reply(200, json={"NextExpectedRanges": wanted}))
    host.otherwise = Reply(201, json={"id": "item-1"})
    await anna.upload(session(host), SIZE).send(source)
    assert ranges(host) == [655360]


async def test_a_gap_is_filled_no_further_than_its_end(host: ScriptedServer, anna: GraphCaller) -> None:
    host.script.append(Reply(200, json={"nextExpectedRanges": [f"{MULTIPLE}-{2 * MULTIPLE - 1}", f"{3 * MULTIPLE}-"]}))
    host.script.append(Reply(202, json={"nextExpectedRanges": [f"{3 * MULTIPLE}-"]}))
    host.otherwise = Reply(201, json={"id": "item-1"})
    await anna.upload(session(host, 4 * MULTIPLE), SIZE).send(source)
    first, second = [seen for seen in host.seen if seen.method == "PUT"]
    assert first.body == FILE[MULTIPLE : 2 * MULTIPLE]
    assert second.body == FILE[3 * MULTIPLE :]


@pytest.mark.parametrize("wanted", [["x"], [""], ["-5"], [None], ["9999999-"], ["10-5"], {"a": 1}, ["1-2-3"], [-4]])
async def test_ranges_that_cannot_be_are_an_error_and_not_a_guess(
    host: ScriptedServer, anna: GraphCaller, wanted: Any
) -> None:
    host.otherwise = Reply(200, json={"nextExpectedRanges": wanted})
    with pytest.raises(GraphRetry):
        await anna.upload(session(host), SIZE).send(source)
    assert ranges(host) == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"'])
async def test_a_status_that_cannot_be_read_is_no_position(
    host: ScriptedServer, anna: GraphCaller, body: bytes
) -> None:
    host.otherwise = Reply(200, body=body)
    with pytest.raises(GraphRetry, match="where the upload stands"):
        await anna.upload(session(host), SIZE).send(source)


async def test_a_final_answer_without_a_body_is_the_end(host: ScriptedServer, anna: GraphCaller) -> None:
    host.script.extend(Reply(202, json={}) for _ in range(4))
    host.script.append(Reply(201, headers={"location": "https://outlook.office.com/x"}))
    assert await anna.upload(session(host), SIZE).send(source, start=0) == {}
    assert len(host.seen) == 5


async def test_a_session_is_cancelled_and_one_that_is_gone_is_too(
    host: ScriptedServer, graph: Graph, anna: GraphCaller
) -> None:
    microsoft(host)
    uploads = Uploads(graph.http, graph.links)
    await uploads.cancel(session(host))
    await uploads.cancel(session(host))
    assert [seen.method for seen in host.seen] == ["DELETE", "DELETE"]
    host.respond, host.otherwise = None, Reply(500)
    with pytest.raises(GraphRetry):
        await uploads.cancel(session(host))


async def test_a_source_that_ends_early_or_fails_is_not_the_service_s_fault(
    host: ScriptedServer, anna: GraphCaller
) -> None:
    async def short(_start: int) -> AsyncGenerator[bytes, None]:
        yield b"x"

    async def broken(start: int) -> AsyncGenerator[bytes, None]:
        yield FILE[start : start + 5]
        raise GraphPastEnd("The recording shrank.", 416)

    microsoft(host)
    with pytest.raises(GraphGiveUp) as error:
        await anna.upload(session(host), SIZE).send(short, start=0)
    assert error.value.code == "source_too_short"
    with pytest.raises(GraphRetry):
        await anna.upload(session(host), SIZE).send(broken, start=0)


async def test_a_cut_source_is_opened_again_where_the_service_stands(host: ScriptedServer, anna: GraphCaller) -> None:
    starts: list[int] = []

    async def cut(start: int) -> AsyncGenerator[bytes, None]:
        starts.append(start)
        yield FILE[start : start + MULTIPLE + 5]
        raise GraphRetry("The download was cut off.", after_s=1)

    there = microsoft(host)
    await anna.upload(session(host), SIZE).send(cut, start=0)
    assert bytes(there.received) == FILE
    assert starts == [0, MULTIPLE, 2 * MULTIPLE, 3 * MULTIPLE, 4 * MULTIPLE][: len(starts)]


class Sink(httpx.AsyncBaseTransport):
    """Takes every range and keeps nothing."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for _ in request.stream:
            pass
        _, last, total = re.split(r"[ /-]", request.headers["content-range"])[1:]
        done = int(last) + 1 == int(total)
        return httpx.Response(201 if done else 202, json={"id": "1"} if done else {})


async def test_memory_does_not_grow_with_the_file_or_the_range() -> None:
    size = 10 * CHUNK

    async def large(start: int) -> AsyncGenerator[bytes, None]:
        for _ in range(start, size, MULTIPLE):
            yield bytes(MULTIPLE)

    async with httpx.AsyncClient(transport=Sink()) as http:
        links = Links("https://graph.example", [], inside=["http://sink.example"])
        upload = Upload(Uploads(http, links), UploadSession("http://sink.example/up"), size)
        tracemalloc.start()
        await upload.send(large, start=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 6 * MULTIPLE < CHUNK


async def test_an_upload_takes_a_connection_s_turn(host: ScriptedServer, graph: Graph, anna: GraphCaller) -> None:
    hold = asyncio.Event()
    host.otherwise = Reply(201, json={}, hold=hold)
    running = asyncio.create_task(anna.upload(session(host, 5 * MULTIPLE), SIZE).send(source, start=0))
    await asyncio.wait_for(host.until_in_flight(1), 10)
    assert graph.limits.turns._busy.total() == 1
    hold.set()
    await running
    assert graph.limits.turns._busy.total() == 0
