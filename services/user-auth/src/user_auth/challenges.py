"""Claims challenges: what a token has to carry before Graph, or Entra itself, accepts it."""

import contextlib
import json
from typing import Any

from pydantic import TypeAdapter

_SHAPE = TypeAdapter(dict[str, dict[str, Any]])
_LONGEST = 4096
"""The next sign-in carries it on its address, which browsers and proxies cut off somewhere."""


def read(value: str) -> dict[str, dict[str, Any]]:
    """Read the claims that a challenge asks for, by token. Raises ``ValueError`` for anything else."""
    return _SHAPE.validate_json(value)


def as_one(*challenges: str | None) -> str | None:
    """All that are readable as one, for the next sign-in; None when nothing is left, or it is too long for that."""
    whole: dict[str, dict[str, Any]] = {}
    for challenge in filter(None, challenges):
        with contextlib.suppress(ValueError):
            for token, claims in read(challenge).items():
                whole[token] = whole.get(token, {}) | claims
    said = json.dumps(whole)
    return said if whole and len(said) <= _LONGEST else None
