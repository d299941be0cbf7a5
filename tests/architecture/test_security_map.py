"""``docs/security/asvs.md``: every test it names exists, and every row names one or says that there is none."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security/asvs.md").read_text()
TEST = re.compile(r"`([\w/.-]+\.py)::(test_\w+)`")
CHAPTERS = ["V2", "V3", "V4.1.3", "V7", "V8", "9.1", "10.", "11.", "V12", "13.", "V14", "16."]


def rows() -> Iterator[list[str]]:
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[2] not in {"test", "---"}:
            yield cells


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text()) if (ROOT / path).exists() else ast.Module([], [])
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_test_that_the_map_names_exists() -> None:
    named = TEST.findall(PAGE)
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if name not in defined_in(path)] == []


def test_every_row_names_a_test_or_says_that_there_is_none() -> None:
    silent = [row[0] for row in rows() if not TEST.search(row[2]) and row[2] not in {"not yet", "outside"}]
    assert silent == []


def test_no_requirement_that_binds_is_left_out() -> None:
    said = [row[0] for row in rows()]
    assert [chapter for chapter in CHAPTERS if not any(row.startswith(chapter) for row in said)] == []
    assert [n for n in range(1, 11) if not any(re.match(rf"API{n}\b", row) for row in said)] == []


def test_every_test_that_the_list_of_faults_names_exists() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    listed = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| fault |",))]
    assert [line for line in listed if not TEST.search(line)] == []
    assert [f"{path}::{name}" for path, name in TEST.findall(page) if name not in defined_in(path)] == []
