"""The commands of a page, for whoever runs them: fences whose first line is `` ```sh run=<name> ``.

usage: python -m dev.pages <page> <name>
"""

import re
import sys
from pathlib import Path
from textwrap import dedent

_FENCE = re.compile(r"^( *)```sh run=([a-z-]+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def commands_of(page: Path) -> dict[str, str]:
    """Each marked fence of the page under its name. ``ValueError`` when two have the same."""
    found = _FENCE.findall(page.read_text())
    named = {name: dedent(commands) for _, name, commands in found}
    if len(named) < len(found):
        raise ValueError(f"Two fences of {page} have the same name.")
    return named


if __name__ == "__main__":
    print(commands_of(Path(sys.argv[1]))[sys.argv[2]], end="")
