"""``make lock``: for each service the versions that it needs, out of those that the whole repository is tested with."""

import subprocess
import sys
import tomllib
from pathlib import Path

from dev.services import ROOT, described

COMPILE = "pip compile -q --generate-hashes --universal --python-version 3.11 --no-annotate --no-header"


def needed(service: str) -> list[str]:
    """What the service and ``shared`` declare, without ``shared`` itself."""
    projects = [ROOT / "shared/pyproject.toml", ROOT / "services" / service / "pyproject.toml"]
    declared = [tomllib.loads(path.read_text())["project"]["dependencies"] for path in projects]
    return sorted({name for names in declared for name in names} - {"shared"})


def lock_of(service: str) -> Path:
    return ROOT / "services" / service / "requirements.lock"


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    for service in described():
        command = [str(uv), *COMPILE.split(), "-c", "requirements.lock", "-", "-o", str(lock_of(service))]
        subprocess.run(command, cwd=ROOT, input="\n".join(needed(service)), text=True, check=True)


if __name__ == "__main__":
    main()
