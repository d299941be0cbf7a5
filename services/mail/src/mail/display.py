"""What a person's browser may be given of a mail: cleaned HTML, its text, where quotes are, and what was held back.

nh3 has the last word: nothing stands in the HTML that its narrow list does not allow. Nothing in it makes a browser ask
a foreign host, unless the reader asked to see the images. The mail as it is stored is never changed by this.
"""

import html as entities
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import nh3

from mail.markup import BLOCKS, TEXT_ONLY, Event, Writer, balanced, events, words
from mail.quotes import Line, quoted
from mail.styling import harmless, remote_references

MAX_HTML = 10_000_000
"""Characters of HTML, or of text, that are shown; what follows is left out, which a line at the end says."""
LEFT_OUT = "The rest of this mail is too long to be shown here."
MAX_CUTS = 50
"""Quotes that are folded in HTML; each has the elements that are open there written again. All are in ``folds``."""

_EVERYWHERE = {"align", "bgcolor", "dir", "height", "lang", "style", "title", "valign", "width"}
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "border", "hspace", "vspace"},
    "table": {"border", "cellpadding", "cellspacing", "background"},
    "td": {"colspan", "rowspan", "nowrap", "background"},
    "th": {"colspan", "rowspan", "nowrap", "scope"},
    "font": {"color", "face", "size"},
    "ol": {"start", "type"},
    "li": {"value"},
    "col": {"span"},
    "colgroup": {"span"},
    "bdo": {"dir"},
}
_TAGS = words(
    "a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd"
    " del dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark"
    " nav ol p pre q s samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u"
    " ul var wbr"
)
_FOLD = '<details class="quoted"><summary>Quoted text</summary>'
_LOADED = {"src", "srcset", "background", "poster", "data", "lowsrc", "dynsrc", "imagesrcset", "xlink:href"}
"""Attributes that a browser loads something from; ``href`` does so in ``link`` only."""
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s]", re.IGNORECASE)
_REMOTE = re.compile(r"(?:https?|ftp):|[/\\]{2}", re.IGNORECASE)
_HOSTED = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(?:png|jpe?g|gif|webp|bmp);base64,[A-Za-z0-9+/=\s]+", re.IGNORECASE)
_IGNORED = dict.fromkeys((*range(0x21), 0x7F))
"""Characters that browsers leave out of an address, or of its ends, before they read it."""
_CITES = {"gmail_quote", "yahoo_quoted", "protonmail_quote", "tutanota_quote", "zmail_extra"}
_ANSWERS = {"divrplyfwdmsg", "olk_src_body_section", "mail-editor-reference-message-container"}
"""Ids of elements below which a client writes the mail that is answered, up to the end."""
_TOPS = re.compile(r"border:\s*none;\s*border-top:\s*solid #(?:e1e1e1|b5c4df) 1\.0pt", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fold:
    """Characters of ``text`` (code points; the first, one after the last) that repeat an earlier mail."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Shown:
    """``html`` is None for a mail of text. ``held_images``: images, backgrounds, fonts, styles that this view does
    not load."""

    html: str | None
    text: str
    folds: list[Fold]
    held_images: int


class _Images:
    """Which images an address may be loaded for, and how many references to others there were."""

    def __init__(self, images: Literal["held", "shown"], inline: Mapping[str, str]) -> None:
        self._shown = images == "shown"
        self._inline = inline
        self._served = set(inline.values())
        self.held = 0

    def src(self, value: str) -> str | None:
        address = value.translate(_IGNORED)
        if address[:4].lower() == "cid:":
            return self._inline.get(address[4:])
        return address if self.allowed(address) else None

    def allowed(self, address: str) -> bool:
        hosted = self._shown and _HOSTED.fullmatch(address)
        return address in self._served or bool(_PICTURE.fullmatch(address) or hosted)

    def count(self, event: Event, written: Mapping[str, str]) -> None:
        """Add what ``event`` would have a browser load and ``written`` does not."""
        for name, value in event.attributes.items():
            loads = name in _LOADED or (name == "href" and event.name == "link")
            if name == "style":
                self.held += remote_references(value)
            elif loads and _loads(name, value) and name not in written and not (name == "srcset" and "src" in written):
                self.held += 0 if name == "srcset" and _REMOTE.match(event.attributes.get("src", "").strip()) else 1


def _loads(name: str, value: str) -> bool:
    if name.endswith("srcset"):
        return any(_REMOTE.match(part.strip()) for part in value.split(","))
    return bool(_REMOTE.match(value.translate(_IGNORED)))


def _link(value: str) -> str | None:
    address = value.strip().translate(dict.fromkeys((*range(0x20), 0x7F)))
    return address if _LINK.match(address) else None


def _attribute(images: _Images, tag: str, name: str, value: str) -> str | None:
    """What of an attribute may be shown. Called before nh3 and by it: only nh3's call decides."""
    if name == "style":
        return harmless(value) or None
    if name == "href":
        return _link(value) if tag == "a" else None
    if name in {"src", "background"}:
        return images.src(value)
    return value


def _rewritten(images: _Images, event: Event) -> dict[str, str] | None:
    allowed = _ATTRIBUTES.get(event.name, set()) | _EVERYWHERE if event.name in _TAGS else set()
    written = {
        name: kept
        for name, value in event.attributes.items()
        if name in allowed and (kept := _attribute(images, event.name, name, value)) is not None
    }
    images.count(event, written)
    return written if event.name in _TAGS else None


def _cleaned(markup: str, images: _Images) -> str:
    served = images.allowed
    cleaner = nh3.Cleaner(
        tags=_TAGS | {"details", "summary"},
        clean_content_tags=set(TEXT_ONLY),
        attributes={"*": _EVERYWHERE, **_ATTRIBUTES},
        allowed_classes={"details": {"quoted"}},
        attribute_filter=lambda tag, name, value: (
            (value if served(value) else None) if name in {"src", "background"} else _kept(tag, name, value)
        ),
        url_schemes={"http", "https", "mailto", "tel", "data"},
        url_relative="pass_through",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    return cleaner.clean(markup)


def _kept(tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return harmless(value) or None
    return _link(value) if name == "href" else value


class _Lines:
    """The lines of text that events make, and which event each line begins at."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.starts: list[int] = []
        self._words: list[str] = []
        self._start = -1
        self._cites: list[bool] = []
        self._citing = 0
        self._pre = 0
        self._rest = False
        self._lead = -1

    def add(self, at: int, event: Event) -> None:
        if event.kind == "text":
            self._text(at, event.text)
        elif event.kind == "start":
            if event.name in BLOCKS or event.name == "br":
                self.end(at)
            elif event.name in {"td", "th"}:
                self._words.append(" ")
            self._open(at, event)
        elif event.kind == "end":
            if event.name in BLOCKS:
                self.end(at)
            self._lead = -1
            self._close(event)

    def _open(self, at: int, event: Event) -> None:
        if event.name in {"br", "hr", "img", "wbr"}:
            self._lead = -1
            return
        self._lead = at if self._lead < 0 else self._lead
        ids, style = event.attributes.get("id", "").lower(), event.attributes.get("style", "")
        if ids.removeprefix("x_") in _ANSWERS or (event.name == "div" and _TOPS.search(style[:400])):
            self._rest = True
        classes = {name.removeprefix("x_") for name in event.attributes.get("class", "").lower().split()}
        cites = event.name == "blockquote" and (
            event.attributes.get("type", "").lower() == "cite" or bool(classes & _CITES)
        )
        cites = cites or bool(classes & (_CITES - {"gmail_quote"}))
        self._cites.append(cites)
        self._citing += cites
        self._pre += event.name == "pre"

    def _close(self, event: Event) -> None:
        if self._cites:
            self._citing -= self._cites.pop()
            self._pre -= event.name == "pre"

    def _text(self, at: int, text: str) -> None:
        parts = text.split("\n") if self._pre else [" ".join(text.split("\n"))]
        for number, part in enumerate(parts):
            if number:
                self.end(at)
            if part.strip() and self._start < 0:
                self._start = self._lead if self._lead >= 0 and number == 0 else at
            self._words.append(part)
        if text.strip():
            self._lead = -1

    def end(self, at: int) -> None:
        text = "".join(self._words)
        text = text.strip("\n") if self._pre else " ".join(text.replace("\xa0", " ").split())
        if text.strip() or (self.lines and self._words):
            self.lines.append(Line(text, cited=self._citing > 0, rest=self._rest and bool(text.strip())))
            self.starts.append(self._start if self._start >= 0 else at)
            self._rest = self._rest and not text.strip()
        self._words, self._start = [], -1


def _lines_of(source: list[Event]) -> _Lines:
    lines = _Lines()
    for at, event in enumerate(source):
        lines.add(at, event)
    lines.end(len(source))
    return lines


def _text_lines(body: str) -> list[str]:
    """The lines of a body which is HTML, as Graph gives it unless asked otherwise, or text."""
    if re.search(r"<(?:html|body|div|p|br|span|table)\b", body[:20_000], re.IGNORECASE):
        return [line.text for line in _lines_of(list(balanced(events(body)))).lines]
    return body.splitlines()


def _whole(text: str) -> str:
    """``text`` as UTF-8 can say it: a lone surrogate becomes U+FFFD, a NUL goes. Neither is a character of a mail."""
    text = text.replace("\r\n", "\n").replace("\0", "")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _folds(lines: list[str], runs: list[tuple[int, int]]) -> list[Fold]:
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    return [Fold(offsets[start], offsets[end] - 1) for start, end in runs]


def _written(source: list[Event], images: _Images, cuts: Iterator[tuple[int, str]]) -> str:
    writer = Writer(lambda event: _rewritten(images, event))
    following = next(cuts, None)
    for at, event in enumerate(source):
        while following and following[0] <= at:
            writer.cut(following[1])
            following = next(cuts, None)
        if event.kind == "raw":
            images.held += remote_references(event.text) if event.name == "style" else 0
        writer.write(event)
    while following:
        writer.cut(following[1])
        following = next(cuts, None)
    return writer.html()


def _cuts(lines: _Lines, runs: list[tuple[int, int]], size: int) -> Iterator[tuple[int, str]]:
    for start, end in runs[:MAX_CUTS]:
        yield lines.starts[start], _FOLD
        yield (lines.starts[end] if end < len(lines.starts) else size), "</details>"


def shown(
    html: str | None,
    text: str | None,
    unique: str | None,
    images: Literal["held", "shown"],
    inline: Mapping[str, str],
) -> Shown:
    """What to show of a mail whose body is ``html``, or ``text`` where it has no HTML; with both, ``text`` is not read.

    ``unique``: Graph's ``uniqueBody``, HTML or text. ``inline``: content id (without ``cid:`` and angle brackets) → the
    address of the attachment here. Quoted text is in ``<details class="quoted">`` of the HTML and in ``folds`` of the
    text. The time this takes grows with the mail's length and with nothing else that is in it.
    """
    given = _whole(text or "" if html is None else html)
    body = given[:MAX_HTML]
    own = _text_lines(_whole(unique[:MAX_HTML])) if unique else None
    left_out = [LEFT_OUT] if len(given) > MAX_HTML else []
    if html is None:
        plain = body.splitlines()
        runs = quoted([Line(line) for line in plain], own)
        return Shown(None, "\n".join(plain + left_out), _folds(plain, runs), 0)
    source = list(balanced(events(body)))
    lines = _lines_of(source)
    runs = quoted(lines.lines, own)
    held = _Images(images, inline)
    markup = _written(source, held, _cuts(lines, runs, len(source)))
    texts = [line.text for line in lines.lines]
    note = "".join(f"<p>{entities.escape(line)}</p>" for line in left_out)
    return Shown(_cleaned(markup + note, held), "\n".join(texts + left_out), _folds(texts, runs), held.held)
