"""What stands between a person and Microsoft has one name, and what mends it one spelling."""

import re
from pathlib import Path

from shared.connections import obstacles

ROOT = Path(__file__).resolve().parents[2]
PLACES = ROOT / "shared/src/shared/connections/places.py"
CODE = [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("shared/src/**/*.py")]
_MENU = re.compile(r"(Settings|Admin) *(→|>|->|,) *(Integrations|Connectors)|[Uu]nder (Integrations|Connectors)")
_COPIES = re.compile(r"\b(tenant_copy|user_copy)\b")
ERASED_AND_COUNTED = ("erasure.py", "erasing.py", "readiness/queries.py")
"""Who may name the tables beside their owner: what erases them, and tenant-connector's count of connected people."""


def test_menu_paths_are_spelled_in_one_place() -> None:
    sentences = {path: re.sub(r'^""".*?"""', "", path.read_text(), flags=re.DOTALL) for path in CODE if path != PLACES}
    assert [str(path) for path, said in sentences.items() if _MENU.search(said)] == []


def test_the_tables_of_connections_are_read_by_their_owner() -> None:
    owner = ROOT / "shared/src/shared/connections/state.py"
    others = [p for p in CODE if p != owner and not str(p).endswith(ERASED_AND_COUNTED) and "testing" not in p.parts]
    assert [str(path) for path in others if _COPIES.search(path.read_text())] == []


def test_an_obstacle_becomes_a_problem_document_in_one_place() -> None:
    """So that each of them links to where it is mended."""
    home = ROOT / "shared/src/shared/connections/refusing.py"
    names = "|".join(name for name, value in vars(obstacles).items() if isinstance(value, obstacles.Obstacle))
    by_hand = re.compile(rf"Conflict\(\s*(?:({names})\.code|\w+\.code,\s*[^\n]*\.sentence\()")
    assert [str(path) for path in CODE if path != home and by_hand.search(path.read_text())] == []


def test_a_former_code_is_in_migrations_and_the_list_of_former_ones_only() -> None:
    home = ROOT / "shared/src/shared/connections/obstacles.py"
    others = [path for path in CODE if path != home and "migrations" not in path.parts]
    assert [str(path) for path in others for old in obstacles.FORMER if f'"{old}"' in path.read_text()] == []
