"""Removes what recording-ingest set at Microsoft when a person or the organisation disconnects."""

from recording_ingest import watching
from shared.database.unit_of_work import UnitOfWork
from shared.events import RecordingTracesRemoved
from shared.subscriptions.leaving import Done, Traces


def tell(work: UnitOfWork, done: Done) -> None:
    work.outbox.add(RecordingTracesRemoved.model_validate(done.told()))


TRACES = Traces(tell, watching.forget)
