"""Query options of lists: only what an endpoint allows, the rest is refused and not passed over in silence."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from .clock import moment_of
from .schema import full_name, properties
from .store import Row

OPTIONS = ("$select", "$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$search")
Predicate = Callable[[Row], bool]


class BadQuery(ValueError):
    """A query option that Graph refuses; the message is what it says."""


@dataclass(frozen=True, slots=True)
class Allows:
    """What a list takes. ``filters`` and ``orders`` name the properties; ``top`` is the greatest, 0 for none."""

    select: bool = True
    filters: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    top: int = 0
    skip: bool = False
    count: bool = False
    expands: tuple[str, ...] = ()
    search: bool = False
    page: int = 10
    other: tuple[str, ...] = ()
    """Further parameters that the endpoint reads itself, such as ``startDateTime`` or a ``$filter`` of its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query; ``apply`` filters, sorts and cuts shown rows, ``shape`` keeps what was selected."""

    params: dict[str, str]
    select: tuple[str, ...] | None
    predicate: Predicate
    orders: tuple[tuple[str, bool], ...]
    skip: int
    top: int | None
    size: int
    count: bool
    expand: tuple[str, ...]
    search: str | None
    inner: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def shape(self, row: Row) -> Row:
        """``id`` and annotations always stay, as Graph does it."""
        if self.select is None:
            return row
        return {key: value for key, value in row.items() if key in self.select or key == "id" or key.startswith("@")}

    def shape_inner(self, name: str, row: Row) -> Row:
        """``row`` of the expanded ``name``, with what its own $select keeps."""
        wanted = self.inner.get(name)
        keep = row if wanted is None else {"id", *wanted}
        return {key: value for key, value in row.items() if key in keep or key.startswith("@")}

    def apply(self, rows: list[Row]) -> tuple[list[Row], int, int | None]:
        """This page's rows, how many match in all, and the offset of the next page or None."""
        found = [row for row in rows if self.predicate(row)]
        for name, descending in reversed(self.orders):
            found.sort(key=lambda row: _order(reach(row, name)), reverse=descending)
        end = len(found) if self.top is None else min(len(found), self.top)
        stop = min(end, self.skip + self.size)
        return found[self.skip : stop], len(found), stop if stop < end else None

    def next_link(self, url: str, offset: int) -> str:
        given = {key: value for key, value in self.params.items() if key not in ("$skiptoken", "$skip")}
        token = base64.urlsafe_b64encode(f"at:{offset}".encode()).decode().rstrip("=")
        return f"{url}?{urlencode({**given, '$skiptoken': token}, quote_via=quote, safe='$,()')}"


def read_query(params: dict[str, str], kind: str, allows: Allows, *, prefer_size: int | None = None) -> Query:
    """Raises ``BadQuery``. ``kind`` is the metadata type of the items, ``prefer_size`` odata.maxpagesize."""
    params = {("$" + key if "$" + key in OPTIONS else key): value for key, value in params.items()}
    known = {*allows.other, "$skiptoken", *_allowed(allows)}
    for name in params:
        if name in OPTIONS and name not in known:
            raise BadQuery(f"The query option '{name}' is not supported here.")
        if name.startswith("$") and name not in known:
            raise BadQuery(f"The query parameter '{name}' is not recognized.")
    top = _whole(params, "$top", allows.top)
    start = _token(params["$skiptoken"]) if "$skiptoken" in params else _whole(params, "$skip") or 0
    size = min(prefer_size or top or allows.page, allows.top or allows.page)
    return Query(
        params,
        _select(params.get("$select"), kind),
        parse_filter(params["$filter"], kind, allows.filters)
        if "$filter" in params and allows.filters
        else lambda row: True,
        _orders(params.get("$orderby"), allows),
        start,
        None if top is None or top == size else top,
        max(1, size),
        params.get("$count", "false").lower() == "true",
        _expand(params.get("$expand"), allows),
        params.get("$search"),
        _inner(params.get("$expand")),
    )


def _allowed(allows: Allows) -> set[str]:
    given = {
        "$select": allows.select,
        "$filter": allows.filters,
        "$orderby": allows.orders,
        "$top": allows.top,
        "$skip": allows.skip,
        "$count": allows.count,
        "$expand": allows.expands,
        "$search": allows.search,
    }
    return {name for name, value in given.items() if value}


def _whole(params: dict[str, str], name: str, most: int | None = None) -> int | None:
    if name not in params:
        return None
    text = params[name]
    if not text.isdigit() or (name == "$top" and int(text) < 1):
        raise BadQuery(f"Invalid value '{text}' for {name} query option found.")
    if most and int(text) > most:
        raise BadQuery(f"The value of {name} is larger than {most}.")
    return int(text)


def _token(text: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(text + "==").decode().partition(":")
    except ValueError as error:
        raise BadQuery("The skip token is invalid.") from error
    if word != "at" or not number.isdigit():
        raise BadQuery("The skip token is invalid.")
    return int(number)


_CAST = re.compile(r"^microsoft\.graph\.\w+/")
"""Names a property of a derived type; ``kind`` has those of all."""


def _select(text: str | None, kind: str) -> tuple[str, ...] | None:
    if text is None or text.strip() == "*":
        return None
    known = {name.lower(): name for name in properties(kind)}
    wanted = [_CAST.sub("", part.strip()) for part in text.split(",") if part.strip()]
    for name in wanted:
        if name.partition("/")[0].lower() not in known:
            raise BadQuery(f"Could not find a property named '{name}' on type '{full_name(kind)}'.")
    return tuple(known[name.partition("/")[0].lower()] for name in wanted)


def _orders(text: str | None, allows: Allows) -> tuple[tuple[str, bool], ...]:
    found = []
    for part in (text or "").split(","):
        name, _, way = part.strip().partition(" ")
        if not name:
            continue
        if name not in allows.orders or way.strip().lower() not in ("", "asc", "desc"):
            raise BadQuery(f"The $orderby expression '{part.strip()}' is not supported.")
        found.append((name, way.strip().lower() == "desc"))
    return tuple(found)


def _expand(text: str | None, allows: Allows) -> tuple[str, ...]:
    wanted = [re.split(r"[(/]", part)[0].strip() for part in _parts(text)]
    for name in wanted:
        if name not in allows.expands:
            raise BadQuery(f"The $expand of '{name}' is not supported here.")
    return tuple(wanted)


def _parts(text: str | None) -> list[str]:
    """Between the commas that stand in no parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text or "") if part.strip()]


def _inner(text: str | None) -> dict[str, tuple[str, ...]]:
    """What $select within an $expand keeps, by the name that is expanded."""
    found = {}
    for part in _parts(text):
        name, _, given = part.removesuffix(")").partition("(")
        option, _, names = given.partition("=")
        if option.strip().lower() in ("$select", "select"):
            found[name.strip()] = tuple(one.strip() for one in names.split(",") if one.strip())
    return found


def reach(row: Any, path: str) -> Any:
    for part in path.split("/"):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def _order(value: Any) -> tuple[bool, str]:
    return value is not None, str(value).lower()


_WORDS = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<mark>[(),:])|(?P<word>[^\s(),:']+(?::[^\s(),']+)*))")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}
_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda text, part: part in text,
}


def parse_filter(text: str, kind: str, filters: tuple[str, ...]) -> Predicate:
    """and, or, not, comparisons, startswith, endswith, contains, any; only over the properties in ``filters``."""
    parser = _Parser(text, filters)
    predicate = parser.either()
    if parser.peek() is not None:
        raise BadQuery(f"Invalid filter clause at '{parser.peek()}': {text}")
    return predicate


class _Parser:
    def __init__(self, text: str, filters: tuple[str, ...]) -> None:
        self._words = [found.group().strip() for found in _WORDS.finditer(text) if found.group().strip()]
        self._at = 0
        self._filters = filters
        self._text = text

    def peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _take(self, wanted: str | None = None) -> str:
        word = self.peek()
        if word is None or (wanted is not None and word.lower() != wanted):
            raise BadQuery(f"Invalid filter clause: {self._text}")
        self._at += 1
        return word

    def _is(self, word: str) -> bool:
        return (self.peek() or "").lower() == word

    def either(self) -> Predicate:
        left = self._both()
        while self._is("or"):
            self._take()
            left = _any_of(left, self._both())
        return left

    def _both(self) -> Predicate:
        left = self._one()
        while self._is("and"):
            self._take()
            left = _all_of(left, self._one())
        return left

    def _one(self) -> Predicate:
        if self._is("not"):
            self._take()
            inner = self._one()
            return lambda row: not inner(row)
        if self._is("("):
            self._take()
            inner = self.either()
            self._take(")")
            return inner
        name = self._take()
        if name.lower() in _FUNCTIONS:
            return self._function(_FUNCTIONS[name.lower()])
        if name.lower().endswith("/any"):
            return self._lambda(name[: -len("/any")])
        path, compare = self._path(name), self._take().lower()
        if compare not in _COMPARE:
            raise BadQuery(f"The operator '{compare}' is not supported: {self._text}")
        return _comparison(path, _COMPARE[compare], literal(self._take()))

    def _function(self, function: Callable[[str, str], bool]) -> Predicate:
        self._take("(")
        path = self._path(self._take())
        self._take(",")
        part = str(literal(self._take())).lower()
        self._take(")")
        return lambda row: function(str(reach(row, path) or "").lower(), part)

    def _lambda(self, name: str) -> Predicate:
        self._take("(")
        variable = self._take()
        if ":" in variable:  # a:a/address comes as one word
            variable, _, first = variable.partition(":")
            self._at -= 1
            self._words[self._at] = first
        else:
            self._take(":")
        allowed = tuple(f.removeprefix(f"{name}/any/") for f in self._filters if f.startswith(f"{name}/any/"))
        if not allowed:
            raise BadQuery(f"The property '{name}' cannot be filtered here.")
        outer, self._filters = self._filters, tuple(f"{variable}/{inner}" for inner in allowed)
        inner = self.either()
        self._filters = outer
        self._take(")")
        return lambda row: any(inner({variable: item}) for item in reach(row, name) or [])

    def _path(self, name: str) -> str:
        for known in self._filters:
            if known.lower() == name.lower():
                return known
        raise BadQuery(f"The property '{name}' cannot be filtered here.")


def _any_of(left: Predicate, right: Predicate) -> Predicate:
    return lambda row: left(row) or right(row)


def _all_of(left: Predicate, right: Predicate) -> Predicate:
    return lambda row: left(row) and right(row)


def literal(word: str) -> Any:
    """A string, null, a boolean, a number, or the text of a time or a GUID."""
    if word.startswith("'"):
        return word[1:-1].replace("''", "'")
    fixed = {"null": None, "true": True, "false": False}
    if word.lower() in fixed:
        return fixed[word.lower()]
    if re.fullmatch(r"-?\d+(\.\d+)?", word):
        return float(word)
    return word


def _comparison(path: str, compare: Callable[[Any, Any], bool], wanted: Any) -> Predicate:
    def holds(row: Row) -> bool:
        return compare(*_alike(reach(row, path), wanted))

    return holds


def _alike(value: Any, wanted: Any) -> tuple[Any, Any]:
    """Texts without regard to case, times as moments."""
    if isinstance(value, str) and isinstance(wanted, str):
        if re.match(r"^\d{4}-\d\d-\d\dT", value) and re.match(r"^\d{4}-\d\d-\d\d", wanted):
            try:
                return moment_of(value), moment_of(wanted)
            except ValueError as error:
                raise BadQuery(f"'{wanted}' is not a time.") from error
        return value.lower(), wanted.lower()
    return value, wanted
