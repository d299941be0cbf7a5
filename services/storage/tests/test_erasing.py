"""What an erasure leaves of a person and an organisation in storage: rows, and the objects they stand for."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from shared.hosting.service import Service
from shared.privacy.erasure import Erasure, Subject
from shared.problems import BadInput, NotFound
from shared.testing import erasure
from shared.testing.harness import StartService
from storage import uploads
from storage.main import create_service
from storage.settings import Settings

ROWS = (
    """INSERT INTO stored_file (org_id, id, dedupe_key, path, content_type, size_bytes, owner_id, token_hash)
        VALUES ('{org}', 'f-{user}', '{mark}', '{mark}', 'video/mp4', 3, '{user}', '{mark}')""",
    """INSERT INTO job (org_id, kind, payload, priority, run_at) VALUES ('{org}', 'tidy_objects',
        '{{"file_id": "f-{user}", "about": "{mark}"}}', 0, now() + interval '1 day')""",
)


@pytest.fixture
async def service(start_service: StartService, tmp_path: Path) -> Service:
    return await start_service(create_service, Settings, "storage", object_store_dir=tmp_path / "files")


async def bytes_of(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def put(service: Service, org: str, file_id: str) -> None:
    """A whole file, where there is a row for it, and a part that a writer left that died."""
    part = await service.provided["parts"].add(org, file_id, 0, 3, bytes_of(b"abc"))
    async with service.db.system_work() as work:
        named = "UPDATE stored_file SET parts = ARRAY[:part], in_parts = true, completed_at = now() WHERE id = :id"
        await work.session.execute(text(named), {"part": part, "id": file_id})
    await service.provided["parts"].add(org, file_id, 0, 3, bytes_of(b"xyz"))


def files(folder: Path) -> list[tuple[str, ...]]:
    """Organisation and file of every object there is."""
    root = folder / "files"
    return sorted({path.relative_to(root).parts[:2] for path in root.rglob("*") if path.is_file()})


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_with_their_files_and_nobody_else(service: Service, tmp_path: Path) -> None:
    for org, user in erasure.PEOPLE:
        await put(service, org, f"f-{user}")
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["stored_file"], erased["job"]) == (1, 2)
    assert files(tmp_path) == [("acme", "f-ben"), ("globex", "f-anna")]


async def test_an_organisation_is_erased_with_its_files_and_strays_and_no_other(
    service: Service, tmp_path: Path
) -> None:
    for org, user in (*erasure.PEOPLE, ("acme-2", "anna"), ("acme", "stray")):
        await put(service, org, f"f-{user}")
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert (report.erased["stored_file"], report.erased["objects"]) == (2, 2)
    assert files(tmp_path) == [("acme-2", "f-anna"), ("globex", "f-anna")]


async def test_a_person_is_given_their_files_by_name_size_and_hash(service: Service) -> None:
    await erasure.fill(service, ROWS)
    await put(service, "acme", "f-anna")
    (file,) = (await erasure.exported(service, "acme", "anna"))["data"]["stored_file"]
    assert (file["name"], file["bytes"]) == ("private of acme/anna", 3)
    assert file["sha256"] == hashlib.sha256(b"abc").hexdigest()


async def test_a_file_stays_known_until_its_objects_are_gone(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies at the object store leaves the row, closed to uploads, and the data key; the next one goes on."""
    await erasure.fill(service, ROWS)
    parts = service.provided["parts"]

    async def gone(*_: Any) -> None:
        raise OSError("the object store is away")

    with monkeypatch.context() as patch:
        patch.setattr(parts, "remove", gone)
        with pytest.raises(OSError, match="away"):
            await erasure.erase(service, "acme")
    left = await erasure.contents(service.db)
    assert len([row for row in left["stored_file"] if row.startswith("acme")]) == 2
    assert [row for row in left["data_key"] if "acme" in row]
    async with service.db.system_work() as work:
        hashes = await work.session.execute(text("SELECT token_hash FROM stored_file WHERE org_id = 'acme'"))
        assert set(hashes.scalars()) == {None}
    report = await erasure.erase(service, "acme")
    assert (report.erased["stored_file"], report.erased["data_key"]) == (2, 1)


async def test_a_file_erased_while_its_last_range_came_leaves_nothing(service: Service, tmp_path: Path) -> None:
    await erasure.fill(service, ROWS)
    await service.provided["parts"].add("acme", "f-anna", 0, 3, bytes_of(b"abc"))
    async with service.db.system_work() as work:
        query = text("SELECT * FROM stored_file WHERE org_id = 'acme' AND owner_id = 'anna'")
        row = (await work.session.execute(query)).one()
    async with service.db.system_work() as work:
        await work.session.execute(text("DELETE FROM stored_file WHERE org_id = 'acme' AND owner_id = 'anna'"))
    with pytest.raises(NotFound):
        await uploads.complete(service.db, service.provided["parts"], row)
    assert files(tmp_path) == []


@pytest.mark.parametrize("named", [("", None), ("acme", "")])
async def test_nobody_is_erased_for_an_empty_name(named: tuple[str, str | None]) -> None:
    with pytest.raises(BadInput):
        Subject(*named)


async def test_an_erasure_works_in_batches(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await erasure.fill(service, ROWS)
    async with service.db.system_work() as work:
        await work.session.execute(
            text(
                """INSERT INTO graph_subscription (org_id, user_id, resource)
                   SELECT 'acme', 'anna', g::text FROM generate_series(1, 1203) g"""
            )
        )
    erased = Erasure(service.name, service.db, service.holdings, Subject("acme", "anna"), service.provided)
    report = await erased.run()
    assert report.erased["graph_subscription"] == 1204
