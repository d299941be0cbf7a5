"""Where the simulator is as strict as a careful authorization server, and keeps its keys to itself."""

import stat
from pathlib import Path
from typing import Any

from m365_simulator.store import Store


async def test_a_verifier_for_a_code_without_a_challenge_is_refused(entra: Any) -> None:
    said = await entra.sign_in("anna@contoso.example", code_challenge=None, code_challenge_method=None)
    assert (await entra.redeem(said["code"])).json()["error_codes"] == [501481]
    assert (await entra.redeem(said["code"], code_verifier=None)).status_code == 200


def test_the_issuers_keys_are_for_whoever_runs_it_only(tmp_path: Path) -> None:
    Store(tmp_path / "state").close()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "state", *(tmp_path / "state").iterdir()]
    }
    assert {name: mode & 0o077 for name, mode in modes.items() if mode & 0o077} == {}
