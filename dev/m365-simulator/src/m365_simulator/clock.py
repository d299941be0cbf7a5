"""Two clocks that can be pushed apart.

*World*: what happens in calendars and meetings. *Service*: what Microsoft's machines count, such as the age of tokens,
codes, subscriptions and upload sessions, and when a notification is sent again. Callers live on the real clock, so the
times they send and are shown are translated on the way: an expiry "in 59 minutes" stays 59 minutes ahead.
"""

import datetime
from typing import Literal

from .store import Store

ClockName = Literal["world", "service"]


def stamp(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(text: str) -> datetime.datetime:
    """An ISO time, UTC unless it says otherwise; raises ValueError. Graph sends up to seven fraction digits."""
    head, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    found = datetime.datetime.fromisoformat(f"{head}{dot}{digits[:6]}{rest[len(digits) :]}" if dot else text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def real_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Clock:
    """Runs with the real clock, or stands at ``frozen_at`` until it is pushed. What was pushed is kept in the store."""

    def __init__(self, store: Store, frozen_at: datetime.datetime | None) -> None:
        self._store = store
        self._frozen_at = frozen_at

    def _base(self) -> datetime.datetime:
        return self._frozen_at or real_now()

    def _pushed(self, name: ClockName) -> float:
        row = self._store.get("settings", f"{name}_offset_s") or {"value": 0.0}
        return float(row["value"])

    def now(self, name: ClockName) -> datetime.datetime:
        return self._base() + datetime.timedelta(seconds=self._pushed(name))

    def world(self) -> datetime.datetime:
        return self.now("world")

    def service(self) -> datetime.datetime:
        return self.now("service")

    def push(self, name: ClockName, seconds: float) -> None:
        self._store.put("settings", f"{name}_offset_s", {"value": self._pushed(name) + seconds})

    def inward(self, told: datetime.datetime) -> datetime.datetime:
        """A caller's moment on the service clock: as far ahead as the caller means it."""
        return self.service() + (told - real_now())
