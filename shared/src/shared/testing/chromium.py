"""Which Chromium the tests marked ``browser`` start, and how."""

import shutil

import pytest

_PLACES = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")
"""Debian's. The same engine without windows, tabs and their pages: it opens a page for half of the CPU time."""
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Its path; skips the test where there is none."""
    found = next((place for place in _PLACES if shutil.which(place)), None)
    if found is None:
        pytest.skip(f"needs Chromium at {' or '.join(_PLACES)}: apt-get install chromium-headless-shell")
    return found
