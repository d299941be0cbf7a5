"""How a run goes: the longest files first, so that every worker is busy to the end, and at its end what did not run.

Tests come in random order (pytest-randomly; the first lines of a run say its seed), the files by how long they took the
last time on this machine, roughly, so that chance still decides among those that take about as long.
"""

import gc
import math
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from shared.testing import engines, parsing
from shared.testing.samples import ABOUT_SAMPLES

ABOUT_PEERS = "not locked:"
"""How the reason of a skip begins that continuous integration lets pass: a peer that the product does not need. Nobody
can be asked to have the samples either."""
_SHARING = {
    f"tests/e2e/test_{name}.py"
    for name in ("attendees", "browser", "files_in_a_browser", "mail_in_a_browser", "platform")
}
"""Files that share one running platform, so one worker has them all."""
_SECONDS = "prospo/seconds"
_GUESSES = {"slow": 20.0, "browser": 5.0, "engine": 5.0}
_OTHERS_S = 0.2
_took: dict[str, float] = defaultdict(float)
settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("busy machine")
parsing.mend()
gc.disable()
"""Until everything is imported and collected: none of that is ever freed, and to look through it again and again would
take a sixth of the time that a run computes."""


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cache: pytest.Cache | None = getattr(config, "cache", None)
    known: dict[str, float] = cache.get(_SECONDS, {}) if cache else {}
    weights: dict[str, float] = defaultdict(float)
    for item in items:
        weights[_work(item.nodeid)] += known.get(item.nodeid) or _guessed_s(item)
    drawn = {work: place for place, work in enumerate(weights)}
    items.sort(key=lambda item: (-round(math.log2(weights[_work(item.nodeid)])), drawn[_work(item.nodeid)]))


def _guessed_s(item: pytest.Item) -> float:
    return max((seconds for mark, seconds in _GUESSES.items() if item.get_closest_marker(mark)), default=_OTHERS_S)


def _work(test: str) -> str:
    """What one worker does without a break: a file, or those that share a platform."""
    file = test.partition("::")[0]
    return "tests/e2e" if file in _SHARING else file


class _Spread(LoadFileScheduling):  # type: ignore[misc] # xdist says no types
    def _split_scope(self, nodeid: str) -> str:
        return _work(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Spread | None:
    return _Spread(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _took[report.nodeid] += report.duration


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workerinput"):
        return  # a worker; the process that hears of all tests keeps their times
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache and _took:
        cache.set(_SECONDS, cache.get(_SECONDS, {}) | {test: round(seconds, 2) for test, seconds in _took.items()})
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    wanting = [
        one for one in skipped if not any(reason in str(one.longrepr) for reason in (ABOUT_SAMPLES, ABOUT_PEERS))
    ]
    if engines.required() and wanting:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One block of what did not run: a line per missing engine."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("did not run")
        reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
        for reason, count in sorted(reasons.items()):
            terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")
