"""Scenario files: what happens, step by step, in YAML. The same seed and scenario give the same run.

A step is one of: ``do`` a verb with its arguments beside it (``as`` names the result), ``after`` a while on the world
clock (``10 min``), ``wait`` a while on the service clock, ``advance`` both. ``$name`` stands for the id of a named
result, ``$name.field`` for another of its fields.
"""

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from m365_simulator.clock import ClockName
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, perform

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
CLOCK_WORDS: dict[str, tuple[ClockName, ...]] = {
    "after": ("world",),
    "wait": ("service",),
    "advance": ("world", "service"),
}
DURATION = re.compile(r"^(\d+(?:\.\d+)?) ?(s|min|h|d)$")


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    says: str
    steps: tuple[Row, ...]


@functools.cache
def known() -> dict[str, Scenario]:
    """The files of the package by name."""
    folder = resources.files(__package__).joinpath("scenario_files")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        f.name.removesuffix(".yaml"): _scenario(f.name.removesuffix(".yaml"), yaml.safe_load(f.read_text()))
        for f in files
    }


def read(body: Row) -> Scenario:
    """A known one by ``name``, or the one described. Raises ``Refused``."""
    if "steps" in body:
        return _scenario(str(body.get("name", "unnamed")), body)
    name = body.get("name")
    if name not in known():
        raise Refused(f"There is no scenario '{name}'. Known: {', '.join(known())}.")
    return known()[name]


def _scenario(name: str, body: Any) -> Scenario:
    if not isinstance(body, dict) or not isinstance(body.get("steps"), list):
        raise Refused(f"The scenario '{name}' has no list of steps.")
    if strange := set(body) - {"name", "says", "steps"}:
        raise Refused(f"A scenario has name, says and steps, not {sorted(strange)}.")
    for number, step in enumerate(body["steps"], 1):
        words = {"do", *CLOCK_WORDS}
        if not isinstance(step, dict) or len(words & set(step)) != 1:
            raise Refused(f"Step {number} of '{name}' needs exactly one of {', '.join(sorted(words))}.")
        for word in set(step) & set(CLOCK_WORDS):
            if DURATION.match(str(step[word])) is None or set(step) != {word}:
                raise Refused(f"Step {number} of '{name}': {word} stands alone, with a while such as 10 min or 4 h.")
    return Scenario(name, str(body.get("says", "")), tuple(body["steps"]))


def seconds(text: Any) -> float:
    """``40 min`` as seconds; raises ``ValueError``."""
    found = DURATION.match(str(text))
    if found is None:
        raise ValueError(f"'{text}' is not a duration.")
    return float(found[1]) * UNITS[found[2]]


async def run(simulator: Simulator, scenario: Scenario) -> Row:
    """Do the steps. Returns the named results and what was done, with the world's time of each step."""
    named: dict[str, Any] = {}
    done = []
    for number, step in enumerate(scenario.steps, 1):
        try:
            done.append({"step": number, "at": simulator.now().isoformat(), **_step(simulator, step, named)})
        except Refused as error:
            raise Refused(f"Step {number} of '{scenario.name}': {error}") from error
        await simulator.settle()
    return {"name": scenario.name, "named": named, "done": done}


def _step(simulator: Simulator, step: Row, named: dict[str, Any]) -> Row:
    for word, clocks in CLOCK_WORDS.items():
        if word in step:
            for clock in clocks:
                simulator.advance(seconds(step[word]), clock)
            return {word: step[word]}
    given = {key: value for key, value in step.items() if key not in ("do", "as")}
    result = perform(simulator, step["do"], {key: _filled(value, named) for key, value in given.items()})
    if "as" in step:
        named[step["as"]] = result
    return {"do": step["do"]}


def _filled(value: Any, named: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, named) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, named) for one in value]
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    name, _, field = value[1:].partition(".")
    if name not in named:
        raise Refused(f"'{value}' names no earlier result. Known: {', '.join(named) or 'none'}.")
    found = named[name]
    if not isinstance(found, dict) or (field or "id") not in found:
        raise Refused(f"'{value}' has no '{field or 'id'}'.")
    return found[field or "id"]
