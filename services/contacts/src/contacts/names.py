"""Names of people as matching compares them: without marks and scripts, by nickname, and whether two contradict."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rapidfuzz.distance import OSA, JaroWinkler

from contacts.nicknames import NICKNAMES

_LATIN: Final = dict(zip("øłđðħıŧĸŋ", "olddhitkn", strict=True)) | {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
_CYRILLIC: Final = dict(zip("абвгдезийклмнопрстуфыэіўґё", "abvgdeziiklmnoprstufyeiuge", strict=True))
_CYRILLIC_LONG: Final = "ж:zh х:kh ц:ts ч:ch ш:sh щ:shch ю:yu я:ya є:ye ї:yi ј:j љ:lj њ:nj ћ:c ђ:dj џ:dz ъ: ь:"
_GREEK: Final = dict(zip("αβγδεζηικλμνξοπρσςτυφω", "avgdeziiklmnxoprsstyfo", strict=True))
_GREEK_LONG: Final = {"θ": "th", "χ": "ch", "ψ": "ps"}
_ROMAN: Final = str.maketrans(
    _LATIN | _CYRILLIC | _GREEK | _GREEK_LONG | dict(pair.split(":") for pair in _CYRILLIC_LONG.split())
)
_SOUNDS: Final = (
    "ae>a oe>o ue>u aa>a ph>f th>t kh>h tsch>c shch>c sch>s sh>s tch>c ch>c ck>k tz>z ts>z cz>c zh>z sz>s ks>x iy>i "
    "y>i j>i w>v c>k dt>t ei>ai"
)
_LOOSE: Final = tuple(spelling.split(">") for spelling in _SOUNDS.split())
"""In this order: spellings that people use for one sound, long ones first."""
_TOKEN: Final = re.compile(r"[^\W\d_]+")
_ASIDE: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>|\"[^\"]*\"")
_GROUP: Final = re.compile(r"&|\+|/|\b(?:and|und|et|og|och|family|familie|famille|familia)\b", re.IGNORECASE)
_SIRS: Final = frozenset(("mr", "herr", "monsieur", "sig", "señor"))
_MADAMS: Final = frozenset(("mrs", "ms", "miss", "frau", "madame", "mme", "señora", "sra"))
_DEGREES: Final = (
    "dr",
    "prof",
    "professor",
    "dipl",
    "ing",
    "med",
    "rer",
    "nat",
    "phd",
    "mba",
    "msc",
    "bsc",
    "sir",
    "hon",
)
_TITLES: Final = _SIRS | _MADAMS | frozenset(_DEGREES)
_OF: Final = "von van de der den da di du la le el al bin ibn ben dos del della zu zum zur af av ter ten"
_PARTICLES: Final = frozenset(_OF.split())
_SUFFIXES: Final = {
    "jr": "jr",
    "junior": "jr",
    "jun": "jr",
    "sr": "sr",
    "senior": "sr",
    "sen": "sr",
    "ii": "2",
    "iii": "3",
}


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Small letters without accents, in Latin script where it was Cyrillic or Greek: ``Łucja`` → ``lucja``."""
    small = text.casefold()
    if small.isascii():
        return small
    plain = "".join(mark for mark in unicodedata.normalize("NFD", small.translate(_ROMAN)) if not _mark(mark))
    return unicodedata.normalize("NFC", plain.translate(_ROMAN))


def _mark(letter: str) -> bool:
    return unicodedata.combining(letter) != 0


@lru_cache(maxsize=65_536)
def loose(text: str) -> str:
    """A form that is equal for spellings of one name: ``Müller``, ``Mueller``; ``Юлия``, ``Yulia``, ``Julia``."""
    plain = fold(text)
    for pair, one in _LOOSE:
        if pair in plain:
            plain = plain.replace(pair, one)
    return re.sub(r"(.)\1+", r"\1", plain)


def _formal() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for entry in " ".join(NICKNAMES.split()).split(";"):
        name, _, nicks = entry.partition(":")
        for nick in nicks.split():
            found.setdefault(loose(nick), set()).add(loose(name.strip()))
    return {nick: frozenset(names) for nick, names in found.items()}


_FORMAL: Final = _formal()
_KNOWN: Final = frozenset(loose(entry.partition(":")[0].strip()) for entry in NICKNAMES.split(";"))
_ENDINGS: Final = ("a", "e", "in", "ina", "ine", "et", "ete")


def formal(given: str) -> str:
    """The name that a nickname most likely stands for, in its loose form; the name itself if it is none."""
    return min(_FORMAL.get(loose(given), {loose(given)}))


def nicknamed(one: str, two: str) -> bool:
    """Whether one name is a nickname of the other, or both are of a third. ``Alexander`` and ``Alexandra`` are not."""
    first, second = loose(one), loose(two)
    longer, other = _FORMAL.get(first, frozenset()), _FORMAL.get(second, frozenset())
    return second in longer or first in other or not longer.isdisjoint(other)


def distinct(one: str, two: str) -> bool:
    """Whether two similar given names are two names and no spelling of one: ``Martin`` and ``Martina``."""
    first, second = sorted((loose(one), loose(two)), key=len)
    if second.startswith(first) and second[len(first) :] in _ENDINGS:
        return True
    return first != second and first in _KNOWN and second in _KNOWN


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name in folded tokens. ``group`` is several people (a couple, a family); ``single`` is one word alone.

    ``sex`` and ``suffix`` come from titles and generation marks and are "" where none is given.
    """

    given: tuple[str, ...] = ()
    surname: tuple[str, ...] = ()
    single: str = ""
    whole: str = ""
    sex: str = ""
    suffix: str = ""
    group: bool = False
    company: bool = False

    def __bool__(self) -> bool:
        return bool(self.given or self.surname or self.single)


def name_of(given: str, surname: str, display: str, *, title: str = "", suffix: str = "", company: str = "") -> Name:
    """The name from its parts; without them from ``display``: ``Surname, Given`` or ``Given Surname``."""
    marks = set(map(fold, _words(f"{title} {suffix} {'' if given or surname else display}")))
    sex = "m" if marks & _SIRS else "f" if marks & _MADAMS else ""
    kind = next((_SUFFIXES[mark] for mark in sorted(marks) if mark in _SUFFIXES), "")
    shown = _ASIDE.sub(" ", display)
    group = _GROUP.search(f"{given} {surname}" if given or surname else shown) is not None
    if not given and not surname:
        if not shown.strip() or "@" in shown:
            return Name()
        if company and fold(shown.strip()) == fold(company.strip()):
            return Name(whole=fold(shown), single=fold(shown.strip()), company=True)
        last, comma, first = shown.partition(",")
        given, surname = (first, last) if comma and _tokens(first) else _split(shown)
    first_names, last_names = _tokens(given), _tokens(surname)
    whole = " ".join((*first_names, *last_names))
    if not first_names or not last_names:
        alone = (*first_names, *last_names)
        return Name(single=" ".join(alone), whole=whole, sex=sex, suffix=kind, group=group)
    return Name(first_names, last_names, "", whole, sex, kind, group)


def _words(text: str) -> list[str]:
    return text.replace(".", " ").split()


def _split(display: str) -> tuple[str, str]:
    words = [
        word
        for word in display.split()
        if fold(word.strip(".,")) not in _TITLES and fold(word.strip(".,")) not in _SUFFIXES
    ]
    at = next((place for place, word in enumerate(words) if place and fold(word) in _PARTICLES), max(len(words) - 1, 0))
    return " ".join(words[:at]), " ".join(words[at:])


def _tokens(text: str) -> tuple[str, ...]:
    found = _TOKEN.findall(fold(_ASIDE.sub(" ", text)).replace("'", "").replace("’", ""))
    kept = [word for word in found if word not in _TITLES and word not in _SUFFIXES]
    return tuple(word for word in kept if word not in _PARTICLES) or tuple(kept)


def contradict(one: Name, two: Name) -> bool:
    """Whether the names are of different people as far as names tell; a name that is missing contradicts nothing."""
    if (one.suffix and two.suffix and one.suffix != two.suffix) or (one.sex and two.sex and one.sex != two.sex):
        return True
    if not one or not two or one.whole == two.whole:
        return False
    if one.group or two.group or one.company or two.company:
        return True
    if one.single or two.single:
        return not _alone(one, two)
    if sorted(map(loose, one.given + one.surname)) == sorted(map(loose, two.given + two.surname)):
        return False
    return not (same_given(one.given, two.given) and same_surname(one, two))


def _alone(one: Name, two: Name) -> bool:
    """Whether a single word, which may be either name, is one of the other's."""
    words = [(*name.given, *name.surname, *name.single.split()) for name in (one, two)]
    return any(
        first == second or loose(first) == loose(second) or nicknamed(first, second)
        for first in words[0]
        for second in words[1]
    )


def same_given(one: tuple[str, ...], two: tuple[str, ...]) -> bool:
    """Equal, an initial, a nickname, or one of several given names. No typing errors: Martin is not Martina."""
    first, second = one[0], two[0]
    if loose(first) == loose(second) or nicknamed(first, second):
        return True
    if len(first) == 1 or len(second) == 1:
        return first[0] == second[0] or loose(first)[0] == loose(second)[0]
    return first in two or second in one


def same_surname(one: Name, two: Name) -> bool:
    """Equal in some spelling, one part of a double name, or one letter off where the given names are written out."""
    first, second = {loose(word) for word in one.surname}, {loose(word) for word in two.surname}
    if first & second:
        return True
    left, right = "".join(one.surname), "".join(two.surname)
    if loose(left) == loose(right):
        return True
    sure = min(len(one.given[0]), len(two.given[0])) > 1 and min(len(left), len(right)) > 4
    return sure and OSA.distance(loose(left), loose(right)) <= 1


def similarity(one: str, two: str) -> float:
    """0 to 1 for two words in loose form."""
    return JaroWinkler.similarity(loose(one), loose(two))
