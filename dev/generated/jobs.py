"""``docs/jobs.md``: what each service does later, and how long it tries."""

import importlib

from dev.services import SERVICES
from shared.jobs.registry import Jobs, Kind

NOTE = "<!-- made by `make generate` -->"
_DAY_S = 86_400


def jobs_by_service() -> dict[str, Jobs]:
    """Service → its jobs, of those that have some."""
    mains = {name: importlib.import_module(f"{name.replace('-', '_')}.main") for name in SERVICES}
    return {name: main.does for name, main in mains.items() if hasattr(main, "does")}


def jobs_page() -> str:
    lines = [
        "# Jobs",
        "",
        NOTE,
        "",
        "A job is queued in the transaction that wants it: `work.queue(ScheduleMeeting(meeting_id=…))`. It runs at",
        "least once, under one lease at a time, and its transactions commit only under that lease. A counted run is",
        "held against the attempts. Waiting for Microsoft is not; it ends with the patience. The job has failed then,",
        "and `redrive` runs it again ([how](how-to/redrive.md)). `shared/jobs/again.py` draws how a run ends.",
        "",
        "| kind | what is done | by | priority | attempts | patience |",
        "|---|---|---|---|---|---|",
    ]
    for service, jobs in sorted(jobs_by_service().items()):
        lines += [_line(service, kind) for _, kind in sorted(jobs.kinds.items())]
    return "\n".join(lines) + "\n"


def _line(service: str, kind: Kind) -> str:
    does = " ".join((kind.work.__doc__ or "").split("\n\n")[0].split())
    by = f"{service}: `{kind.function.__name__}`"
    return f"| `{kind.name}` | {does} | {by} | {kind.work.priority} | {kind.attempts} | {_time(kind.patience_s)} |"


def _time(seconds: float) -> str:
    return f"{seconds / _DAY_S:.0f} days" if seconds >= _DAY_S else f"{seconds / 60:.0f} min"
