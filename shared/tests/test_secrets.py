"""The envelope: what is sealed for one place opens nowhere else."""

from pathlib import Path

import pytest

from shared.problems import ConfigurationError
from shared.secrets import KeyRing, Unreadable


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


def test_a_missing_key_ring_says_which_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="PROSPO_KEY_RING_DIR"):
        KeyRing.load(tmp_path)
