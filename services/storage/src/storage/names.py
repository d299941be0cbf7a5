"""Names that SharePoint takes, made of names that people and programs give."""

import re
from pathlib import PurePosixPath

_FORBIDDEN = re.compile(r'["*:<>?/\\|\x00-\x1f\x7f]|[\ud800-\udfff]')
_RESERVED = re.compile(r"^(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|$)|^(\.lock|desktop\.ini)$|^~|_vti_", re.IGNORECASE)
LONGEST = 128
"""Longest name. With a few folders above it the path stays below SharePoint's 400 characters."""


def safe(name: str) -> str:
    """The name with ``_`` for what SharePoint forbids, never empty and never reserved; a good one as it is."""
    made = _FORBIDDEN.sub("_", name).strip(" ").rstrip(". ")
    path = PurePosixPath(made)
    ending = path.suffix if 1 < len(path.suffix) <= 16 else ""
    made = made.removesuffix(ending)[: LONGEST - len(ending)].rstrip(". ") + ending
    return f"_{made}" if not made or _RESERVED.search(made) or made in {".", ".."} else made


def beside(name: str, mark: str) -> str:
    """Another name for a file whose own is taken: ``film (mark).mp4``."""
    path = PurePosixPath(name)
    ending = path.suffix
    return f"{name.removesuffix(ending)[: LONGEST - len(ending) - len(mark) - 3]} ({mark}){ending}"
