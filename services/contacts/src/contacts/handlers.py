"""Everything the contacts service reacts to."""

from contacts.jobs import does
from contacts.leaving import TRACES
from contacts.runs import SWITCH
from shared.connections import follow
from shared.eventing.handlers import Handlers

on = Handlers()
follow(on, does, switch=SWITCH, ends=TRACES)
