"""rclone, unmodified, on a document library: what it copies there and back is the same by its own check."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from m365_simulator.signing import access_token

RCLONE = Path(sys.executable).with_name("rclone")
pytestmark = pytest.mark.skipif(not RCLONE.exists(), reason="needs the clients of others: make test fetches them")
PART = 327_680
FILES = {
    "note.txt": b"hello",
    "films/one film.bin": bytes(range(256)) * 4 * 1400,
    "films/deep/ö & ü #1 100%.txt": "süß".encode(),
    "films/deep/exact.bin": b"x" * PART,
}


class Rclone:
    """Runs one command; ``sp:`` is the library."""

    def __init__(self, config: Path, home: Path) -> None:
        self._config, self._home = config, home

    async def __call__(self, *words: str, fails: bool = False) -> str:
        command = [str(RCLONE), "--config", str(self._config), "--retries", "1", "--low-level-retries", "2", *words]
        environment = {"HOME": str(self._home), "PATH": os.environ["PATH"]}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
        said, wrong = await process.communicate()
        assert (process.returncode != 0) is fails, f"{' '.join(words)}\n{wrong.decode()}"
        return said.decode()


@pytest.fixture
async def rclone(simulator: Simulator, microsoft: SimulatorClient, tmp_path: Path) -> Rclone:
    site = await microsoft.do("site_add", tenant="contoso.example", name="Sales")
    await microsoft.do("site_grant", site="/sites/Sales", role="write")
    who = {"tid": CONTOSO, "oid": "sp", "appid": simulator.settings.client_id, "idtyp": "app"}
    token = access_token(simulator.entra, "https://sts.windows.net/", {**who, "roles": ["Sites.Selected"]})
    held = {"access_token": token, "token_type": "Bearer", "refresh_token": "", "expiry": "2045-12-31T23:59:59Z"}
    lines = ["[sp]", "type = onedrive", f"tenant_url = {simulator.settings.http_base_url}/peer"]
    lines += [f"drive_id = {site['drive']}", "drive_type = documentLibrary", f"token = {json.dumps(held)}"]
    config = tmp_path / "rclone.conf"
    config.write_text("\n".join(lines))
    return Rclone(config, tmp_path)


def fill(folder: Path) -> Path:
    for number, (name, content) in enumerate(FILES.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_500_000_000 + number, 1_500_000_000 + number))
    return folder


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), int(path.stat().st_mtime)) for path in files}


async def test_a_folder_is_copied_there_and_back_with_its_times(rclone: Rclone, tmp_path: Path) -> None:
    here, back = fill(tmp_path / "here"), tmp_path / "back"
    await rclone("copy", str(here), "sp:kept", "--onedrive-chunk-size", "320Ki", "--onedrive-upload-cutoff", "320Ki")
    await rclone("check", str(here), "sp:kept")
    await rclone("copy", "sp:kept", str(back))
    assert contents(back) == contents(here)
    listed: list[dict[str, Any]] = json.loads(await rclone("lsjson", "-R", "--hash", "--files-only", "sp:kept"))
    assert {one["Path"]: one["Size"] for one in listed} == {name: len(content) for name, content in FILES.items()}
    assert all(one["Hashes"]["quickxor"] for one in listed)


async def test_what_changed_is_found_sent_and_taken_away(rclone: Rclone, tmp_path: Path) -> None:
    here = fill(tmp_path / "here")
    await rclone("sync", str(here), "sp:kept")
    (here / "note.txt").write_bytes(b"other")
    await rclone("check", str(here), "sp:kept", fails=True)
    (here / "films/deep/exact.bin").unlink()
    await rclone("sync", str(here), "sp:kept")
    await rclone("check", str(here), "sp:kept")


async def test_files_are_copied_moved_and_purged_within_the_library(rclone: Rclone, tmp_path: Path) -> None:
    here = fill(tmp_path / "here")
    await rclone("copy", str(here), "sp:kept")
    await rclone("copy", "sp:kept", "sp:again")
    await rclone("check", "sp:kept", "sp:again")
    await rclone("moveto", "sp:again/note.txt", "sp:again/films/moved.txt")
    assert await rclone("cat", "sp:again/films/moved.txt") == "hello"
    await rclone("purge", "sp:again")
    assert (await rclone("lsf", "sp:")).splitlines() == ["kept/"]


async def test_without_a_grant_rclone_reaches_no_file(
    rclone: Rclone, simulator: Simulator, microsoft: SimulatorClient
) -> None:
    for site in simulator.store.all("sites"):
        simulator.store.put("sites", site["id"], site | {"permissions": []})
    await rclone("lsf", "sp:", fails=True)
