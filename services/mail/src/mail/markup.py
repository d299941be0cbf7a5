"""A mail's HTML as balanced events. ``Writer`` writes them again, so the parser after it sees the same tags as this
one.

Nothing here decides what is safe; ``display`` has nh3 do that last. This reads nearly as a browser does, in one pass
that looks at each character a fixed number of times: a parser of HTML takes minutes for 30,000 elements in one another.
"""

import html
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Literal, NamedTuple


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NOTHING: frozenset[str] = frozenset()
MAX_DEPTH = 120
"""Elements open at once that are written. Deeper ones lose their tags and keep their text."""
VOID = frozenset(
    {
        "br",
        "hr",
        "img",
        "wbr",
        "col",
        "link",
        "meta",
        "base",
        "input",
        "source",
        "embed",
        "area",
        "param",
        "track",
        "bgsound",
    }
)
TEXT_ONLY = frozenset({"script", "style", "title", "xmp", "iframe", "noembed", "noframes", "textarea", "plaintext"})
"""Elements whose content is no markup, up to their end tag or, where there is none, to the end of the mail."""
RAW = TEXT_ONLY | {"svg", "math", "object", "applet", "select", "template"}
"""Elements whose content is nothing to read. Those with markup in them are left out only where they have an end tag."""
BLOCKS = words(
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3"
    " h4 h5 h6 header hr li main nav ol p pre section table tbody tfoot thead tr ul"
)
ENDED_BY = {
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "td": frozenset({"td", "th"}),
    "th": frozenset({"td", "th"}),
    "tr": frozenset({"td", "th", "tr"}),
    "tbody": frozenset({"td", "th", "tr", "tbody", "thead", "tfoot"}),
    "thead": frozenset({"td", "th", "tr", "tbody", "thead", "tfoot"}),
    "tfoot": frozenset({"td", "th", "tr", "tbody", "thead", "tfoot"}),
}
"""A start tag → the open elements at the top of the stack which it ends, since their own end tags may be left out."""
_NAME = re.compile(r"[a-zA-Z][^\s/>\x00]*")
_ATTRIBUTE = re.compile(r"[\s/]*([^\s/>=][^\s/>=]*)(\s*=\s*)?")
_GAP = re.compile(r"[\s/]*")
_UNQUOTED = re.compile(r"[^\s>]*")

_NONE: Mapping[str, str] = {}


class Event(NamedTuple):
    """``start`` of an element with its attributes (the first of each name), its ``end``, or ``text``, unescaped.

    ``raw``: what stands in an element of ``RAW``, as written.
    """

    kind: Literal["start", "end", "text", "raw"]
    name: str = ""
    text: str = ""
    attributes: Mapping[str, str] = _NONE


def unescaped(text: str) -> str:
    """``text`` with its character references resolved, as written where one names a number of thousands of digits."""
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except ValueError:
        return text


def _attributes(source: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes of a start tag from ``at``, and where its ``>`` is; -1 where the source ends before it."""
    found: dict[str, str] = {}
    if source[at : at + 1] == ">":
        return found, at
    while match := _ATTRIBUTE.match(source, at):
        name, at, value = match[1].lower(), match.end(), ""
        if match[2] is not None:
            quote = source[at : at + 1]
            if quote in {'"', "'"}:
                end = source.find(quote, at + 1)
                if end < 0:
                    return found, -1
                value, at = source[at + 1 : end], end + 1
            else:
                unquoted = _UNQUOTED.match(source, at)
                value, at = (unquoted[0], unquoted.end()) if unquoted else ("", at)
        found.setdefault(name, unescaped(value))
    gap = _GAP.match(source, at)
    at = gap.end() if gap else at
    while source[at : at + 1] == "=":
        at += 1
    return (found, at) if source[at : at + 1] == ">" else _attributes_after(found, source, at)


def _attributes_after(found: dict[str, str], source: str, at: int) -> tuple[dict[str, str], int]:
    """A stray ``=`` was jumped over: the rest of the tag goes on without its attributes."""
    return found, source.find(">", at)


class _Ends:
    """Finds the ends of raw elements. A needle that was not found once is not searched again."""

    def __init__(self, source: str) -> None:
        self._source = source.lower() if len(source.lower()) == len(source) else source
        self._missing: set[str] = set()

    def of(self, needle: str, at: int) -> int:
        if needle in self._missing:
            return -1
        end = self._source.find(needle, at)
        if end < 0:
            self._missing.add(needle)
        return end

    def after(self, needle: str, at: int) -> int:
        """The position after ``needle``, -1 when it does not come."""
        end = self.of(needle, at)
        return end if end < 0 else end + len(needle)


def events(source: str) -> Iterator[Event]:
    """Read ``source``. Comments and declarations are left out, and so is what follows a tag that does not end."""
    ends, at, size = _Ends(source), 0, len(source)
    while 0 <= at < size:
        opened = source.find("<", at)
        opened = size if opened < 0 else opened
        if opened > at:
            yield Event("text", text=unescaped(source[at:opened]))
        following = source[opened + 1 : opened + 2]
        if following.isascii() and following.isalpha():
            at = yield from _start(source, opened, ends)
        elif following == "/":
            name = _NAME.match(source, opened + 2)
            if name:
                yield Event("end", name[0].lower())
            at = ends.after(">", opened)
        elif following and following in "!?":
            comment = source.startswith("<!--", opened) and not source.startswith(("<!-->", "<!--->"), opened)
            at = ends.after("-->", opened + 4) if comment else ends.after(">", opened)
        else:
            if opened < size:
                yield Event("text", text="<")
            at = opened + 1


def _start(source: str, opened: int, ends: _Ends) -> Generator[Event, None, int]:
    """A start tag, with the content of an element of ``RAW``. Returns where to go on, -1 where the tag does not end."""
    match = _NAME.match(source, opened + 1)
    name = match[0].lower() if match else ""
    attributes, closed = _attributes(source, opened + 1 + len(name))
    if closed < 0:
        return -1
    yield Event("start", name, attributes=attributes)
    at = closed + 1
    if name not in RAW or (name not in TEXT_ONLY and source[closed - 1] == "/"):
        return at
    end = ends.of(f"</{name}", at)
    if end < 0:
        if name not in TEXT_ONLY:
            return at
        end = len(source)
    yield Event("raw", name, source[at:end])
    return end


def balanced(source: Iterator[Event]) -> Iterator[Event]:
    """Every element that starts ends too, inside the one that it started in; end tags without a start are left out."""
    stack: list[str] = []
    open_: Counter[str] = Counter()

    def close() -> Event:
        name = stack.pop()
        open_[name] -= 1
        return Event("end", name)

    for event in source:
        if event.kind == "end":
            while open_[event.name]:
                ended = close()
                yield ended
                if ended.name == event.name:
                    break
            continue
        if event.kind == "start":
            ends = {"p"} if event.name in BLOCKS and stack[-1:] == ["p"] else ENDED_BY.get(event.name, _NOTHING)
            while stack and stack[-1] in ends:
                yield close()
            if event.name not in VOID and event.name not in RAW:
                stack.append(event.name)
                open_[event.name] += 1
        yield event
    while stack:
        yield close()


class Writer:
    """Writes balanced events as HTML that has one reading. ``cut`` ends what is open, adds HTML and starts it again."""

    def __init__(self, rewritten: Callable[[Event], dict[str, str] | None]) -> None:
        """``rewritten``: the attributes to write, or None where the element's tags are left out."""
        self._rewritten = rewritten
        self._parts: list[str] = []
        self._stack: list[tuple[str, str]] = []
        self._written = 0

    def write(self, event: Event) -> None:
        if event.kind == "text":
            self._parts.append(html.escape(event.text, quote=False))
        elif event.kind == "start" and event.name not in RAW:
            self._start(event)
        elif event.kind == "end" and self._stack:
            name, tag = self._stack.pop()
            if tag:
                self._written -= 1
                self._parts.append(f"</{name}>")

    def _start(self, event: Event) -> None:
        attributes = self._rewritten(event)
        void = event.name in VOID
        if attributes is None or (self._written >= MAX_DEPTH and not void):
            if not void:
                self._stack.append((event.name, ""))
            return
        tag = f"<{event.name}" + "".join(f' {k}="{html.escape(v)}"' for k, v in attributes.items()) + ">"
        self._parts.append(tag)
        if not void:
            self._stack.append((event.name, tag))
            self._written += 1

    def cut(self, between: str) -> None:
        written = [(name, tag) for name, tag in self._stack if tag]
        self._parts.extend(f"</{name}>" for name, _ in reversed(written))
        self._parts.append(between)
        self._parts.extend(tag for _, tag in written)

    def html(self) -> str:
        return "".join(self._parts)
