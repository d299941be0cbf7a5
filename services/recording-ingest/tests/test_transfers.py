"""Recordings move whole, whatever breaks on either side, and are said to have arrived once."""

import asyncio
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

KIB = 320 * 1024
SIZE = 12 * KIB + 1  # four ranges of storage's 3 * KIB here, and one byte
PATTERN = bytes(range(251))
BODY = (PATTERN * (SIZE // 251 + 1))[:SIZE]


async def recorded(house: Any, size: int = SIZE) -> None:
    """A recording is detected and its transfer due."""
    await house.microsoft.recording_size(size)
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)


async def arrived(house: Any, body: bytes = BODY) -> None:
    (told,) = await house.published("recording.imported")
    assert told["size_bytes"] == len(body)
    got = await house.read(f"/v1/files/{told['file_id']}/content", files=True)
    assert got.content == body
    assert (await house.ledger())["recording"]["status"] == "imported"


def uploads(house: Any) -> list[str]:
    return [path for method, path, _ in house.our_wire.requests if method == "PUT"]


async def until_settled(house: Any) -> None:
    """Six tries at most, without the waits between them."""
    for _ in range(6):
        await house.settle()
        if not await house.sql("SELECT 1 FROM job WHERE kind = 'transfer'"):
            break
        await house.hurry("transfer")


async def test_a_cut_download_goes_on_at_the_byte(house: Any) -> None:
    await house.microsoft.fault("cut_download")
    await recorded(house, 12 * KIB)
    await house.settle()
    await arrived(house, BODY[: 12 * KIB])
    assert house.graph_wire.ranges() == ["", f"bytes={6 * KIB}-"]
    assert house.graph_wire.sent["/download"] == 12 * KIB
    assert len(uploads(house)) == 4


async def test_a_download_that_keeps_being_cut_arrives_all_the_same(house: Any) -> None:
    await house.microsoft.fault("cut_download", times=5)
    await recorded(house)
    await until_settled(house)
    await arrived(house)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_worker_killed_at_any_range_is_followed_by_one_that_goes_on(house: Any, moment: str) -> None:
    """Each worker dies at a range: before it reaches storage, or after that before the acknowledgement comes back."""
    await recorded(house)
    lives = 0
    while lives < 12 and not await imported(house):
        lives += 1
        worker = asyncio.create_task((await house.remake()).runner.run())
        house.our_wire.instead = killing(house, worker, moment, at=2 if moment == "before" else 1)
        while not worker.done() and not await imported(house):
            await asyncio.wait([worker], timeout=0.1)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await house.sql("UPDATE job SET lease_until = clock_timestamp() WHERE state = 'running'")
    await arrived(house)
    assert lives > 4
    assert len(house.our_wire.accepted) <= 5 + lives  # at most one range of each life is sent in vain


async def imported(house: Any) -> bool:
    return bool(await house.sql("SELECT 1 FROM artefact WHERE kind = 'recording' AND status = 'imported'"))


def jobs_running() -> list["asyncio.Task[Any]"]:
    """A killed worker does not wait for its jobs to reach a checkpoint, as a stopping one does."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("job ")]


def killing(house: Any, worker: "asyncio.Task[None]", moment: str, *, at: int) -> Any:
    """The worker ends at its ``at``-th range."""
    seen = 0

    async def silent(_message: Any) -> None:
        return None

    async def die(scope: Any, receive: Any, send: Any) -> None:
        if moment == "after":
            await house.our_wire.app(scope, receive, silent)
        while doomed := [task for task in (worker, *jobs_running()) if not task.done()]:
            for task in doomed:  # more than once: before Python 3.12 wait_for may swallow a cancellation
                task.cancel()
            await asyncio.wait(doomed, timeout=0.2)
        await Response(status_code=503)(scope, receive, send)

    def instead(method: str, _path: str) -> Any:
        nonlocal seen
        seen += method == "PUT"
        return die if method == "PUT" and seen == at else None

    return instead


def ignoring_ranges(_method: str, path: str) -> Any:
    """A storage host that answers 200 with everything, and does not say how much it is."""

    async def body() -> Any:
        for start in range(0, SIZE, KIB):
            yield BODY[start : start + KIB]

    return StreamingResponse(body()) if path.startswith("/download") else None


async def test_an_unknown_size_and_a_host_without_ranges_are_coped_with(house: Any) -> None:
    house.graph_wire.instead = ignoring_ranges
    await recorded(house)
    await house.settle()
    await arrived(house)


async def test_a_host_without_ranges_is_gone_on_with_after_a_cut(house: Any) -> None:
    answers = iter([SIZE // 2, SIZE])

    def cut(_method: str, path: str) -> Any:
        if not path.startswith("/download"):
            return None
        end = next(answers)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-length", str(SIZE).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": BODY[:end], "more_body": False})

        return app

    house.graph_wire.instead = cut
    await recorded(house)
    await house.settle()
    await arrived(house)


async def test_an_expired_download_address_is_asked_for_anew(house: Any) -> None:
    answers = iter([Response(status_code=403), Response("gone", 404), None])
    house.graph_wire.instead = lambda _method, path: next(answers) if path.startswith("/download") else None
    await recorded(house)
    await until_settled(house)
    await arrived(house)


async def test_a_file_that_changed_at_microsoft_is_begun_anew(house: Any) -> None:
    await recorded(house)
    puts = 0

    def grown(method: str, _path: str) -> Any:
        nonlocal puts
        puts += method == "PUT"
        if method == "PUT" and puts == 2:
            house.simulator.store.put("settings", "recording_size", {"value": SIZE + 5})
            return Response(status_code=503)
        return None

    house.our_wire.instead = grown
    await until_settled(house)
    await arrived(house, (PATTERN * (SIZE // 251 + 2))[: SIZE + 5])


def once(house: Any, number: int, answer: Any) -> None:
    """Answer the ``number``-th range in storage's place."""
    seen = 0

    def instead(method: str, _path: str) -> Any:
        nonlocal seen
        seen += method == "PUT"
        return answer if method == "PUT" and seen == number else None

    house.our_wire.instead = instead


@pytest.mark.parametrize("status", [404, 503, 500])
async def test_a_session_that_fails_or_vanished_is_opened_anew(house: Any, status: int) -> None:
    once(house, 2, JSONResponse({"code": "x"}, status))
    await recorded(house)
    await until_settled(house)
    await arrived(house)
    assert len(uploads(house)) == 6


async def test_storage_says_where_to_go_on(house: Any) -> None:
    once(house, 3, JSONResponse({"code": "range_out_of_order", "next_expected": 6 * KIB}, 409))
    await recorded(house)
    await until_settled(house)
    await arrived(house)


@pytest.mark.parametrize("number", [1, 3, 5])
async def test_a_lost_acknowledgement_sends_nothing_twice(house: Any, number: int) -> None:
    async def acted_but_silent(scope: Any, receive: Any, send: Any) -> None:
        async def swallow(_message: Any) -> None:
            return None

        await house.our_wire.app(scope, receive, swallow)
        await Response(status_code=502)(scope, receive, send)

    once(house, number, acted_but_silent)
    await recorded(house)
    await until_settled(house)
    await arrived(house)
    assert len(uploads(house)) == 5


async def test_storage_that_is_down_is_waited_for(house: Any) -> None:
    house.our_wire.instead = lambda _method, path: Response(status_code=503) if path.startswith("/storage") else None
    await recorded(house)
    await house.settle()
    (job,) = await house.sql("SELECT state, attempt FROM job WHERE kind = 'transfer'")
    assert (job.state, job.attempt) == ("waiting", 0)
    house.our_wire.instead = None
    await house.hurry("transfer")
    await until_settled(house)
    await arrived(house)


async def test_addresses_are_in_no_checkpoint_and_no_event(house: Any) -> None:
    await recorded(house)
    seen: list[str] = []

    def look(method: str, path: str) -> Any:
        if method == "PUT":
            seen.append(path.rpartition("/")[2])
        return Response(status_code=503) if len(seen) >= 3 else None

    house.our_wire.instead = look
    await house.settle()
    (job,) = await house.sql("SELECT payload, checkpoint, last_error FROM job WHERE kind = 'transfer'")
    assert job.checkpoint == {"size": SIZE, "done": 6 * KIB}
    written = f"{job}" + "".join(str(record) for topic in ("artefact.detected",) for record in house.bus.records(topic))
    assert seen
    assert not [token for token in seen if token in written]


async def test_an_empty_recording_is_said_to_be_empty_and_not_deleted(house: Any) -> None:
    await recorded(house, 0)
    await house.settle()
    assert (await house.ledger())["recording"]["status"] == "importing"
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '30 days'")
    await house.hurry()
    await house.settle()
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("unavailable", "artefact_empty")


async def test_a_recording_of_two_gibibytes_is_imported(house: Any) -> None:
    """Its size is beyond 2^31. A worker dies when storage has all of it, so no byte needs to move here."""
    size = 2**31 + 5
    house.our_wire.instead = lambda method, _path: Response(status_code=503) if method == "PUT" else None
    await recorded(house, size)
    await house.settle()
    house.our_wire.instead = None
    await house.storage.sql("UPDATE stored_file SET received_bytes = size_bytes, completed_at = clock_timestamp()")
    await until_settled(house)
    (told,) = await house.published("recording.imported")
    shown = (await house.ledger())["recording"]
    (kept,) = await house.storage.rows("stored_file")
    assert [told["size_bytes"], shown["size_bytes"], kept["size_bytes"]] == [size] * 3
    assert shown["status"] == "imported"
