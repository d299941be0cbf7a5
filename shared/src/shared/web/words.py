"""What a text from outside may hold: ``Text`` for models and parameters, ``Line`` for what is shown on one line.

PostgreSQL stores no NUL and no half of a surrogate pair; refused here, they are 422 with the field's name. Control
characters and marks that turn the direction of what follows make a line read differently from what it is.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator

_NOT_STORED = re.compile(r"[\x00\ud800-\udfff]")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DIGITS_MAX = 18


def storable(value: str | None) -> str | None:
    """``value``. Raises ``ValueError`` when no database column can hold it."""
    if value is not None and _NOT_STORED.search(value):
        raise ValueError("must not hold NUL or half a character")
    return value


def storable_throughout(value: Any) -> Any:
    """``value``, with every text in it storable: of a list or a plain object too."""
    if isinstance(value, str):
        return storable(value)
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    if isinstance(value, dict | list | tuple | set | frozenset):
        for part in parts:
            storable_throughout(part)
    return value


def one_line(value: str) -> str:
    """``value``. Raises ``ValueError`` for line ends, control characters and marks of direction."""
    if _NOT_IN_A_LINE.search(value):
        raise ValueError("must be one line without control characters")
    return value


STORABLE = AfterValidator(storable)
ONE_LINE = AfterValidator(one_line)
"""These stand after the constraints of length and pattern: ``Annotated[str, Field(max_length=9), ONE_LINE]``."""
Text = Annotated[str, STORABLE]
"""Any text that can be stored."""
Line = Annotated[str, ONE_LINE]
"""A text that is shown on one line: a subject, a name, a path."""


def whole_number(digits: str) -> int | None:
    """Read a header that has ASCII digits only. More than 18 digits count as the largest number of 18; else None."""
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits[-_DIGITS_MAX:]) if len(digits.lstrip("0")) <= _DIGITS_MAX else 10**_DIGITS_MAX - 1
