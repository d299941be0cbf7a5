"""Which lines of a mail repeat an earlier mail. When in doubt a line is the sender's own: a fold hides what its
reader may need.

Graph's ``uniqueBody`` is asked first. Else a quote is what a client marks as one: elements of HTML, ``>`` below a
line that introduces them ("On … wrote:"), or the block of From, Sent, To and Subject that Outlook writes above the
mail it answers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CLOCK = re.compile(r"\d{1,2}[:.h]\d{2}")
_YEAR = re.compile(r"\b(19|20)\d{2}\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2}\b")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")
_LABEL = re.compile(r"^[\s>]*\*{0,2}([^\W\d][\w\s]{0,18}?)\s?:\*{0,2}(?:\s+|$)(.*)$")

_WORDS = {
    "from": "from, von, de, da, van, od, fra, från, от, lähettäjä",
    "date": "sent, date, gesendet, datum, envoyé, envoyé le, enviado, enviado el, enviado em, enviada em, fecha,"
    " inviato, data, verzonden, wysłano, sendt, dato, skickat, отправлено, дата, lähetetty",
    "to": "to, an, à, a, para, aan, do, til, till, кому, vastaanottaja",
    "subject": "subject, betreff, objet, asunto, oggetto, assunto, onderwerp, temat, emne, ämne, тема, aihe",
}
LABELS = {word: kind for kind, words in _WORDS.items() for word in words.split(", ")}
"""The word before the colon in a header that a client writes into a reply, in lower case → which header it is."""
ORIGINAL = re.compile(
    r"^\s*-{2,}\s*(original message|original-nachricht|ursprüngliche nachricht|message d.origine|message original"
    r"|mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht|wiadomość oryginalna"
    r"|oryginalna wiadomość|oprindelig meddelelse|ursprungligt meddelande|opprinnelig melding"
    r"|исходное сообщение)\s*-{2,}\s*$",
    re.IGNORECASE,
)
FORWARDED = re.compile(
    r"^\s*(-{5,}\s*(forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado|messaggio inoltrato"
    r"|mensagem encaminhada|doorgestuurd bericht|przekazana wiadomość|forwarded by).*"
    r"|(begin forwarded message|anfang der weitergeleiteten nachricht|début du message (transféré|réexpédié)"
    r"|inicio del mensaje reenviado|inizio messaggio inoltrato|início da mensagem encaminhada"
    r"|begin doorgestuurd bericht|początek przekazywanej wiadomości)\s*:)\s*$",
    re.IGNORECASE,
)
_WROTE = re.compile(
    r"\b(wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|geschreven|napisał\(a\)|napisała?|pisze|skrev"
    r"|kirjoitti|napisana przez|написала?|пишет)\b|napisał\(a\)",
    re.IGNORECASE,
)
_RULE = re.compile(r"^\s*([_*=]{10,}|-{10,})\s*$")
MAX_INTRODUCTION = 400
"""Characters of a line, or of lines that were wrapped, that introduce a quote."""


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    cited: bool = False
    """It stands in an element in which clients put what they quote."""
    rest: bool = False
    """A client's mark says that from here on everything is the mail that is answered."""


def _marked(line: Line) -> bool:
    """A quote where an introduction stands above; ``>>> `` is how Python's own shell begins a line."""
    text = line.text.lstrip()
    return line.cited or (text.startswith(">") and not text.startswith(">>> "))


def _key(text: str) -> str:
    return "".join(text.split()).lstrip(">").casefold()


def introduces(text: str, before_quote: bool = False) -> bool:
    """``text`` is like "On 3 May 2026 at 10:15 Anna Berg <anna@example.com> wrote:", with who and when it was.

    ``before_quote``: what follows is marked as a quote, so the verb may be one that is not known here.
    """
    text = text.strip()
    if len(text) > MAX_INTRODUCTION or not text.endswith(":"):
        return False
    if not _WROTE.search(text):
        return before_quote and bool(_ADDRESS.search(text) and _CLOCK.search(text))
    return bool(_ADDRESS.search(text) or (_YEAR.search(text) and _CLOCK.search(text)))


def introduced_by(lines: Sequence[Line], at: int) -> int | None:
    """The line that a line introducing the quote at ``at`` begins in; mail programs wrap it over up to four lines."""
    end = at
    while end > 0 and not lines[end - 1].text.strip() and at - end < 3:
        end -= 1
    for start in range(end - 1, max(end - 5, -1), -1):
        if not lines[start].text.strip():
            return None
        before_quote = at < len(lines) and _marked(lines[at])
        if introduces(" ".join(line.text.strip() for line in lines[start:end]), before_quote):
            return _whole(lines, start)
    return None


def _whole(lines: Sequence[Line], start: int) -> int:
    """The address alone would do for the second half of a wrapped line: its first half has the date."""
    text = lines[start].text.strip()
    if start and not (_YEAR.search(text) or _CLOCK.search(text)) and _WROTE.search(text):
        before = lines[start - 1].text.strip()
        if _CLOCK.search(before) or (_YEAR.search(before) and not before.endswith((".", "!", "?"))):
            return start - 1
    return start


def header_at(lines: Sequence[Line], at: int) -> bool:
    """A block of From, a date with the time of day, To and Subject begins at ``at``, as no traveller's note does."""
    found: set[str] = set()
    seen = 0
    for line in lines[at : at + 24]:
        if not line.text.strip():
            continue
        seen += 1
        match = _LABEL.match(line.text)
        kind = LABELS.get(" ".join(match[1].split()).casefold()) if match else None
        if seen == 1 and (kind != "from" or not match or not match[2].strip()):
            return False
        if kind and match and not (kind == "date" and not _CLOCK.search(match[2])):
            found.add(kind)
        if len(found) == len(_WORDS):
            return True
        if seen == 9:
            return False
    return False


def _ruled(lines: Sequence[Line], at: int) -> int:
    """Where the rule above the line at ``at`` begins, else ``at``."""
    above = at
    while above > 0 and not lines[above - 1].text.strip():
        above -= 1
    return above - 1 if above > 0 and _RULE.match(lines[above - 1].text) else at


def _to_the_end(lines: Sequence[Line], own_end: int) -> int:
    """From which line on everything up to ``own_end`` is the mail that is answered; ``own_end`` if none."""
    for at in range(own_end):
        line = lines[at]
        if line.rest or ORIGINAL.match(line.text):
            return _ruled(lines, at)
        if header_at(lines, at):
            return _ruled(lines, at)
        if line.text.rstrip().endswith(":") and _WROTE.search(line.text):
            following = next((later for later in lines[at + 1 : min(at + 9, own_end)] if later.text.strip()), None)
            start = introduced_by(lines, at + 1)
            if following and start is not None and not following.cited and not following.text.lstrip().startswith(">"):
                return start
    return own_end


def _cited(lines: Sequence[Line], own_end: int) -> list[bool]:
    """Lines in citing elements, lines that begin with ``>`` once such a quote was introduced, and what introduces
    them."""
    folded = [False] * len(lines)
    introduced = False
    for at, line in enumerate(lines[:own_end]):
        if not _marked(line):
            continue
        if at == 0 or not folded[at - 1]:
            start = introduced_by(lines, at)
            introduced = introduced or start is not None
            if start is not None and (line.cited or introduced):
                folded[start:at] = [True] * (at - start)
        folded[at] = line.cited or introduced
    return folded


def _own(lines: Sequence[Line], unique: Sequence[str]) -> tuple[list[bool], list[bool]] | None:
    """Which lines ``unique`` has, matched from the top and from the bottom; None where it is not a part of
    ``lines``."""
    wanted = [key for key in map(_key, unique) if key]
    keys = [_key(line.text) for line in lines]
    matched = []
    for order, need in ((range(len(keys)), wanted), (range(len(keys) - 1, -1, -1), wanted[::-1])):
        hits, position = [False] * len(keys), 0
        for at in order:
            if position < len(need) and keys[at] == need[position]:
                hits[at] = True
                position += 1
        if position < len(need):
            return None
        matched.append(hits)
    says_nothing = not wanted or len(wanted) == sum(
        map(bool, keys)
    )  # the first of a conversation: all of it is "unique"
    return None if says_nothing else (matched[0], matched[1])


def _joined(lines: Sequence[Line], folded: list[bool]) -> list[tuple[int, int]]:
    """Runs of folded lines; empty lines between two folded ones, and after the last, belong to them."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    end = 0
    for at, line in enumerate(lines):
        if folded[at] and line.text.strip():
            start = at if start is None else start
            end = at + 1
        elif line.text.strip() and start is not None:
            runs.append((start, end))
            start = None
    if start is not None:
        runs.append((start, len(lines)))
    return runs


def quoted(lines: Sequence[Line], unique: Sequence[str] | None = None) -> list[tuple[int, int]]:
    """The runs of lines (first, one after the last) that repeat an earlier mail; none where nothing else would be left.

    ``unique``: the lines of Graph's ``uniqueBody``, if it gave one. A forwarded mail is what its sender wants read:
    no quote.
    """
    own_end = next((at for at, line in enumerate(lines) if FORWARDED.match(line.text)), len(lines))
    folded = _cited(lines, own_end)
    rest = _to_the_end(lines, own_end)
    folded[rest:own_end] = [True] * (own_end - rest)
    own = _own(lines, unique) if unique is not None else None
    if own is not None:
        top, bottom = own
        folded = [not top[at] and (folded[at] or not bottom[at]) for at in range(len(lines))]
    if not any(line.text.strip() and not folded[at] for at, line in enumerate(lines)):
        return []
    return _joined(lines, folded)
