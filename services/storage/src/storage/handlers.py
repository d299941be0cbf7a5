"""Everything the storage service reacts to."""

from shared.connections import keep
from shared.eventing.handlers import Handlers

on = Handlers()
keep(on)
