"""The agenda in an event's text: one marked part is ours; the rest, with Teams' join information, stays as it is."""

import html
import re

MARK = 'class="prospo-agenda"'
_BREAK = "<br>"
_DIVISION = re.compile(r"<(/?)div\b[^<>]{0,1000}>", re.IGNORECASE)


def written(text: str) -> str:
    """The marked part for an agenda."""
    lines = (html.escape(line, quote=False) for line in text.split("\n"))
    return f"<div {MARK}>{_BREAK.join(lines)}</div>"


def read(body: str) -> str | None:
    """Read the text of the marked part; None when there is none, as in events of older versions."""
    place = _place(body)
    if place is None:
        return None
    inner = body[body.index(">", place[0]) + 1 : place[1] - len("</div>")]
    for mark in ("<br/>", "<br />", "</p>"):
        inner = inner.replace(mark, _BREAK)
    inner = _DIVISION.sub(lambda tag: "" if tag[1] else _BREAK, inner)  # Outlook makes one of each line that is typed
    lines = inner.replace("\r", "").replace("\n", " ").split(_BREAK)
    return "\n".join(plain(line) for line in lines).strip()


def replaced(body: str, text: str) -> str:
    """The event's text with another agenda. Without a marked part it comes first."""
    place = _place(body)
    if place is not None:
        return body[: place[0]] + written(text) + body[place[1] :]
    opened = body.find("<body")
    at = body.find(">", opened) + 1 if opened >= 0 else 0
    return body[:at] + written(text) + body[at:]


def plain(text: str) -> str:
    """HTML of one line as text: no tags, single blanks."""
    out, at = [], 0
    while (begin := text.find("<", at)) >= 0:
        out.append(text[at:begin])
        end = text.find(">", begin)
        at = end + 1 if end >= 0 else len(text)
    out.append(text[at:])
    return " ".join(html.unescape("".join(out)).replace("\xa0", " ").split())


def same(text: str) -> str:
    """An agenda as it comes back from Outlook: blanks and empty ends do not count."""
    return "\n".join(" ".join(line.split()) for line in text.replace("\r", "").split("\n")).strip()


def _place(body: str) -> tuple[int, int] | None:
    """Find where the marked part begins and ends, with all divisions within it."""
    mark = body.find(MARK)
    begin = body.rfind("<", 0, mark) if mark >= 0 else -1
    deep = 0
    for tag in _DIVISION.finditer(body, begin) if begin >= 0 else ():
        deep += -1 if tag[1] else 1
        if deep == 0:
            return begin, tag.end()
    return None
