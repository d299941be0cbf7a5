"""The house rules, read from the source with ``ast``."""

import ast
import importlib
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared.database.work import all_work
from shared.events import ALL

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {path.name: path for path in sorted((ROOT / "services").glob("*/src/*")) if path.is_dir()}
SHIPPED = [ROOT / "shared/src", *SERVICES.values()]
WRITTEN = ("shared", "services", "dev", "tests")
MAX_LINES = 400
MAX_CODE_IN_SHARED = 9000
MAX_TEST_NAME = 70
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def python_files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.rglob("*.py"))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def names_imported(path: Path) -> set[str]:
    """Modules, and what is imported from them, which may be modules too."""
    taken = (node for node in nodes_of(path) if isinstance(node, ast.ImportFrom) and node.module)
    return imports_of(path) | {f"{node.module}.{alias.name}" for node in taken for alias in node.names}


def first_parts(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_imports_another(service: str) -> None:
    others = set(SERVICES) - {service}
    assert named([path for path in python_files(SERVICES[service]) if first_parts(path) & others]) == []


def test_shared_imports_no_service() -> None:
    assert named([path for path in python_files(ROOT / "shared/src") if first_parts(path) & set(SERVICES)]) == []


def test_nothing_shipped_imports_dev_or_the_simulator() -> None:
    assert named([path for path in python_files(*SHIPPED) if first_parts(path) & {"dev", "m365_simulator"}]) == []


def test_events_import_pydantic_and_the_standard_library_only() -> None:
    allowed = {"pydantic"} | sys.stdlib_module_names
    for path in python_files(ROOT / "shared/src/shared/events"):
        foreign = {name for name in imports_of(path) if name.split(".")[0] not in allowed}
        assert all(name.startswith("shared.events") for name in foreign), path


def test_no_python_file_is_longer_than_400_lines() -> None:
    folders = [ROOT / name for name in WRITTEN]
    assert named([path for path in python_files(*folders) if len(path.read_text().splitlines()) > MAX_LINES]) == []


def platform_modules() -> dict[str, Path]:
    """The modules of ``shared`` that ship, by name."""
    root = ROOT / "shared/src"
    files = [path for path in python_files(root / "shared") if "testing" not in path.parts]
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def lines_of_code(path: Path) -> int:
    """Without blank lines, comments and docstrings."""
    said = {
        line
        for node in nodes_of(path)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.string and token.type not in silent]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - said)


def test_shared_holds_9000_lines_of_code_at_most() -> None:
    """docs/adr/0041-what-holds-shared-small.md says what to do when it would hold more."""
    assert sum(map(lines_of_code, platform_modules().values())) <= MAX_CODE_IN_SHARED


def test_no_module_of_shared_is_there_for_one_service() -> None:
    modules = platform_modules()
    users: dict[str, set[str]] = {name: set() for name, path in modules.items() if lines_of_code(path)}
    parts = {"shared": modules.values()} | {name: python_files(folder) for name, folder in SERVICES.items()}
    for part, files in parts.items():
        for path in files:
            for name in names_imported(path) & users.keys():
                users[name].add(part)
    assert [name for name, found in users.items() if len(found) < 2 and found != {"shared"}] == []


def test_the_environment_is_read_in_settings_only() -> None:
    readers = [
        path for path in python_files(*SHIPPED) if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    allowed = {ROOT / "shared/src/shared/testing"}
    assert named([p for p in readers if p.name != "settings.py" and not allowed & set(p.parents)]) == []


def test_handlers_are_registered_in_handlers_files_only() -> None:
    def registers(path: Path) -> bool:
        return any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "on" for n in nodes_of(path)
        )

    elsewhere = [path for path in python_files(*SERVICES.values()) if path.name != "handlers.py" and registers(path)]
    assert named(elsewhere) == []


def test_every_event_is_emitted_by_its_one_service() -> None:
    emitters: set[str] = set()
    names = {event.__name__: event.emitter.replace("-", "_") for event in ALL.values()}
    for service, folder in SERVICES.items():
        for path in python_files(folder):
            for call in (n for n in nodes_of(path) if isinstance(n, ast.Call)):
                made = call.func.value if isinstance(call.func, ast.Attribute) else call.func  # X.model_validate(…)
                name = made.id if isinstance(made, ast.Name) else ""
                if name in names:
                    assert names[name] == service, f"{path} makes {name}, which {names[name]} emits"
                    emitters.add(name)
    assert emitters == {event.__name__ for event in ALL.values()}


def test_topics_are_nouns_and_past_verbs_or_state() -> None:
    for topic, event in ALL.items():
        assert topic.count(".") == 1
        assert event.emitter


def test_broad_excepts_stand_around_one_message_one_job_or_one_guest_only() -> None:
    """``service.py`` closes every guest of a process, whatever one of them raises."""
    allowed = {"lanes.py", "runner.py", "inbox.py", "relay.py", "service.py"}
    broad = [path for path in python_files(*SHIPPED) if "except Exception" in path.read_text()]
    assert named([path for path in broad if path.name not in allowed]) == []


def test_no_string_names_a_job() -> None:
    """In SQL it is written with ``SomeWork.kind``; migrations name what the version of their time had."""
    for service in SERVICES:
        importlib.import_module(f"{service}.work" if (SERVICES[service] / "work.py").exists() else service)
    kinds = "|".join(work.kind for work in all_work() if work.__module__.partition(".")[0] in {*SERVICES, "shared"})
    written = re.compile(rf"'({kinds})'")
    files = [path for path in python_files(*SHIPPED) if "migrations" not in path.parts]
    texts = {path: [n.value for n in nodes_of(path) if isinstance(n, ast.Constant)] for path in files}
    named_so = [path for path, said in texts.items() if any(isinstance(s, str) and written.search(s) for s in said)]
    assert len(kinds) > 500
    assert named(named_so) == []


def test_a_tests_name_can_be_read_at_once() -> None:
    tests = [path for path in python_files(*(ROOT / folder for folder in WRITTEN)) if path.name.startswith("test_")]
    functions = {
        n.name for path in tests for n in nodes_of(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(functions) > 2000
    assert [name for name in functions if name.startswith("test_") and len(name) > MAX_TEST_NAME] == []


def test_no_sentence_of_a_docstring_or_comment_leaves_its_subject_out() -> None:
    """``docs/how-to/write.md`` 3: not "Of each organisation." and not "One that is gone."."""
    begins = re.compile(r"(Of|One (that|who|of)|Those|That) ")
    comment = re.compile(rf"^ *# {begins.pattern}", re.MULTILINE)
    found: list[str] = []
    for path in python_files(*(ROOT / folder for folder in WRITTEN)):
        said = [n.value.value for n in nodes_of(path) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
        found += [f"{path.name}: {text}" for text in said if isinstance(text, str) and begins.match(text)]
        found += [f"{path.name}: {line[0]}" for line in comment.finditer(path.read_text())]
    assert found == []


def test_a_log_line_is_a_noun_and_a_verb() -> None:
    """What it is about is in fields, so that an operator finds all of a kind by one word."""
    sentences: list[str] = []
    for path in python_files(*SHIPPED):
        for call in (n for n in nodes_of(path) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)):
            about = ast.unparse(call.func.value) == "log" and call.func.attr in LEVELS
            if about and not re.fullmatch(r"'[a-z_]+\.[a-z_]+'", ast.unparse(call.args[0])):
                sentences.append(f"{path.name}: {ast.unparse(call.args[0])}")
    assert sentences == []


def test_what_every_service_provides_is_typed_once() -> None:
    """In ``shared.web.dependencies``."""
    again = re.compile(r'provided\("(db|graph|envelope)"\)|Depends\(_database\)')
    assert named([path for path in python_files(*SERVICES.values()) if again.search(path.read_text())]) == []
