"""Removes what mail set at Microsoft when a person or the organisation disconnects."""

from mail import syncing
from shared.database.unit_of_work import UnitOfWork
from shared.events import MailTracesRemoved
from shared.subscriptions.leaving import Done, Traces


def tell(work: UnitOfWork, done: Done) -> None:
    work.outbox.add(MailTracesRemoved.model_validate(done.told()))


TRACES = Traces(tell, syncing.ended)
