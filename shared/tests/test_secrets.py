"""The envelope: what is sealed for one place opens nowhere else."""

from pathlib import Path

import pytest

from shared.problems import ConfigurationError
from shared.secrets import Envelope, KeyRing, Unreadable


async def test_a_secret_opens_in_its_place_only(make_service) -> None:  # type: ignore[no-untyped-def]
    service = await make_service()
    async with service.db.unit_of_work("acme") as work:
        blob = await service.envelope.seal(work.session, "acme", "token_cache|anna", b"refresh")
        assert b"refresh" not in blob
        assert await service.envelope.open(work.session, "acme", "token_cache|anna", blob) == b"refresh"
        with pytest.raises(Unreadable):
            await service.envelope.open(work.session, "acme", "token_cache|ben", blob)
        with pytest.raises(Unreadable):
            await service.envelope.open(work.session, "globex", "token_cache|anna", blob)
        with pytest.raises(Unreadable):
            await service.envelope.open(work.session, "acme", "token_cache|anna", blob[:-1] + bytes([blob[-1] ^ 1]))


async def test_old_secrets_open_after_rotation_and_rewrap(make_service) -> None:  # type: ignore[no-untyped-def]
    service = await make_service()
    folder: Path = service.settings.key_ring_dir
    async with service.db.unit_of_work("acme") as work:
        old = await service.envelope.seal(work.session, "acme", "t|1", b"one")
        await service.envelope.rotate(work.session, "acme")
        new = await service.envelope.seal(work.session, "acme", "t|1", b"two")
    assert old[1:17] != new[1:17]
    before = KeyRing.load(folder).current
    envelope = Envelope(KeyRing.create(folder))
    async with service.db.system_work() as work:
        assert await envelope.rewrap(work.session) == 2
    (folder / f"{before}.key").unlink()
    fresh = Envelope(KeyRing.load(folder))
    async with service.db.unit_of_work("acme") as work:
        assert await fresh.open(work.session, "acme", "t|1", old) == b"one"
        assert await fresh.open(work.session, "acme", "t|1", new) == b"two"


def test_a_missing_key_ring_says_which_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PROSPO_KEY_RING_DIR"):
        KeyRing.load(tmp_path)
