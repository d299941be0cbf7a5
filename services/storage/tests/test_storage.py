"""Storage through its front door: resumable uploads, whole files, nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from shared.hosting.service import Service
from shared.testing.fixtures import MakeSettings, PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, Meetings
from shared.web.identity import ServiceTokens
from storage.main import create_service
from storage.settings import Settings

SIZE = 700_000
BODY = bytes(n % 251 for n in range(SIZE))


class House(Harness):
    """The service; ``ingest`` is the service that opens upload sessions."""

    def __init__(self, service: Service, keys: PlatformKeys, ingest: ServiceTokens, meetings: Meetings) -> None:
        super().__init__(service, keys)
        self.ingest, self.meetings = ingest, meetings

    async def begin(self, **more: Any) -> httpx.Response:
        wanted = {"org_id": "acme", "dedupe_key": "r1", "path": "a.mp4", "content_type": "video/mp4"}
        headers = {"Authorization": f"Bearer {self.ingest.issue('storage')}"}
        body = wanted | {"size_bytes": SIZE} | more
        return await self.http.post("/internal/upload-sessions", json=body, headers=headers)

    async def session(self, **more: Any) -> Any:
        """An upload session: where its upload is, under ``upload``, and which file it makes."""
        opened = (await self.begin(**more)).json()
        return opened | {"upload": path_of(opened)}

    async def put(self, session: Any, start: int, end: int) -> httpx.Response:
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{SIZE}"}
        return await self.http.put(session["upload"], content=BODY[start:end], headers=headers)

    async def upload_all(self, session: Any) -> httpx.Response:
        await self.put(session, 0, 327_680)
        return await self.put(session, 327_680, SIZE)

    async def content(self, session: Any, ranged: str = "", **who: str) -> httpx.Response:
        headers = {"Range": ranged} if ranged else {}
        return await self.call("GET", f"/v1/files/{session['file_id']}/content", headers=headers, **who)


def path_of(opened: Any) -> str | None:
    """A session that is completed has no address."""
    url = opened.get("upload_url")
    return url and "/v1" + url.partition("/v1")[2]


@pytest.fixture
async def house(
    start_service: StartService, make_settings: MakeSettings, platform_keys: PlatformKeys, tmp_path: Path
) -> AsyncIterator[House]:
    meetings = Meetings()
    async with serving(Dispatcher({"meetings": meetings.app})) as url:
        more = {"object_store_dir": tmp_path / "files", "internal_url": url + "/{service}"}
        service = await start_service(create_service, Settings, "storage", **more)
        ingest = ServiceTokens(make_settings(Settings, "recording-ingest"), "recording-ingest")
        yield House(service, platform_keys, ingest, meetings)


async def test_an_upload_in_ranges_becomes_one_file_and_one_event(house: House) -> None:
    session = await house.session()
    done = await house.upload_all(session)
    assert (done.status_code, done.json()["size_bytes"]) == (201, SIZE)
    again = await house.put(session, 327_680, SIZE)
    assert again.status_code == 201
    part = await house.content(session, "bytes=10-19")
    beyond = await house.content(session, f"bytes={SIZE}-")
    assert (await house.content(session)).content == BODY
    assert (part.status_code, part.content) == (206, BODY[10:20])
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert len(await house.published("file.stored")) == 1


async def test_uploads_and_files_answer_what_openapi_says(house: House) -> None:
    service, session = house.service, await house.session()
    upload = session["upload"]
    parts = [await house.put(session, 0, 327_680), await house.http.get(upload)]
    parts += [await house.put(session, 327_680, SIZE), await house.http.get(upload)]
    check_described(service, "/v1/uploads/{token}", parts)
    check_described(service, "/v1/files/{file_id}", [await house.call("GET", f"/v1/files/{session['file_id']}")])
    contents = [await house.content(session, ranged) for ranged in ("", "bytes=10-19", f"bytes={SIZE}-")]
    check_described(service, "/v1/files/{file_id}/content", contents)
    check_described(service, "/v1/uploads/{token}", [await house.http.delete(upload)])


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


async def test_an_interrupted_upload_goes_on_where_it_stopped_at_a_new_address(house: House) -> None:
    first = await house.session()
    assert (await house.put(first, 0, 327_680)).json() == {"next_expected_ranges": ["327680-"]}
    second = await house.session()
    assert (second["file_id"], second["received_bytes"]) == (first["file_id"], 327_680)
    assert (await house.put(first, 327_680, SIZE)).status_code == 404
    assert (await house.put(second, 327_680, SIZE)).status_code == 201
    assert (await house.session())["completed"] is True


async def test_a_gap_is_refused_and_says_where_to_go_on(house: House) -> None:
    session = await house.session()
    answer = await house.put(session, 327_680, SIZE)
    assert (answer.status_code, answer.json()["next_expected"]) == (409, 0)


async def test_a_body_that_does_not_fit_its_range_is_refused(house: House) -> None:
    upload = (await house.session())["upload"]
    for ranged in (f"bytes 0-9/{SIZE}", "first three"):
        answer = await house.http.put(upload, content=b"abc", headers={"Content-Range": ranged})
        assert answer.status_code == 422


async def test_another_organisation_finds_no_such_file(house: House) -> None:
    session = await house.session()
    await house.upload_all(session)
    for path in ("", "/content"):
        assert (await house.call("GET", f"/v1/files/{session['file_id']}{path}", org="globex")).status_code == 404


async def test_a_person_cannot_open_an_upload_session(house: House) -> None:
    assert (await house.call("POST", "/internal/upload-sessions", json={})).status_code == 401


async def test_a_recording_is_read_by_attendees_while_it_is_shared(house: House) -> None:
    session = await house.session(owner_id="anna")
    key = ("acme", "ben", "recording", session["file_id"])
    house.meetings.shared.add(key)
    assert (await house.content(session, user="ben")).status_code == 404, "it is not whole"
    await house.upload_all(session)
    assert (await house.content(session, "bytes=10-19", user="ben")).content == BODY[10:20]
    assert (await house.content(session, user="cy")).status_code == 404
    house.meetings.shared.clear()
    assert (await house.content(session, user="ben")).status_code == 404


async def test_a_file_with_an_owner_is_that_persons_only(house: House) -> None:
    session = await house.session(owner_id="anna")
    await house.upload_all(session)
    for user, org, status in (("anna", "acme", 200), ("bo", "acme", 404), ("anna", "globex", 404)):
        for path in ("", "/content"):
            answer = await house.call("GET", f"/v1/files/{session['file_id']}{path}", org=org, user=user)
            assert answer.status_code == status


def parts_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("parts/*") if path.is_file()]


async def test_no_byte_is_written_twice_and_what_no_row_names_goes(house: House, tmp_path: Path) -> None:
    """A job of the upload's last transaction tidies, whoever runs it: a process that dies leaves nothing."""
    session = await house.session()
    await house.upload_all(session)
    kept = parts_in(tmp_path)
    assert [path.stat().st_size for path in sorted(kept)] == [327_680, SIZE - 327_680]
    (kept[0].parent / "of-a-writer-that-died").write_bytes(b"x")
    await house.work()
    assert parts_in(tmp_path) == kept
    for start, end in ((0, SIZE), (327_679, 327_681), (327_680, 327_681), (SIZE - 1, SIZE)):
        assert (await house.content(session, f"bytes={start}-{end - 1}")).content == BODY[start:end]


async def test_an_upload_that_is_abandoned_leaves_no_bytes(house: House, tmp_path: Path) -> None:
    given_up = await house.session(dedupe_key="r2")
    await house.put(given_up, 0, 327_680)
    assert (await house.http.delete(given_up["upload"])).status_code == 204
    await house.work()
    assert parts_in(tmp_path) == []


async def test_an_upload_that_nobody_goes_on_with_is_given_up_with_its_parts(house: House, tmp_path: Path) -> None:
    async def pass_days(days: int) -> None:
        statement = "UPDATE stored_file SET touched_at = touched_at - make_interval(days => :days)"
        await house.sql(statement, days=days)
        await house.hurry()
        await house.work()

    keys = ("idle", "going on", "whole")
    idle, going_on, whole = [await house.session(dedupe_key=key) for key in keys]
    await house.upload_all(whole)
    for session in (idle, going_on):
        await house.put(session, 0, 327_680)
    await pass_days(29)
    assert len(parts_in(tmp_path)) == 4
    await house.put(going_on, 327_680, 655_360)
    await pass_days(2)
    assert {path.parts[-3] for path in parts_in(tmp_path)} == {going_on["file_id"], whole["file_id"]}
    anew = await house.session(dedupe_key="idle")
    assert (anew["received_bytes"], anew["file_id"] == idle["file_id"]) == (0, False)
    assert (await house.session(dedupe_key="whole"))["completed"] is True


async def test_a_file_that_arrived_before_the_process_died_is_put_together(house: House) -> None:
    session = await house.session()
    await house.upload_all(session)
    before_the_commit = ("UPDATE stored_file SET completed_at = NULL", "DELETE FROM outbox", "DELETE FROM job")
    for statement in before_the_commit:
        await house.sql(statement)
    again = await house.session()
    assert (again["completed"], again["received_bytes"]) == (False, SIZE)
    where = await house.http.get(again["upload"])
    assert where.json() == {"next_expected_ranges": [], "file_id": session["file_id"]}
    assert (await house.content(session)).content == BODY
    assert len(await house.published("file.stored")) == 1


async def test_a_worker_that_was_taken_over_cannot_write_into_the_file(house: House) -> None:
    """Its range began before the takeover and ends after the other's: its part counts nowhere."""
    first = await house.session()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        begun.set()
        await may_end.wait()
        yield b"x" * (SIZE - 1000)

    headers = {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}
    zombie = asyncio.create_task(house.http.put(first["upload"], content=slowly(), headers=headers))
    await begun.wait()
    second = await house.session()
    await house.put(second, 0, 327_680)
    may_end.set()
    assert (await zombie).status_code == 404
    assert (await house.put(second, 327_680, SIZE)).status_code == 201
    assert (await house.content(first)).content == BODY


async def test_another_size_is_refused_and_disturbs_no_running_upload(house: House) -> None:
    session = await house.session()
    refused = await house.begin(size_bytes=SIZE + 1)
    assert (refused.status_code, refused.json()["code"]) == (422, "size_changed")
    assert (await house.upload_all(session)).status_code == 201
