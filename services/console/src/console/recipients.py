"""People as they are typed into a form, and as an API reads them."""

import re

from console.backend import Json

_NAMED = re.compile(r"^(?P<name>[^<>]*)<(?P<email>[^<>@\s]+@[^<>@\s]+)>$")
_BETWEEN = re.compile(r"[,;\n]")
_PLAIN = re.compile(r"^[^<>@\s]+@[^<>@\s]+$")


def read(text: str) -> tuple[list[Json], str | None]:
    """The people in a text, one a line or with commas between; and a sentence where something is no address."""
    people: list[Json] = []
    fault = None
    for piece in _pieces(text):
        named = _NAMED.match(piece)
        if named:
            name = named["name"].strip(' "')
            people.append({"email": named["email"], **({"name": name} if name else {})})
        elif _PLAIN.match(piece):
            people.append({"email": piece})
        else:
            fault = f"“{piece}” is no e-mail address. Mend it or take it out."
    return people, fault


def written(person: Json) -> str:
    """``Ben Berg <ben@example.com>``; a name with a comma or bracket in it would be read as two people."""
    name = " ".join(re.sub(r"[<>,;\"\n]", " ", str(person.get("name") or "")).split())
    return f"{name} <{person['email']}>" if name else str(person["email"])


def _pieces(text: str) -> list[str]:
    """Bare addresses may also have spaces between."""
    parts = [part.strip() for part in _BETWEEN.split(text)]
    return [piece for part in parts for piece in ([part] if "<" in part else part.split())]
