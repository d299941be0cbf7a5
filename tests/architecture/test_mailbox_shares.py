"""Microsoft allows four requests at a time per mailbox for all services together, so their shares are counted here."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from dev.services import SERVICES
from shared.graph.limits import PER_MAILBOX
from shared.graph.paths import is_outlook
from shared.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
SELDOM = {
    "tenant-connector": "a $batch with the application's token when the readiness board is checked",
    "user-auth": "one question when a person signs in",
}
"""They ask mailboxes without a share: so seldom that Microsoft's 429 and its Retry-After are enough."""


def share_of(service: str) -> int:
    name = f"{service.replace('-', '_')}.settings"
    settings: type[ServiceSettings] = importlib.import_module(name).Settings
    return int(settings.model_fields["graph_mailbox_share"].default)


def paths_in(service: str) -> Iterator[str]:
    """Every literal of a service's code that may be a Graph path; what is filled in is ``x``."""
    for file in (ROOT / "services" / service / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)


def clients() -> list[str]:
    """The services that are hosted with ``ServiceSettings``; the console asks Microsoft nothing."""
    return [name for name in SERVICES if name != "console"]


def test_the_shares_of_a_mailbox_add_up_to_what_microsoft_allows() -> None:
    shares = {name: share_of(name) for name in clients()}
    assert sum(shares.values()) == PER_MAILBOX, shares


def test_who_asks_mailboxes_has_a_share_or_asks_seldom() -> None:
    """recording-ingest and storage ask no mailbox: online meetings, recordings and drives have other limits."""
    asking = {name for name in clients() if any(map(is_outlook, paths_in(name)))}
    assert {name for name in asking if not share_of(name)} == set(SELDOM)
