"""Storage through its front door: resumable uploads, whole files, nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import text

from shared.bus import MemoryBus
from shared.identity import ServiceTokens
from shared.service import Service
from shared.testing.databases import Databases
from shared.testing.fixtures import PlatformKeys
from storage.main import create_service
from storage.settings import Settings

SIZE = 700_000
BODY = bytes(n % 251 for n in range(SIZE))


@pytest.fixture
async def service(
    databases: Databases, make_settings: Any, memory_bus: MemoryBus, platform_keys: PlatformKeys, tmp_path: Path
) -> AsyncIterator[Service]:
    settings = make_settings(Settings, "storage", object_store_dir=tmp_path / "files")
    await databases.empty("storage")
    service = create_service(settings, bus=memory_bus)
    platform_keys.know_issuer(service.user_tokens)
    await service.start(api=False, worker=False)
    yield service
    await service.stop()


@pytest.fixture
async def http(service: Service, client_of: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await client_of(service)
    return client


async def begin(http: httpx.AsyncClient, make_settings: Any, **more: Any) -> Any:
    ingest = ServiceTokens(make_settings(Settings, "recording-ingest"), "recording-ingest")
    wanted = {"org_id": "acme", "dedupe_key": "r1", "path": "a.mp4", "content_type": "video/mp4", "size_bytes": SIZE}
    headers = {"Authorization": f"Bearer {ingest.issue('storage')}"}
    return await http.post("/internal/upload-sessions", json=wanted | more, headers=headers)


async def put(http: httpx.AsyncClient, url: str, start: int, end: int) -> httpx.Response:
    path = "/v1" + url.partition("/v1")[2]
    return await http.put(path, content=BODY[start:end], headers={"Content-Range": f"bytes {start}-{end - 1}/{SIZE}"})


async def upload_all(http: httpx.AsyncClient, url: str) -> httpx.Response:
    await put(http, url, 0, 327_680)
    return await put(http, url, 327_680, SIZE)


async def test_an_upload_in_ranges_becomes_one_file_and_one_event(
    service: Service, http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys, memory_bus: MemoryBus
) -> None:
    session = (await begin(http, make_settings)).json()
    done = await upload_all(http, session["upload_url"])
    assert (done.status_code, done.json()["size_bytes"]) == (201, SIZE)
    again = await put(http, session["upload_url"], 327_680, SIZE)
    assert again.status_code == 201
    mine = {"Authorization": f"Bearer {platform_keys.token('acme')}"}
    whole = await http.get(f"/v1/files/{session['file_id']}/content", headers=mine)
    part = await http.get(f"/v1/files/{session['file_id']}/content", headers=mine | {"Range": "bytes=10-19"})
    beyond = await http.get(f"/v1/files/{session['file_id']}/content", headers=mine | {"Range": f"bytes={SIZE}-"})
    assert whole.content == BODY
    assert (part.status_code, part.content) == (206, BODY[10:20])
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    await service.relay.drain()
    assert len(memory_bus.records("file.stored")) == 1


async def test_uploads_and_files_answer_what_openapi_says(
    service: Service, http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys
) -> None:
    session = (await begin(http, make_settings)).json()
    mine = {"Authorization": f"Bearer {platform_keys.token('acme')}"}
    upload, file = "/v1" + session["upload_url"].partition("/v1")[2], f"/v1/files/{session['file_id']}"
    parts = [await put(http, upload, 0, 327_680), await http.get(upload), await put(http, upload, 327_680, SIZE)]
    ranges = [{}, {"Range": "bytes=10-19"}, {"Range": f"bytes={SIZE}-"}]
    check_described(service, "/v1/uploads/{token}", [*parts, await http.get(upload)])
    check_described(service, "/v1/files/{file_id}", [await http.get(file, headers=mine)])
    contents = [await http.get(f"{file}/content", headers=mine | wanted) for wanted in ranges]
    check_described(service, "/v1/files/{file_id}/content", contents)
    check_described(service, "/v1/uploads/{token}", [await http.delete(upload)])


def check_described(service: Service, path: str, answers: list[httpx.Response]) -> None:
    document = service.app.openapi()
    for answer in answers:
        described = document["paths"][path][answer.request.method.lower()]["responses"][str(answer.status_code)]
        assert {name.lower() for name in described.get("headers", {})} <= set(answer.headers)
        media = answer.headers.get("content-type")
        kinds = described.get("content", {})
        assert media is None or media in kinds or "*/*" in kinds
        if media == "application/json":
            Draft202012Validator(kinds[media]["schema"] | {"components": document["components"]}).validate(
                answer.json()
            )


async def test_an_interrupted_upload_goes_on_where_it_stopped_at_a_new_address(
    http: httpx.AsyncClient, make_settings: Any
) -> None:
    first = (await begin(http, make_settings)).json()
    assert (await put(http, first["upload_url"], 0, 327_680)).json() == {"next_expected_ranges": ["327680-"]}
    second = (await begin(http, make_settings)).json()
    assert (second["file_id"], second["received_bytes"]) == (first["file_id"], 327_680)
    assert (await put(http, first["upload_url"], 327_680, SIZE)).status_code == 404
    assert (await put(http, second["upload_url"], 327_680, SIZE)).status_code == 201
    assert (await begin(http, make_settings)).json()["completed"] is True


async def test_a_gap_is_refused_and_says_where_to_go_on(http: httpx.AsyncClient, make_settings: Any) -> None:
    session = (await begin(http, make_settings)).json()
    answer = await put(http, session["upload_url"], 327_680, SIZE)
    assert (answer.status_code, answer.json()["next_expected"]) == (409, 0)


async def test_a_body_that_does_not_fit_its_range_is_refused(http: httpx.AsyncClient, make_settings: Any) -> None:
    url = "/v1" + (await begin(http, make_settings)).json()["upload_url"].partition("/v1")[2]
    short = await http.put(url, content=b"abc", headers={"Content-Range": f"bytes 0-9/{SIZE}"})
    nonsense = await http.put(url, content=b"abc", headers={"Content-Range": "first three"})
    assert [short.status_code, nonsense.status_code] == [422, 422]


async def test_another_organisation_finds_no_such_file(
    http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys
) -> None:
    session = (await begin(http, make_settings)).json()
    await upload_all(http, session["upload_url"])
    theirs = {"Authorization": f"Bearer {platform_keys.token('globex')}"}
    for path in ("", "/content"):
        assert (await http.get(f"/v1/files/{session['file_id']}{path}", headers=theirs)).status_code == 404


async def test_a_person_cannot_open_an_upload_session(http: httpx.AsyncClient, platform_keys: PlatformKeys) -> None:
    headers = {"Authorization": f"Bearer {platform_keys.token('acme')}"}
    assert (await http.post("/internal/upload-sessions", json={}, headers=headers)).status_code == 401


async def test_a_file_with_an_owner_is_that_persons_only(
    http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys
) -> None:
    session = (await begin(http, make_settings, owner_id="anna")).json()
    await upload_all(http, session["upload_url"])
    for user, org, status in (("anna", "acme", 200), ("bo", "acme", 404), ("anna", "globex", 404)):
        headers = {"Authorization": f"Bearer {platform_keys.token(org, user)}"}
        for path in ("", "/content"):
            answer = await http.get(f"/v1/files/{session['file_id']}{path}", headers=headers)
            assert answer.status_code == status


def parts_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("parts/*") if path.is_file()]


async def test_parts_are_tidied_away_though_the_process_died_after_the_last(
    service: Service, http: httpx.AsyncClient, make_settings: Any, tmp_path: Path
) -> None:
    """The upload's answer does not delete them: a job of the same transaction does, whoever runs it."""
    session = (await begin(http, make_settings)).json()
    await upload_all(http, session["upload_url"])
    assert len(parts_in(tmp_path)) == 2
    await service.runner.drain()
    assert parts_in(tmp_path) == []
    given_up = (await begin(http, make_settings, dedupe_key="r2")).json()
    await put(http, given_up["upload_url"], 0, 327_680)
    assert (await http.delete("/v1" + given_up["upload_url"].partition("/v1")[2])).status_code == 204
    await service.runner.drain()
    assert parts_in(tmp_path) == []


async def test_an_upload_that_nobody_goes_on_with_is_given_up_with_its_parts(
    service: Service, http: httpx.AsyncClient, make_settings: Any, tmp_path: Path
) -> None:
    async def pass_days(days: int) -> None:
        statement = "UPDATE stored_file SET touched_at = touched_at - make_interval(days => :days)"
        async with service.db.system_work() as work:
            await work.session.execute(text(statement), {"days": days})
            await work.session.execute(text("UPDATE job SET run_at = clock_timestamp()"))
        await service.runner.drain()

    keys = ("idle", "going on", "whole")
    idle, going_on, whole = [(await begin(http, make_settings, dedupe_key=key)).json() for key in keys]
    await upload_all(http, whole["upload_url"])
    for session in (idle, going_on):
        await put(http, session["upload_url"], 0, 327_680)
    await pass_days(29)
    assert len(parts_in(tmp_path)) == 2
    await put(http, going_on["upload_url"], 327_680, 655_360)
    await pass_days(2)
    assert {path.parts[-3] for path in parts_in(tmp_path)} == {going_on["file_id"]}
    anew = (await begin(http, make_settings, dedupe_key="idle")).json()
    assert (anew["received_bytes"], anew["file_id"] == idle["file_id"]) == (0, False)
    assert (await begin(http, make_settings, dedupe_key="whole")).json()["completed"] is True


async def test_a_file_whose_last_range_arrived_before_the_process_died_is_put_together(
    service: Service, http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys, memory_bus: MemoryBus
) -> None:
    session = (await begin(http, make_settings)).json()
    await upload_all(http, session["upload_url"])
    async with service.db.system_work() as work:  # as it stood before the completion was committed
        await work.session.execute(text("UPDATE stored_file SET completed_at = NULL"))
        await work.session.execute(text("DELETE FROM outbox"))
        await work.session.execute(text("DELETE FROM job"))
    again = (await begin(http, make_settings)).json()
    assert (again["completed"], again["received_bytes"]) == (False, SIZE)
    where = await http.get("/v1" + again["upload_url"].partition("/v1")[2])
    assert where.json() == {"next_expected_ranges": [], "file_id": session["file_id"]}
    mine = {"Authorization": f"Bearer {platform_keys.token('acme')}"}
    assert (await http.get(f"/v1/files/{session['file_id']}/content", headers=mine)).content == BODY
    await service.relay.drain()
    assert len(memory_bus.records("file.stored")) == 1


async def test_a_worker_that_was_taken_over_cannot_write_into_the_file(
    http: httpx.AsyncClient, make_settings: Any, platform_keys: PlatformKeys
) -> None:
    """Its range began before the takeover and ends after the other's: its part counts nowhere."""
    first = (await begin(http, make_settings)).json()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        begun.set()
        await may_end.wait()
        yield b"x" * (SIZE - 1000)

    path = "/v1" + first["upload_url"].partition("/v1")[2]
    headers = {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}
    zombie = asyncio.create_task(http.put(path, content=slowly(), headers=headers))
    await begun.wait()
    second = (await begin(http, make_settings)).json()
    await put(http, second["upload_url"], 0, 327_680)
    may_end.set()
    assert (await zombie).status_code == 404
    assert (await put(http, second["upload_url"], 327_680, SIZE)).status_code == 201
    mine = {"Authorization": f"Bearer {platform_keys.token('acme')}"}
    assert (await http.get(f"/v1/files/{first['file_id']}/content", headers=mine)).content == BODY


async def test_another_size_under_the_same_key_is_refused_and_disturbs_no_running_upload(
    http: httpx.AsyncClient, make_settings: Any
) -> None:
    session = (await begin(http, make_settings)).json()
    refused = await begin(http, make_settings, size_bytes=SIZE + 1)
    assert (refused.status_code, refused.json()["code"]) == (422, "size_changed")
    assert (await upload_all(http, session["upload_url"])).status_code == 201
