"""Everything the mail service reacts to."""

from mail.jobs import does
from mail.refusals import SWITCH
from shared.connections import follow
from shared.eventing.handlers import Handlers

on = Handlers()
follow(on, does, switch=SWITCH)
