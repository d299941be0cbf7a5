# ruff: noqa: INP001 - a program of the development image, not a package
"""Development keys for the composed platform, made at its first start: each service has a folder that it alone mounts.

In it are its private key, everybody's public keys, its key ring, and the simulated Microsoft's certificate authority.
"""

import shutil
from pathlib import Path

from dev.embedded.keys import make_key_ring, make_service_keys
from dev.services import SERVICES

CA = Path("/simulator/ca.pem")


def main(folder: Path, services: list[str]) -> None:
    private, public = make_service_keys(folder / "all", services)
    for name in services:
        own = folder / name
        make_key_ring(own / "key-ring")
        shutil.copyfile(private / f"{name}.pem", own / "service.pem")
        shutil.copytree(public, own / "public", dirs_exist_ok=True)
        shutil.copyfile(CA, own / "ca.pem")


if __name__ == "__main__":
    main(Path("/state"), SERVICES)
