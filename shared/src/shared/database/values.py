"""JSON on its way into the database."""

import json
from typing import Any

import orjson


def as_json(value: Any) -> str:
    """For a parameter of type ``jsonb``. What orjson does not take, such as half of a surrogate pair, the standard
    library writes, and PostgreSQL then says what it does not take.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False)
