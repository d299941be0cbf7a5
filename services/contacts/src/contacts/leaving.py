"""What contacts set at Microsoft goes when a person or the organisation disconnects."""

from contacts import watching
from shared.database.unit_of_work import UnitOfWork
from shared.events import ContactTracesRemoved
from shared.subscriptions.leaving import Done, Traces


def tell(work: UnitOfWork, done: Done) -> None:
    work.outbox.add(ContactTracesRemoved.model_validate(done.told()))


TRACES = Traces(tell, watching.forget)
