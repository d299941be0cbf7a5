"""Files that were stored before this version, and uploads that were under way."""

from pathlib import Path

import pytest

from shared.hosting.migrate import migrate
from shared.secrets import digest
from shared.testing.databases import connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness, StartService
from shared.testing.migrating import back_to
from storage.main import create_service
from storage.settings import Settings

BEFORE = """INSERT INTO stored_file
        (org_id, id, dedupe_key, path, content_type, size_bytes, received_bytes, parts, token_hash, completed_at)
    VALUES ('acme', '{whole}', 'w', 'w.mp4', 'video/mp4', 6, 6, '{{00000000000000000000-a,00000000000000000003-b}}',
            NULL, now()),
           ('acme', '{begun}', 'b', 'b.mp4', 'video/mp4', 6, 5, '{{00000000000000000000-c,00000000000000000003-d}}',
            '{token}', NULL),
           ('acme', '{idle}', 'i', 'i.mp4', 'video/mp4', 6, 0, '{{}}', NULL, NULL)"""
QUEUED = """INSERT INTO job (org_id, kind, dedupe_key, payload, priority)
    VALUES ('acme', 'tidy_parts', '{whole}', '{{"file_id": "{whole}"}}', 2)"""
WHOLE, BEGUN, IDLE = ("00000000-0000-4000-8000-00000000000" + one for one in "123")


@pytest.mark.parametrize("written", ["before the migration", "beside this version"])
async def test_what_the_version_before_wrote_is_read_and_goes_on(
    start_service: StartService, platform_keys: PlatformKeys, tmp_path: Path, written: str
) -> None:
    service = await start_service(create_service, Settings, "storage", object_store_dir=tmp_path / "files")
    url = service.settings.migration_database_url
    if written == "before the migration":
        await back_to("0003", "storage", url)
    owner = await connect(url)
    await owner.execute("SELECT set_config('app.scope', 'system', false)")
    await owner.execute(BEFORE.format(whole=WHOLE, begun=BEGUN, idle=IDLE, token=digest("secret")))
    await owner.execute(QUEUED.format(whole=WHOLE))
    await owner.close()
    put(tmp_path, WHOLE, {"content": b"abcdef", "parts/00000000000000000000-a": b"abc"})
    put(tmp_path, BEGUN, {"parts/00000000000000000000-c": b"uvw", "parts/00000000000000000003-d": b"xy"})
    await migrate("storage", service.settings)
    house = Harness(service, platform_keys)
    part = await house.call("GET", f"/v1/files/{WHOLE}/content", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"cde")
    last = await house.http.put("/v1/uploads/secret", content=b"z", headers={"Content-Range": "bytes 5-5/6"})
    assert last.status_code == 201
    await house.work()
    assert not (tmp_path / "files/acme" / WHOLE / "parts/00000000000000000000-a").exists()
    for file, content in ((WHOLE, b"abcdef"), (BEGUN, b"uvwxyz")):
        assert (await house.call("GET", f"/v1/files/{file}/content")).content == content


def put(folder: Path, file: str, objects: dict[str, bytes]) -> None:
    for name, content in objects.items():
        path = folder / "files/acme" / file / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
