"""Remembers recent refusals that end no connection, so that Microsoft is not asked the same again at once."""

import time
from dataclasses import dataclass

from shared.entra.aadsts import EntraError, EntraRetry, EntraTenantGone
from shared.entra.kept import Newest
from user_auth.settings import Settings

_MAX_KEPT = 5_000
_LONGEST_S = 3600
"""Microsoft is asked again after this, however long it wants to be left alone."""
Owner = tuple[str, str, int]
"""Organisation, person (empty: all of them) and version of the connection: a later one is asked for anew."""


@dataclass(frozen=True, slots=True)
class _Said:
    """The parts of an ``EntraError`` that are kept. The error itself would keep the secrets of its call in memory."""

    kind: type[EntraError]
    message: str
    after_s: float
    at: float


class Refusals:
    """One per process. That the tenant does not know us is kept for all its people, everything else for one person."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept = Newest[Owner, _Said](_MAX_KEPT)

    def keep(self, owner: Owner, refused: EntraError) -> None:
        owner = _all_of(owner) if isinstance(refused, EntraTenantGone) else owner
        self._kept.keep(owner, _Said(type(refused), refused.message, refused.after_s or 0.0, time.monotonic()))

    def standing(self, owner: Owner) -> EntraError | None:
        """The refusal to expect again; ``after_s`` is how long Microsoft is not asked yet."""
        for said in (self._kept.get(_all_of(owner)), self._kept.get(owner)):
            if said is not None and (left_s := said.at + self._lasts_s(said) - time.monotonic()) > 0:
                return said.kind(said.message, after_s=left_s)
        return None

    def forget(self, org_id: str) -> None:
        """Something is new about the organisation's tenant."""
        self._kept.pop(_all_of((org_id, "", 0)), None)

    def _lasts_s(self, said: _Said) -> float:
        """An outage that names no time may be over at once."""
        return min(said.after_s, _LONGEST_S) if issubclass(said.kind, EntraRetry) else self._settings.refusal_kept_s


def _all_of(owner: Owner) -> Owner:
    return owner[0], "", 0
