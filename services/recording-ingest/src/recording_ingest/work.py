"""The jobs of the recording-ingest service; ``jobs.py`` does them."""

from typing import ClassVar

from shared.connections import FollowConnections
from shared.jobs import Priority, Work


class WatchUser(Work):
    """Bring a person's subscriptions to this ``state`` of their connection; each state has its own job."""

    kind = "watch_user"
    keyed_by = ("user_id", "state")
    user_id: str
    state: str


class EndSubscriptions(Work):
    """Remove subscriptions, by Graph's ``ids``, of a person whose connection ended."""

    kind = "end_subscriptions"
    user_id: str
    ids: list[str]

    @property
    def key(self) -> str:
        return f"{self.user_id}:{self.ids[0]}"


class SweepLeftovers(Work):
    """End what an earlier life of the organisation's connection left at Microsoft."""

    kind = "sweep_leftovers"
    priority: ClassVar[Priority] = "backfill"
    keyed_by = ("kind",)


class FollowPerson(FollowConnections):
    """``FollowConnections`` as version 0.1 queued it."""

    kind = "follow_person"


class Reconcile(Work):
    """Compare the ledger of a meeting with what Microsoft lists; a later ``revision`` of the plan ends this job."""

    kind = "reconcile"
    keyed_by = ("meeting_id", "revision")
    meeting_id: str
    revision: int


class PlaceAgain(Work):
    """A meeting of a series was moved: see whether what was recorded in it still fits."""

    kind = "place_again"
    keyed_by = ("meeting_id",)
    meeting_id: str


class LookAgain(Work):
    """A ``capability`` of the organisation is ready: look again for what its lack kept from us."""

    kind = "look_again"
    keyed_by = ("capability",)
    capability: str


class AnnounceGap(Work):
    """Say that a person's gap is repaired, when every meeting of it was looked at since."""

    kind = "announce_gap"
    keyed_by = ("user_id", "version")
    user_id: str
    version: int


class ImportArtefact(Work):
    """A job for one artefact. One job of each kind lives at a time."""

    keyed_by = ("artefact_id",)
    artefact_id: str


class TransferRecording(ImportArtefact):
    """Stream a recording from Graph to storage."""

    kind = "transfer"


class ImportTranscript(ImportArtefact):
    """Read, parse and keep a transcript."""

    kind = "import_transcript"
