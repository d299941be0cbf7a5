"""Payloads that Microsoft publishes, from the folder that ``GRAPH_SAMPLES_DIR`` names; without it tests are skipped.

Each JSON file has ``source``, ``request`` (``method``, ``url``, ``headers``, ``body``) or null and ``response``
(``status``, ``headers``, ``body``) or null; ``INDEX.md`` names the topic of each.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ABOUT_SAMPLES = "published samples:"
"""How the reason of a skip begins that continuous integration lets pass: it is about a payload, not about an engine."""
MISSING = f"{ABOUT_SAMPLES} GRAPH_SAMPLES_DIR names no folder of them"
_ROW = re.compile(r"^\| `(?P<name>[^`]+)` \| (?P<topic>[^|]+?) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """``document`` is the JSON of the file; ``text`` is what another kind of file holds."""

    name: str
    topic: str
    document: dict[str, Any]
    text: str

    @property
    def request(self) -> dict[str, Any]:
        """Empty when the sample shows none."""
        return self.document.get("request") or {}

    @property
    def response(self) -> dict[str, Any]:
        return self.document.get("response") or {}


@cache
def everything() -> tuple[Sample, ...]:
    """All files in order of their names; none when no folder is named. One that is not there is an error."""
    named = os.environ.get("GRAPH_SAMPLES_DIR")
    if not named:
        return ()
    folder = Path(named)
    index = folder / "INDEX.md"
    topics = dict(_ROW.findall(index.read_text())) if index.exists() else {}
    return tuple(_read(path, topics.get(path.name, "")) for path in sorted(folder.iterdir()) if path.name != "INDEX.md")


def _read(path: Path, topic: str) -> Sample:
    text = path.read_text()
    document = json.loads(text) if path.suffix == ".json" else {}
    return Sample(path.name, topic, document if isinstance(document, dict) else {}, text)


def samples(*topics: str, requests: bool | None = None, responses: bool | None = None) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``, of topics that begin with one of the words; all without words.

    ``requests`` and ``responses`` keep the samples that show one, or that show none.
    """
    found = [
        sample
        for sample in everything()
        if (not topics or any(sample.topic.lower().startswith(topic.lower()) for topic in topics))
        and requests in (None, bool(sample.request))
        and responses in (None, bool(sample.response))
    ]
    if not everything():
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no samples")]
    return [pytest.param(sample, id=sample.name) for sample in found]
