"""Every link leads somewhere, and every sentence that names a place of the console names one that is there."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from starlette.routing import Match

from console.main import Console
from console.settings import Settings
from console.wording import WAYS_ON

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "services/console/src/console/templates"
_SEGMENT = r"[A-Z][A-Za-z]*(?: (?:[A-Z][A-Za-z]*|[0-9]+))*"
_PLACE = re.compile(rf"\b(?:Admin|Settings)(?:\s*(?:>|→|,)\s*{_SEGMENT})+")
_VAGUE = re.compile(rf"under (?:the )?(?!Settings|Admin)(?:{_SEGMENT} *[>→] *)*(?:Integrations|Connectors|Contacts)\b")
ELSEWHERE = {"/dev/persona", "/v1/files/shared/open"}
"""The development gateway's, and a link to a file, whose token goes to storage alone."""
_JINJA = re.compile(r"{%.*?%}|{#.*?#}", re.DOTALL)
_TAG = re.compile(r"<[^>]+>")


def sentences(path: Path) -> Iterator[str]:
    """Every text in a template, or string in a module; what is put in at run time is left out."""
    if path.suffix == ".html":
        yield " ".join(_TAG.sub(" | ", _JINJA.sub(" ", path.read_text())).replace("&gt;", ">").split())
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def sources() -> list[Path]:
    ours = [path for path in ROOT.glob("services/*/src/**/*.py") if "migrations" not in path.parts]
    return sorted([*ours, *ROOT.glob("shared/src/shared/**/*.py"), *TEMPLATES.rglob("*.html")])


@cache
def pages() -> dict[str, str]:
    """Place, as its page's trail and heading say it → the texts of the page with its parts."""
    found = {}
    for path in TEMPLATES.rglob("*.html"):
        words = path.read_text()
        trail, heading = (re.search(rf"<{tag}>(.*?)</{tag[:2].strip()}>", words) for tag in ('p class="trail"', "h1"))
        if trail and heading and "{" not in heading[1]:
            parts = " ".join(part.read_text() for part in path.parent.glob("*.html"))
            found[f"{_TAG.sub('', trail[1])} → {heading[1]}"] = parts + (TEMPLATES / "macros.html").read_text()
    return found


@cache
def is_there(place: str) -> bool:
    """A page, or a button, link or heading of it."""
    whole = " → ".join(re.split(r"\s*(?:>|→|,)\s*", place))
    if any(there.startswith(whole) for there in pages()):
        return True
    page, _, words = whole.rpartition(" → ")
    return any(
        there == page and re.search(rf'[>"]{words}[.…]*\s*(?:[<"]|{{{{)', text) for there, text in pages().items()
    )


def test_a_place_that_a_sentence_names_is_there() -> None:
    found = [(path.name, said) for path in sources() for said in sentences(path)]
    named = [(name, place) for name, said in found for place in _PLACE.findall(said)]
    assert len(named) > 10
    assert [(name, place) for name, place in named if not is_there(place)] == []
    assert [(name, said) for name, said in found if _VAGUE.search(said)] == []


def test_a_place_that_is_not_there_is_noticed() -> None:
    assert is_there("Admin → Connectors → Microsoft 365")
    assert is_there("Settings > Integrations > Microsoft Outlook")
    assert is_there("Admin, Connectors, Microsoft 365, Choose Storage Location")
    assert not is_there("Admin, Connectors, Microsoft 365, Migrate Files")
    assert is_there("Contacts → Import Contacts → Microsoft Account")
    assert not is_there("Contacts → Export Contacts")


def addresses() -> Iterator[tuple[str, str]]:
    """Method and path of every link and form of the console."""
    yield from (("GET", path) for path, _ in WAYS_ON.values())
    for template in TEMPLATES.rglob("*.html"):
        words = template.read_text()
        for tag in re.findall(r"<(?:a|form|link|script)\b[^>]*>", words):
            place = re.search(r'(?:href|action|src)="(/[^"]*)"', tag)
            if place:
                path = re.sub(r"{{.*?}}", "00000000-0000-4000-8000-000000000000", place[1]).split("?")[0].split("#")[0]
                yield "POST" if "method=" in tag else "GET", path
        yield from (("GET", path) for path in re.findall(r'\("(/[a-z0-9/-]*)", "', words))


def test_every_link_and_form_of_the_console_leads_to_a_page_of_it() -> None:
    settings = Settings(public_url="http://localhost:8365")
    routes = Console(settings)._pages.routes
    found = sorted(set(addresses()))
    assert ("POST", "/integrations/microsoft/connect") in found
    for method, path in found:
        if path in ELSEWHERE:
            continue
        scope = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
        matches = [route.matches(scope)[0] for route in routes]
        assert Match.FULL in matches, (method, path)


def test_every_address_that_an_answer_names_is_a_route() -> None:
    every_openapi = routes_of_services()
    for path in sources():
        for said in sentences(path):
            for named in re.findall(r"(?:^(?=.*{)|GET |POST |at )(/v1/[a-z0-9/{}_-]+)", said):
                filled = re.sub(r"{[^}]*}", "{}", named).rstrip("/.")
                known = any(
                    re.fullmatch(re.sub(r"{}", "[^/]+", there), filled) or there.startswith(filled)
                    for there in every_openapi
                )
                assert known, (path.name, named)


def routes_of_services() -> set[str]:
    documents = (ROOT / "contracts/openapi").glob("*.json")

    return {
        re.sub(r"{[^}]*}", "{}", path) for document in documents for path in json.loads(document.read_text())["paths"]
    }
