"""JSON on its way into the database."""

import json
from typing import Any

import orjson


def as_json(value: Any) -> str:
    """JSON for a parameter of type ``jsonb``. The standard library writes what orjson refuses, such as half of a
    surrogate pair; PostgreSQL then refuses what it cannot store.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False)
