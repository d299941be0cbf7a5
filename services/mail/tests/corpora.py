"""The corpora: mails that mean harm (``hostile.txt``) and mails with quotes (``quotes.txt``)."""

from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
EVIL = "evil.test"
STANDING_FOR = {
    "{NUL}": "\0",
    "{TAB}": "\t",
    "{LF}": "\n",
    "{CR}": "\r",
    "{FF}": "\f",
    "{NBSP}": "\xa0",
    "{BOM}": "\ufeff",
    "{LONE}": "\udc00",
    "{evil}": EVIL,
}


@dataclass(frozen=True, slots=True)
class Hostile:
    html: str
    gone: tuple[str, ...]
    stays: tuple[str, ...]


def hostile() -> dict[str, list[Hostile]]:
    """Group → its cases."""
    source = (CORPUS / "hostile.txt").read_text()
    for word, meant in STANDING_FOR.items():
        source = source.replace(word, meant) if word != "{LF}" else source
    groups: dict[str, list[Hostile]] = {}
    for group in source.split("\n== ")[1:]:
        name, _, cases = group.partition("\n")
        groups[name] = [_hostile(case) for case in cases.split("\n\n") if case.strip()]
    return groups


def _hostile(case: str) -> Hostile:
    lines = case.strip("\n").split("\n")
    html = [line for line in lines if not line.startswith(("- ", "+ "))]
    gone, stays = (
        tuple(line[2:].replace("{LF}", "\n") for line in lines if line.startswith(sign)) for sign in ("- ", "+ ")
    )
    return Hostile("\n".join(html).replace("{LF}", "\n"), gone, stays)


@dataclass(frozen=True, slots=True)
class Quoting:
    name: str
    html: str | None
    unique: str | None
    lines: tuple[str, ...]
    quoted: tuple[bool, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def body(self) -> str:
        return self.text if self.html is None else self.html


def quotes() -> list[Quoting]:
    return [_quoting(case) for case in ("\n" + (CORPUS / "quotes.txt").read_text()).split("\n== ")[1:]]


def _quoting(case: str) -> Quoting:
    name, *lines = case.rstrip("\n").split("\n")
    kinds = {kind: [line[2:] for line in lines if line[:1] == kind] for kind in "hu"}
    truth = [line for line in lines if line[:1] in {"o", "q"}]
    html, unique = ("\n".join(kinds[kind]) or None for kind in "hu")
    return Quoting(name, html, unique, tuple(line[2:] for line in truth), tuple(line[0] == "q" for line in truth))
