"""Make the development environment: a venv, the locked packages, and this repository's packages on its path."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def source_folders() -> list[Path]:
    """Folders whose packages the environment imports: the root (for ``dev``), shared, the simulator, each service."""
    return [ROOT, *sorted(p.parent for p in ROOT.glob("*/**/pyproject.toml") if (p.parent / "src").is_dir())]


def main(target: str) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs on whatever python3 is, to say so
        raise SystemExit(
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Set PYTHON=python3.12 or so."
        )
    folder = Path(target).resolve()
    python = folder / "bin" / "python"
    print(f"making {target} (once; versions locked by hash in requirements-dev.lock)", flush=True)
    venv.create(folder, with_pip=True)
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--require-hashes",
            "-r",
            ROOT / "dev/uv.lock.txt",
        ],
        check=True,
    )
    subprocess.run(
        # Compiled now, so that the first `make run` starts as fast as the next ones.
        [
            python,
            *("-m", "uv", "pip", "install", "-q", "--compile-bytecode"),
            *("--require-hashes", "-r", ROOT / "requirements-dev.lock"),
        ],
        check=True,
    )
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    paths = [ROOT, *(p / "src" for p in source_folders() if p != ROOT)]
    (Path(site) / "prospo_m365.pth").write_text("".join(f"{p}\n" for p in paths))
    (folder / ".ready").touch()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".venv")
