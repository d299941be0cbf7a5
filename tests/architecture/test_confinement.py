"""What the development runs may do to the machine they run on, and who reads what they leave there."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {"postgres", "kafka"}


def test_every_container_of_ours_may_do_nothing_but_its_work() -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    ours = {name: service for name, service in services.items() if name not in ENGINES}
    assert len(ours) > 20
    for name, service in ours.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_what_a_run_leaves_in_its_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    code = f"import dev.run as r; from pathlib import Path; r.private(); r.take_state(Path({str(state)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=dict(os.environ), umask=0)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [state, *state.iterdir()]} == {0}
