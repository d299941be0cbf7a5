"""Names that SharePoint takes, and how it names a file that would be there twice."""

import re
from collections.abc import Iterable

from m365_simulator.wire import GraphError

FORBIDDEN = re.compile(r'["*:<>?/\\|\x00-\x1f]')
RESERVED = re.compile(r"^(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|$)|^(\.lock|desktop\.ini)$|^~\$|_vti_", re.IGNORECASE)
LONGEST_PATH, LONGEST_NAME = 400, 255


def check_name(name: object) -> str:
    """The name; raises 400 for one that SharePoint forbids or reserves."""
    if not isinstance(name, str) or not name:
        raise GraphError(400, "invalidRequest", "The item needs a name.")
    wrong = FORBIDDEN.search(name) or RESERVED.search(name) or name in (".", "..")
    if wrong or name != name.strip() or name.endswith(".") or len(name) > LONGEST_NAME:
        raise GraphError(400, "invalidRequest", "The provided name cannot contain or be a reserved value.")
    return name


def check_path(path: str) -> None:
    """400 over four hundred characters, decoded, with the folders and the name."""
    if len(path) > LONGEST_PATH:
        raise GraphError(400, "pathIsTooLong", f"The path is longer than {LONGEST_PATH} characters.")


def free_name(name: str, taken: Iterable[str]) -> str:
    """``a 1.txt`` where ``a.txt`` stands already."""
    known = {one.lower() for one in taken}
    stem, dot, end = name.rpartition(".")
    if not dot or not stem:
        stem, dot, end = name, "", ""
    number, found = 0, name
    while found.lower() in known:
        number += 1
        found = f"{stem} {number}{dot}{end}"
    return found
