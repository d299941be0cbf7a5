"""What may not stand in the repository: registry addresses and this or that machine's paths."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = re.compile(r"https?://(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|proxy\.golang\.org)")
TEXT = {".py", ".md", ".toml", ".lock", ".txt", ".yaml", ".yml", ".json", ".css", ".html", ".sh", ""}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.suffix in TEXT and path.is_file() and path != Path(__file__)]


def test_no_file_records_a_package_registry_address() -> None:
    assert [str(path) for path in tracked() if REGISTRY.search(path.read_text(errors="ignore"))] == []


def test_versions_are_locked_by_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-sdk.lock", "requirements-s3.lock"):
        lines = (ROOT / name).read_text().splitlines()
        pinned = [line for line in lines if re.match(r"^[a-z0-9]", line)]
        assert pinned
        assert all("==" in line for line in pinned), name
        assert sum("--hash=sha256:" in line for line in lines) >= len(pinned), name
