"""A migration from SharePoint back to Prospo's own storage, while SharePoint storage is switched off."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from m365_simulator.testing import Wire
from storage import trips
from storage.objects import Objects
from storage.work import TidyObjects

from .libraries import UNIT, Killed
from .office import BODY, SITE, Json, Office
from .test_moving import NAMED, described, migration, objects, uploaded

BACK = {"to": "prospo"}


async def in_sharepoint(office: Office) -> list[Json]:
    """A recording and a file of a person in the chosen place, which is not used any more."""
    await office.in_use()
    recording = await office.store()
    file = await uploaded(office)
    await office.settle()
    await office.tenant(on=False)
    assert len(office.in_library()) == 2
    return [{"id": recording["file_id"]}, file]


async def start(office: Office, status: int = 202, **body: Any) -> Json:
    answer = await office.admin("POST", "/v1/storage/migration", json=BACK | body)
    assert answer.status_code == status, answer.text
    said: Json = answer.json()
    return said


async def test_with_the_switch_off_all_files_move_back_to_prospos_own_storage(office: Office, tmp_path: Path) -> None:
    files = await in_sharepoint(office)
    offered = await migration(office)
    said = (offered["state"], offered["to"], offered["name"], offered["files"], offered["bytes"])
    assert said == ("offered", "prospo", "Prospo storage", 2, 2 * len(BODY))
    running = await start(office)
    assert (running["state"], running["waiting"], running["moved_files"]) == ("running", 2, 0)
    await office.settle()
    done = await migration(office)
    assert (done["state"], done["to"], done["moved_files"], done["moved_bytes"]) == ("done", "prospo", 2, 2 * len(BODY))
    assert (office.in_library(), len(objects(tmp_path))) == ([], 2), "one whole copy of each, and none in SharePoint"
    assert (await office.admin("GET", "/v1/storage/left-copies")).json()["items"] == []
    for file in files:
        shown = await described(office, file)
        assert (shown["place"], shown["stored_as"], shown["sha256"]) == (
            "prospo",
            None,
            hashlib.sha256(BODY).hexdigest(),
        )
        assert (await office.content(file["id"], "bytes=10-19")).content == BODY[10:20]
    assert (await office.admin("GET", "/v1/storage/policy")).json()["used_bytes"] == 2 * len(BODY)
    await office.tenant(on=True)
    assert (await migration(office))["state"] == "offered", "and there again"
    await migration(office, "POST")
    await office.settle()
    assert (len(office.in_library()), objects(tmp_path)) == (2, [])


@pytest.mark.parametrize("at", ["request", "answer", "object", "stored object", "saved"])
async def test_a_move_back_goes_on_at_its_part_after_any_kill(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str
) -> None:
    """Each life ends one step later: at Microsoft, at the object store, or when it has said how far it is."""
    files = await in_sharepoint(office)
    monkeypatch.setattr(trips, "PART", UNIT)
    written: list[str] = []
    left = 0

    def mortal(call: Any, before: bool, after: bool, seen: Callable[..., None] = lambda *_: None) -> Any:
        async def called(*given: Any, **more: Any) -> Any:
            nonlocal left
            left -= before or after
            if left == 0 and before:
                raise Killed
            answer = await call(*given, **more)
            seen(*given)
            if left == 0 and after:
                raise Killed
            return answer

        return called

    http = office.service.guest("graph").http
    monkeypatch.setattr(http, "send", mortal(http.send, at == "request", at == "answer"))
    put = mortal(Objects.put, at == "object", at == "stored object", lambda _store, name, *_: written.append(name))
    monkeypatch.setattr(Objects, "put", put)
    kept = mortal(trips.ToProspo._keep, False, at == "saved")
    monkeypatch.setattr(trips.ToProspo, "_keep", kept)
    await start(office)
    lives = 0
    while (await migration(office))["state"] == "running":
        lives += 1
        left = lives
        assert lives < 20
        await office.work()
        left = 0
        await office.sql("UPDATE job SET state = 'waiting', lease_until = NULL WHERE state = 'running'")
        await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
        for file in files:
            assert (await office.content(file["id"])).content == BODY, "readable all the time"
        await office.hurry("move_files")
    await office.hurry("delete_copy")
    await office.settle()
    parts = 2 * -(-len(BODY) // UNIT)
    assert lives > 3
    assert (office.in_library(), len(objects(tmp_path))) == ([], parts), "one whole copy of each, and nothing beside it"
    assert len(written) <= parts + lives, "at most one part of each life is written in vain"
    for file in files:
        assert (await described(office, file))["place"] == "prospo"
        assert (await office.content(file["id"])).content == BODY


async def test_a_cancelled_move_back_leaves_the_rest_in_sharepoint(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = await in_sharepoint(office)
    monkeypatch.setattr(trips, "PART", UNIT)
    await start(office)
    wire = office.simulator.app = Wire(office.simulator.app)

    async def cancel() -> None:
        assert (await migration(office, "DELETE"))["state"] == "cancelled"

    wire.during("GET", "/dl/", cancel, done=True)
    await office.settle()
    wire.instead = None
    stands = await migration(office)
    assert (stands["state"], stands["moved_files"], stands["files"]) == ("cancelled", 0, 2)
    assert (len(office.in_library()), objects(tmp_path), await office.rows("file_move")) == (2, [], [])
    for file in files:
        assert (await office.content(file["id"])).content == BODY
    await start(office)
    await office.settle()
    assert (office.in_library(), (await migration(office))["moved_files"]) == ([], 2)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ({"text": "somebody else wrote this"}, "changed this file in SharePoint"),
        ({"text": "x" * len(BODY)}, "its SHA-256 differs"),
        ({}, "not where it was any more"),
        ({"virus": "Test:Worm"}, "found malware in this file"),
    ],
)
async def test_a_file_that_cannot_come_back_is_named_and_the_others_do(
    office: Office, tmp_path: Path, harm: Json, says: str
) -> None:
    """Its copy in SharePoint is gone, or somebody changed it: what they wrote stays there."""
    files = await in_sharepoint(office)
    (path,) = [path for path in office.in_library() if path.endswith(".mp4")]
    if "virus" in harm:
        await office.microsoft.do("file_infect", drive="Sales", path=path, **harm)
    elif harm:
        await office.microsoft.do("file_put", drive="Sales", path=path, **harm)
    else:
        await office.microsoft.do("file_delete", drive="Sales", path=path)
    before = office.in_library()
    await start(office)
    for _ in range(5):
        await office.settle()
        await office.hurry("move_files")
        await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
    await office.settle()
    stands = await migration(office)
    assert (stands["state"], stands["moved_files"]) == ("done", 1)
    ((failed),) = stands["failed"]
    assert (failed["file_id"], says in failed["says"]) == (files[0]["id"], True), failed
    assert office.in_library() == [path for path in before if path.endswith(".mp4")]
    assert len(objects(tmp_path)) == 1, "no part of it is left in Prospo's own storage"
    assert (await described(office, files[1]))["place"] == "prospo"
    assert await office.sql("SELECT state FROM job WHERE kind = 'move_files' AND state = 'failed'") == []


async def test_a_change_while_the_file_was_read_is_not_deleted(office: Office, tmp_path: Path) -> None:
    """The new content has the same size, and no SHA-256 is known yet: only the content at the place differs."""
    await office.in_use()
    await office.store()
    await office.settle()
    await office.tenant(on=False)
    await office.sql("UPDATE stored_file SET sha256 = NULL")
    (path,) = office.in_library()
    wire = office.simulator.app = Wire(office.simulator.app)

    async def change() -> None:
        await office.microsoft.do("file_put", drive="Sales", path=path, text="x" * len(BODY))

    wire.during("GET", "/dl/", change, done=True)
    await start(office)
    await office.settle()
    assert (office.in_library(), (await migration(office))["moved_files"]) == ([path], 0)
    (row,) = await office.rows("file_move")
    assert "changed this file" in row["says"]
    assert (row["moved_bytes"], row["parts"], objects(tmp_path)) == (0, [], [])


async def test_a_change_before_the_hash_was_known_stays_there(office: Office, tmp_path: Path) -> None:
    await office.in_use()
    await office.store()
    (path,) = office.in_library()
    await office.microsoft.do("file_put", drive="Sales", path=path, text="x" * len(BODY))
    await office.settle()
    await office.tenant(on=False)
    await start(office)
    await office.settle()
    (row,) = await office.rows("file_move")
    assert "changed this file" in row["says"]
    assert (office.in_library(), objects(tmp_path)) == ([path], [])


async def test_a_file_deleted_while_it_comes_back_leaves_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = await in_sharepoint(office)
    monkeypatch.setattr(trips, "PART", UNIT)
    await start(office)
    wire = office.simulator.app = Wire(office.simulator.app)

    async def delete() -> None:
        for file in files:
            assert (await office.call("DELETE", f"/v1/files/{file['id']}")).status_code == 204

    wire.during("GET", "/dl/", delete, done=True)
    await office.settle()
    wire.instead = None
    await office.settle()
    assert (office.in_library(), objects(tmp_path), await office.rows("stored_file")) == ([], [], [])


async def test_tidying_a_file_spares_what_is_on_its_way_back(
    office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The job that deleted its parts when it went to SharePoint may run late."""
    files = await in_sharepoint(office)
    monkeypatch.setattr(trips, "PART", UNIT)
    put, tidied = Objects.put, 0

    async def then_tidy(*given: Any) -> Any:
        nonlocal tidied
        entry = await put(*given)
        async with office.service.db.unit_of_work("acme") as work:
            for file in files:
                work.queue(TidyObjects(file_id=file["id"]))
        tidied += 1
        await office.work()
        return entry

    monkeypatch.setattr(Objects, "put", then_tidy)
    await start(office)
    await office.settle()
    assert tidied == 2 * -(-len(BODY) // UNIT)
    for file in files:
        assert (await office.content(file["id"])).content == BODY
    assert (await migration(office))["moved_files"] == 2


async def test_what_does_not_fit_is_refused_before_a_byte_is_moved(office: Office) -> None:
    await in_sharepoint(office)
    office.service.settings.organisation_quota_bytes = 2 * len(BODY) - 1
    assert (await start(office, 507))["code"] == "quota_reached"
    assert (await office.rows("file_move"), (await migration(office))["state"]) == ([], "offered")
    office.service.settings.organisation_quota_bytes += 1
    await start(office)
    key = {"Idempotency-Key": "one more"}
    wanted = {"name": "a.txt", "content_type": "text/plain", "size_bytes": 1}
    refused = await office.call("POST", "/v1/files", json=wanted, headers=key)
    assert (refused.status_code, refused.json()["code"]) == (507, "quota_reached"), "their room is kept for them"
    await office.settle()
    assert (await migration(office))["moved_files"] == 2


async def test_files_move_back_only_while_the_place_is_not_in_use(office: Office) -> None:
    await in_sharepoint(office)
    await office.tenant(on=True)
    said = await start(office, 409)
    assert (said["code"], "› Recordings" in said["detail"]) == ("place_in_use", True)
    await office.tenant(on=False, connected=False)
    assert (await start(office, 409))["code"] == "tenant_not_connected"
    await office.tenant(on=False)
    assert (await office.admin("POST", "/v1/storage/migration", json={"to": "mars"})).status_code == 422
    other = await office.admin("POST", "/v1/storage/migration", json=BACK, org="globex")
    assert other.status_code == 409
    await start(office)
    await office.tenant(on=True)
    both = await office.admin("POST", "/v1/storage/migration")
    assert (both.status_code, both.json()["code"]) == (409, "migration_running")
    await migration(office, "DELETE")
    assert (await migration(office, "POST"))["files"] == 0, "where they belong already"
    await office.settle()
    assert ((await migration(office))["state"], len(office.in_library())) == ("done", 2)


async def test_a_move_back_waits_while_the_tenant_is_disconnected(office: Office) -> None:
    await in_sharepoint(office)
    await start(office)
    await office.tenant(on=False, connected=False)
    await office.settle()
    assert ((await migration(office))["state"], len(office.in_library())) == ("running", 2)
    await office.tenant(on=False)
    await office.hurry("move_files")
    await office.settle()
    assert ((await migration(office))["moved_files"], office.in_library()) == (2, [])


async def test_a_store_that_denies_is_said_and_files_come_back_later(office: Office, tmp_path: Path) -> None:
    files = await in_sharepoint(office)
    denied = tmp_path / "files/acme"
    shutil.rmtree(denied)
    denied.write_text("a file where a folder is wanted")
    await start(office)
    await office.settle()
    (row, *_) = await office.rows("file_move")
    assert ("does not take or give files" in row["says"], row["failed"]) == (True, False)
    key = {"Idempotency-Key": "denied"}
    refused = await office.call("POST", "/v1/files/uploads/small", params=NAMED, content=b"a", headers=key)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "store_refuses", "60")
    denied.unlink()
    await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
    await office.hurry("move_files")
    await office.settle()
    assert (await migration(office))["moved_files"] == 2
    assert (await office.content(files[0]["id"])).content == BODY


async def test_a_file_that_is_gone_from_the_former_library_is_named(office: Office) -> None:
    await office.in_use()
    await office.store()
    (path,) = office.in_library()
    assert (await office.choose(SITE))["chosen"]
    await office.microsoft.do("file_delete", drive="Sales", path=path)
    await migration(office, "POST")
    for _ in range(5):
        await office.settle()
        await office.hurry("move_files")
        await office.sql("UPDATE file_move SET not_before = clock_timestamp()")
    await office.settle()
    (failed,) = (await migration(office))["failed"]
    assert "not where it was any more" in failed["says"]
