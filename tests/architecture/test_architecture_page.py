"""docs/architecture.md names files and functions; whoever follows it finds them."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
CODE = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("shared/src/**/*.py")]
_FILE = re.compile(r"(?:`| *)((?:\w+/)+\w+\.py)(?::(\w+))?")
_FUNCTION = re.compile(r"`(\w+\.py):(\w+)`")


def sources(name: str) -> list[str]:
    """The text of each file whose path ends with ``name``."""
    return [path.read_text() for path in CODE if path.as_posix().endswith(f"/{name}")]


def test_every_file_and_function_that_the_page_names_is_there() -> None:
    missing = defaultdict(set)
    named = [*_FILE.findall(PAGE), *_FUNCTION.findall(PAGE)]
    assert len(named) > 30
    for name, function in named:
        found = sources(name)
        if not any(not function or f"def {function}(" in text for text in found):
            missing[name].add(function)
    assert missing == {}
