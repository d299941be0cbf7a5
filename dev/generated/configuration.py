"""``docs/configuration.md``: every setting of every service, read where it is declared."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- made by `make generate` -->"


def configuration_page() -> str:
    lines = [
        "# Configuration",
        "",
        NOTE,
        "",
        "Environment variables, read once at the start. A service that lacks one says which and exits with status 2.",
        "",
        "## Every service",
        "",
        *_table(ROOT / "shared/src/shared/settings.py", "ServiceSettings"),
    ]
    for path in sorted((ROOT / "services").glob("*/src/*/settings.py")):
        rows = _table(path, "Settings")
        if len(rows) > 2:
            lines += ["", f"## {path.relative_to(ROOT / 'services').parts[0]}", "", *rows]
    return "\n".join(lines) + "\n"


def _table(path: Path, class_name: str) -> list[str]:
    tree = ast.parse(path.read_text())
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    rows = ["| variable | default | what it does |", "|---|---|---|"]
    for node, following in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = f"PROSPO_{node.target.id.upper()}"
            default = f"`{ast.unparse(node.value)}`" if node.value else "required"
            rows.append(f"| `{name}` | {default} | {_words(following)} |")
    return rows


def _words(node: ast.stmt | None) -> str:
    """The string below the declaration."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split()).replace("``", "`").replace("|", "\\|")
    return ""
