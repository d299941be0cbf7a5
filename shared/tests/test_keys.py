"""Rotating the keys that wrap data keys: everything still opens, and what does not says why."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from shared.database.unit_of_work import Database
from shared.hosting.commands import operate, parser
from shared.hosting.service import Service
from shared.privacy import keys
from shared.problems import ConfigurationError
from shared.secrets import Envelope, KeyRing, Unreadable

from .conftest import MakeService


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    return await make_service()


async def seal(service: Service, org: str = "acme", place: str = "t|1") -> bytes:
    async with service.db.unit_of_work(org) as work:
        return await service.envelope.seal(work.session, org, place, f"secret of {org}".encode())


async def opened(db: Database, envelope: Envelope, blob: bytes, org: str = "acme", place: str = "t|1") -> bytes:
    async with db.unit_of_work(org) as work:
        return await envelope.open(work.session, org, place, blob)


async def change(service: Service, statement: str, **values: Any) -> None:
    async with service.db.system_work() as work:
        await work.session.execute(text(statement), values)


def fresh(service: Service) -> Envelope:
    """As a process that starts now has it."""
    return Envelope(KeyRing.load(service.settings.key_ring_dir))


async def test_after_rotate_and_rewrap_the_old_key_can_go(service: Service) -> None:
    folder: Path = service.settings.key_ring_dir
    before = KeyRing.load(folder).current
    blobs = {org: await seal(service, org) for org in ("acme", "globex")}
    after = KeyRing.create(folder).current
    assert (await keys.census(service.db, KeyRing.load(folder)))["keys"] == sorted(
        [{"id": before, "in_ring": True, "data_keys": 2}, {"id": after, "in_ring": True, "data_keys": 0}],
        key=lambda key: key["id"],
    )
    assert (await keys.rewrap(service.db, fresh(service))).rewrapped == 2
    counts = {key["id"]: key["data_keys"] for key in (await keys.census(service.db, KeyRing.load(folder)))["keys"]}
    assert counts == {before: 0, after: 2}
    (folder / f"{before}.key").unlink()
    assert (await keys.rewrap(service.db, fresh(service))).rewrapped == 0
    for org, blob in blobs.items():
        assert await opened(service.db, fresh(service), blob, org) == f"secret of {org}".encode()


async def test_what_an_operator_ran_is_in_the_log_of_every_service(service: Service) -> None:
    with capture_logs() as said:
        for words in (["keys", "rewrap"], ["erase", "--org", "acme", "--user", "anna"]):
            assert await operate(service, parser().parse_args(words)) == 0
    told = [(line["command"], line["action"], line["organisation"]) for line in said if "command" in line]
    assert told == [("keys", "rewrap", None), ("erase", None, "acme")]
    assert "anna" not in str(said)


async def test_a_running_service_uses_a_key_it_did_not_start_with(service: Service) -> None:
    """Its memory knows the old ring only; the old file is already gone, so nothing may be wrapped with it."""
    folder: Path = service.settings.key_ring_dir
    blob = await seal(service)
    before = KeyRing.load(folder).current
    running = fresh(service)
    after = KeyRing.create(folder).current
    await keys.rewrap(service.db, fresh(service))
    (folder / f"{before}.key").unlink()
    assert await opened(service.db, running, blob) == b"secret of acme"
    service.envelope = Envelope(KeyRing(running._ring.keys | {before: b"k" * 32}, before, folder))
    again = await seal(service, "globex")
    assert await opened(service.db, fresh(service), again, "globex") == b"secret of globex"
    assert [key["id"] for key in (await keys.census(service.db, KeyRing.load(folder)))["keys"]] == [after]


async def test_a_rewrap_goes_on_past_what_does_not_open_and_names_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "BATCH", 2)
    organisations = [f"org-{n}" for n in range(7)]
    blobs = {org: await seal(service, org) for org in organisations}
    await change(service, "UPDATE data_key SET wrapped = set_byte(wrapped, 20, 0) WHERE org_id = 'org-3'")
    await change(service, "UPDATE data_key SET wrapped = 'short' WHERE org_id = 'org-5'")
    KeyRing.create(service.settings.key_ring_dir)
    done = await keys.rewrap(service.db, fresh(service))
    assert (done.rewrapped, len(done.unreadable)) == (5, 2)
    for org in set(organisations) - {"org-3", "org-5"}:
        assert await opened(service.db, fresh(service), blobs[org], org) == f"secret of {org}".encode()


async def test_a_changed_a_moved_and_a_keyless_blob_are_refused_with_the_reason(service: Service) -> None:
    blob = await seal(service)
    other = await seal(service, "globex")
    changed = blob[:-1] + bytes([blob[-1] ^ 1])
    with pytest.raises(Unreadable, match="changed or belongs to another place"):
        await opened(service.db, fresh(service), changed)
    with pytest.raises(Unreadable, match="changed or belongs to another place"):
        await opened(service.db, fresh(service), blob, place="t|2")
    with pytest.raises(Unreadable, match="gone or belongs to another organisation"):
        await opened(service.db, fresh(service), blob, "globex")
    await change(service, "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE org_id = 'acme')")
    with pytest.raises(Unreadable, match="belongs to another organisation"):
        await opened(service.db, fresh(service), other, "globex")
    await change(service, "DELETE FROM data_key WHERE org_id = 'acme'")
    with pytest.raises(Unreadable, match="gone"):
        await opened(service.db, fresh(service), blob)


async def test_a_missing_file_of_the_ring_is_named(service: Service) -> None:
    folder: Path = service.settings.key_ring_dir
    blob = await seal(service)
    before = KeyRing.load(folder).current
    KeyRing.create(folder)
    taken = (folder / f"{before}.key").read_bytes()
    (folder / f"{before}.key").unlink()
    with pytest.raises(Unreadable, match=f"Put the file {before}.key back"):
        await opened(service.db, fresh(service), blob)
    lost = await keys.census(service.db, KeyRing.load(folder))
    assert {"id": before, "in_ring": False, "data_keys": 1} in lost["keys"]
    running = fresh(service)
    (folder / f"{before}.key").write_bytes(taken)
    assert await opened(service.db, running, blob) == b"secret of acme"


def test_a_new_key_is_for_its_owner_only_and_leaves_no_draft(tmp_path: Path) -> None:
    first = KeyRing.create(tmp_path / "ring")
    second = KeyRing.create(tmp_path / "ring")
    assert first.current != second.current
    assert second.keys.keys() == {first.current, second.current}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "ring").iterdir()} == {0o600}
    assert len(list((tmp_path / "ring").iterdir())) == 3


def test_a_ring_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ring").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        KeyRing.create(tmp_path / "ring")
