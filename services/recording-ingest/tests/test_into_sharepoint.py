"""Recordings of an organisation that chose a place in SharePoint go there straight, by way of nobody."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from .steps import chosen, switch

KIB = 320 * 1024
SIZE = 12 * KIB + 1
CHUNK = 32 * KIB
SIZE_OF_SEVERAL = 3 * CHUNK + 17
PATTERN = bytes(range(251))
UPLOAD = {"path": "/up/*", "method": "PUT"}


def whole(size: int) -> bytes:
    return (PATTERN * (size // 251 + 1))[:size]


BODY = whole(SIZE)


@pytest.fixture
def chunk_max_bytes() -> int:
    return 3 * KIB


async def recorded(house: Any, size: int = SIZE) -> None:
    await house.microsoft.recording_size(size)
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)


async def until_settled(house: Any) -> None:
    for _ in range(8):
        await house.settle()
        if not await house.sql("SELECT 1 FROM job WHERE kind = 'transfer'"):
            break
        await house.hurry("transfer")


def in_library(house: Any) -> list[str]:
    drives = [row["id"] for row in house.simulator.store.all("drives")]
    rows = [row for drive in drives for row in house.simulator.store.all(f"items/{drive}")]
    return [row["name"] for row in rows if row["content"] is not None and row["name"] != "read me.txt"]


async def arrived(house: Any, body: bytes = BODY) -> None:
    (told,) = await house.published("recording.imported")
    (stored,) = await house.storage.published("file.stored")
    assert (told["file_id"], told["size_bytes"], stored["size_bytes"]) == (stored["file_id"], len(body), len(body))
    assert len(in_library(house)) == 1
    got = await house.read(f"/v1/files/{told['file_id']}/content", files=True)
    assert got.content == body
    assert (await house.ledger())["recording"]["status"] == "imported"


async def test_a_recording_goes_from_graph_to_the_place_by_way_of_nobody(house: Any, tmp_path: Any) -> None:
    await chosen(house)
    await recorded(house)
    await until_settled(house)
    await arrived(house)
    assert not [path for method, path, _ in house.our_wire.requests if method == "PUT"], "storage carries no byte"
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    (name,) = in_library(house)
    assert name.startswith("Review 20")


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("refused", {"status": 404}),
        ("refused", {"status": 403}),
        ("refused", {"status": 409}),
        ("refused", {"status": 416, "code": "invalidRange"}),
        ("refused", {"status": 413, "code": "requestEntityTooLarge"}),
        ("refused", {"status": 400, "code": "invalidRequest"}),
        ("server_error", {"status": 503}),
        ("reset", {}),
        ("done_but_reset", {}),
        ("done_but_error", {"status": 504}),
    ],
)
async def test_whatever_a_range_is_answered_the_recording_arrives_once(
    house: Any, fault: str, options: dict[str, Any]
) -> None:
    await chosen(house)
    await house.microsoft.fault(fault, **options, match=UPLOAD)
    await recorded(house)
    await until_settled(house)
    await arrived(house)


async def test_bytes_that_arrive_damaged_are_sent_again(house: Any) -> None:
    """storage compares the hash that the sender made as it sent, so what was damaged on the way is found."""
    await chosen(house)
    await recorded(house)
    changed = 0

    def damaged(method: str, path: str) -> Any:
        nonlocal changed
        changed += method == "PUT" and path.startswith("/up/")
        return flipping(house) if method == "PUT" and path.startswith("/up/") and changed == 1 else None

    house.graph_wire.instead = damaged
    await until_settled(house)
    await arrived(house)
    assert changed > 1


def flipping(house: Any) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def changed() -> Any:
            message = await receive()
            return message | {"body": bytes(byte ^ 1 for byte in message.get("body", b""))}

        await house.graph_wire.app(scope, changed, send)

    return app


@pytest.mark.parametrize("trouble", ["full", "withdrawn"])
async def test_a_recording_waits_for_its_place_and_follows_by_itself(house: Any, trouble: str) -> None:
    await chosen(house)
    await recorded(house)
    if trouble == "full":
        await house.microsoft.fault("refused", status=507, times=None, match=UPLOAD)
    else:
        await house.microsoft.do("site_revoke", site="/sites/Sales")
    await until_settled(house)
    shown = (await house.ledger())["recording"]
    assert (shown["status"], shown["code"]) == ("paused", "storage_location_stopped")
    assert "follow by themselves" in shown["reason"]
    (told,) = await house.published("recording.unavailable")
    assert told["code"] == "storage_location_stopped"
    await house.microsoft.clear_faults()
    if trouble == "withdrawn":
        await house.microsoft.do("site_grant", site="/sites/Sales", role="write")
    await house.storage.hurry("look_at_location")
    await house.storage.settle()
    await house.hurry("transfer")
    await until_settled(house)
    await arrived(house)


@pytest.mark.parametrize("happens", ["withdrawn", "switched off", "disconnected"])
async def test_what_happens_in_the_middle_of_a_transfer_leaves_one_file(
    house: Any, tmp_path: Path, happens: str
) -> None:
    """A state that a person understands; it goes on when it may, and the recording is in one place, whole."""
    await chosen(house)
    await recorded(house, SIZE_OF_SEVERAL)

    async def act() -> None:
        if happens == "withdrawn":
            await house.microsoft.do("site_revoke", site="/sites/Sales")
        elif happens == "switched off":
            await switch(house, 2, on=False)
        else:
            await switch(house, 2, connected=False)
            await house.tenant(2, connected=False)

    house.graph_wire.during("PUT", "/up/", act, number=2)
    await until_settled(house)
    if happens != "switched off":
        shown = (await house.ledger())["recording"]
        code = {"withdrawn": "storage_location_stopped", "disconnected": "tenant_not_connected"}[happens]
        assert (shown["status"], shown["code"]) == ("paused", code)
        assert shown["reason"]
    if happens == "withdrawn":
        await house.microsoft.do("site_grant", site="/sites/Sales", role="write")
        await house.storage.hurry("look_at_location")
        await house.storage.settle()
    elif happens == "disconnected":
        await switch(house, 3)
        await house.connect(version=3)
    await house.hurry("transfer")
    await until_settled(house)
    (told,) = await house.published("recording.imported")
    assert (await house.read(f"/v1/files/{told['file_id']}/content", files=True)).content == whole(SIZE_OF_SEVERAL)
    kept = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert len(in_library(house)) + bool(kept) == 1
    assert house.simulator.store.all("upload_sessions") == []


async def test_a_worker_killed_at_any_range_is_followed_by_one_that_goes_on(house: Any) -> None:
    await chosen(house)
    await recorded(house, SIZE_OF_SEVERAL)
    for killed in range(1, 5):
        seen = 0
        worker = asyncio.create_task((await house.remake()).runner.run())

        def instead(method: str, path: str, worker: Any = worker, killed: int = killed) -> Any:
            nonlocal seen
            seen += method == "PUT" and path.startswith("/up/")
            return dying(house, worker) if method == "PUT" and path.startswith("/up/") and seen == 2 else None

        house.graph_wire.instead = instead
        while not worker.done() and not await imported(house):
            await asyncio.wait([worker], timeout=0.1)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await house.sql("UPDATE job SET lease_until = clock_timestamp() WHERE state = 'running'")
    await arrived(house, whole(SIZE_OF_SEVERAL))
    sent = [path for method, path, _ in house.graph_wire.requests if method == "PUT" and path.startswith("/up/")]
    assert len(set(sent)) == 2, "the trial's session and one for the recording"


async def imported(house: Any) -> bool:
    return bool(await house.sql("SELECT 1 FROM artefact WHERE kind = 'recording' AND status = 'imported'"))


def dying(house: Any, worker: "asyncio.Task[None]") -> Any:
    """The range is stored; the worker ends before the answer comes."""

    async def silent(_message: Any) -> None:
        return None

    async def die(scope: Any, receive: Any, _send: Any) -> None:
        await house.graph_wire.app(scope, receive, silent)
        jobs = [task for task in asyncio.all_tasks() if task.get_name().startswith("job ")]
        while doomed := [task for task in (worker, *jobs) if not task.done()]:
            for task in doomed:
                task.cancel()
            await asyncio.wait(doomed, timeout=0.2)

    return die


async def test_switched_off_recordings_stay_with_prospo(house: Any, tmp_path: Any) -> None:
    await chosen(house)
    await switch(house, 2, on=False)
    await recorded(house)
    await until_settled(house)
    (told,) = await house.published("recording.imported")
    assert (await house.read(f"/v1/files/{told['file_id']}/content", files=True)).content == BODY
    assert in_library(house) == []
