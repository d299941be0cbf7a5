"""B17: an hour in which the meetings of fifty organisations end, in virtual time; services and Microsoft are processes.

``BENCH_MEETINGS`` and ``BENCH_ORGANISATIONS`` are how many; in ``BENCH_HOUR_S`` the hour of the flood passes here. None
is lost: each of the meetings ends with its recording and its transcript in its record.
"""

import os
from collections.abc import Iterable
from statistics import quantiles

from dev.bench.campus import Campus, Plan
from dev.bench.measuring import Outcome, ratio

MEETINGS = int(os.environ.get("BENCH_MEETINGS", "1000"))
FEW = 100
ORGANISATIONS = int(os.environ.get("BENCH_ORGANISATIONS", "50"))
HOUR_S = float(os.environ.get("BENCH_HOUR_S", "100"))
STEADY_PER_S = 1.0
FLOOD = 5
"""So many times as many as all others together, in one organisation, at the beginning of the hour."""


async def measure(_count: int) -> list[Outcome]:
    return [await _cost(), await _flood()]


async def _cost() -> Outcome:
    outcome = Outcome("B17 a meeting's end", "ms of processor", "many / few", 1.2, ratio, lower_is_better=True)
    few, _ = await _spent_ms(FEW)
    many, per_s = await _spent_ms(MEETINGS)
    outcome.add(many, few)
    outcome.note = f"{MEETINGS:,} meetings against {FEW}, {per_s:.1f} a second, none lost"
    return outcome


async def _spent_ms(count: int) -> tuple[float, float]:
    plans = [Plan(f"org{number}", count // ORGANISATIONS) for number in range(ORGANISATIONS)]
    async with Campus.opened(plans) as campus:
        before = campus.processor_s()
        ended = await campus.happen(3600)
        imported = await campus.imported(count)
        spent = campus.processor_s() - before
        assert len(imported) == count, f"{count - len(imported)} meetings lost"
        whole_s = max(imported.values()) - min(ended.values())
    return spent / count * 1000, count / whole_s


async def _flood() -> Outcome:
    outcome = Outcome("B17 beside a flood, p95", "s", "with / without", 1.5, ratio, lower_is_better=True)
    each = max(1, int(STEADY_PER_S * HOUR_S) // ORGANISATIONS)
    steady = [Plan(f"org{number}", each) for number in range(1, ORGANISATIONS)]
    flood = Plan("org0", FLOOD * each * len(steady), last_s=60)
    without, _ = await _waited(steady)
    with_it, spoken = await _waited([flood, *steady])
    outcome.add(with_it, without)
    outcome.note = (
        f"{flood.meetings} meetings of one organisation end at once, {each * len(steady)} of others; {spoken}"
    )
    return outcome


async def _waited(plans: list[Plan]) -> tuple[float, str]:
    """p95 of the organisations that are not flooded, from a meeting's end to its transcript and recording."""
    async with Campus.opened(plans) as campus:
        ended = await campus.happen(3600, over_s=HOUR_S)
        imported = await campus.imported(len(campus.booked))
    waits: dict[bool, list[float]] = {True: [], False: []}
    for one in campus.booked:
        waits[one.org_id == "org0"].append(imported[one.org_id, one.meeting_id] - ended[one.meeting_id])
    return _p95(waits[False]), f"the flood's own p95 {_p95(waits[True] or [0, 0]):.0f} s"


def _p95(waits: Iterable[float]) -> float:
    return quantiles(waits, n=20)[-1]
