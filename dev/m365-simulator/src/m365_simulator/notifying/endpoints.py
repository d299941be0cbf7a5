"""Endpoints that answer slowly: Graph first sends to them later, then not at all, and now and then tries a few.

Slow: over 10 % of the responses of ten minutes took longer than the first allowance; what is new waits ten minutes.
Drop: over 15 % took longer than the retry allowance; what is new is lost for ten minutes. After that a few are let
through, and their responses decide.
"""

from urllib.parse import urlsplit

from m365_simulator.core import Simulator
from m365_simulator.store import Row

from .figures import Figures, figures

MOST = 200
"""For a busy endpoint the newest responses decide."""


def endpoint_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _row(simulator: Simulator, url: str) -> Row:
    name = endpoint_of(url)
    fresh: Row = {"id": name, "state": "good", "until": 0.0, "let": 0, "window": []}
    return simulator.store.get("endpoints", name) or fresh


def let(simulator: Simulator, url: str) -> str:
    """What becomes of a new notification: ``now``, ``later`` or ``dropped``."""
    row = _row(simulator, url)
    if row["state"] == "good":
        return "now"
    if simulator.clock.service().timestamp() >= row["until"] and row["let"] < figures(simulator).probes:
        simulator.store.put("endpoints", row["id"], {**row, "let": row["let"] + 1})
        return "now"
    return "later" if row["state"] == "slow" else "dropped"


def note(simulator: Simulator, url: str, *, over_first: bool, over_retry: bool) -> None:
    """Count a response, or that none came, and change the endpoint's state where the shares say so."""
    row, numbers = _row(simulator, url), figures(simulator)
    now = simulator.clock.service().timestamp()
    seen = [one for one in row["window"] if one[0] > now - numbers.window_s][-(MOST - 1) :]
    row["window"] = [*seen, [now, over_first, over_retry]]
    if row["state"] == "good":
        _judge(row, numbers, now, numbers.least_responses)
    elif now >= row["until"]:
        row["window"] = [one for one in row["window"] if one[0] >= row["until"]]
        _judge(row, numbers, now, numbers.probes)
    simulator.store.put("endpoints", row["id"], row)


def _judge(row: Row, numbers: Figures, now: float, enough: int) -> None:
    window = row["window"]
    if len(window) < enough:
        return
    if sum(one[2] for one in window) > numbers.drop_share * len(window):
        row |= {"state": "drop", "until": now + numbers.window_s, "let": 0, "window": []}
    elif sum(one[1] for one in window) > numbers.slow_share * len(window):
        row |= {"state": "slow", "until": now + numbers.window_s, "let": 0, "window": []}
    elif row["state"] != "good":
        row |= {"state": "good", "until": 0.0, "let": 0, "window": []}
