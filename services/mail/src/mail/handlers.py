"""Everything the mail service reacts to."""

from mail.jobs import does
from mail.leaving import TRACES
from mail.refusals import SWITCH
from mail.work import FollowAddresses
from shared.connections import follow
from shared.database.unit_of_work import UnitOfWork
from shared.eventing.handlers import Handlers
from shared.events import ContactsChanged, ContactsImported

on = Handlers()
follow(on, does, switch=SWITCH, ends=TRACES)


@on(ContactsImported)
@on(ContactsChanged)
async def follow_addresses(event: ContactsImported | ContactsChanged, *, work: UnitOfWork) -> None:
    """Ask contacts for the addresses that changed."""
    work.queue(FollowAddresses())
