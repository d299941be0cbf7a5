# ruff: noqa: INP001 - a program of the development image, not a package
"""Development keys for the composed platform, made at its first start: the key ring, and a pair for each service."""

import sys
from pathlib import Path

from dev.embedded.keys import make_key_ring, make_service_keys

if __name__ == "__main__":
    folder = Path("/state")
    make_key_ring(folder / "key-ring")
    make_service_keys(folder, sys.argv[1:])
